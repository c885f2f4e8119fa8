#include "event-manager/src/adapters/record_times.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace dispatch {

namespace {

constexpr size_t kPrefetch = 256 * 1024;
constexpr Duration kWatch = std::chrono::milliseconds(100);
constexpr Duration kKeepReader = std::chrono::seconds(30);  // after its last record

}  // namespace

RecordTimes::~RecordTimes() {
  loop_.Cancel(watch_);
  loop_.Cancel(rest_);
}

void RecordTimes::Find(const broker::TopicPartition& partition, int64_t offset, Done done) {
  for (const auto& [known, time] : known_[partition]) {
    if (known == offset) return done(time);
  }
  auto it = wanted_.find(partition);
  if (it == wanted_.end() && wanted_.size() >= kReads) return done(std::nullopt);
  bool reading = it != wanted_.end();
  wanted_[partition].push_back({offset, std::move(done), loop_.Steady() + kLimit});
  if (!reading) Read(partition);
  if (watch_ == kNoTimer) Watch();
  loop_.Cancel(rest_);
}

// The lowest that is wanted; the next one follows when it is known.
void RecordTimes::Read(const broker::TopicPartition& partition) {
  if (reader_ == nullptr) {
    broker::Reader::Listener& listener = *this;
    reader_ = broker_.NewReader("dispatch-lag", listener, kPrefetch);
  }
  const auto& wanted = wanted_[partition];
  auto lowest = std::min_element(wanted.begin(), wanted.end(),
                                 [](const auto& a, const auto& b) { return a.offset < b.offset; });
  reader_->Add(partition, lowest->offset);
}

void RecordTimes::OnRecords(std::vector<broker::Record> records) {
  for (const auto& record : records) {
    broker::TopicPartition partition{record.topic, record.partition};
    if (wanted_.contains(partition)) Answer(partition, record.offset, record.timestamp_ms);
  }
}

void RecordTimes::OnPartitionError(const broker::TopicPartition& partition, const Error&) {
  Answer(partition, std::numeric_limits<int64_t>::max(), std::nullopt);
}

void RecordTimes::OnEnd(const broker::TopicPartition& partition, int64_t next_offset) {
  if (wanted_.contains(partition)) Answer(partition, next_offset, std::nullopt);
}

// Whoever wants an offset up to `reached` has its answer.
void RecordTimes::Answer(const broker::TopicPartition& partition, int64_t reached,
                         std::optional<int64_t> time) {
  auto it = wanted_.find(partition);
  if (it == wanted_.end()) return;
  std::vector<Wanted> answered;
  auto left = std::partition(it->second.begin(), it->second.end(),
                             [&](const auto& wanted) { return wanted.offset > reached; });
  std::move(left, it->second.end(), std::back_inserter(answered));
  it->second.erase(left, it->second.end());
  if (answered.empty()) return;
  if (time) {
    auto& known = known_[partition];
    for (const auto& wanted : answered) {
      bool again = std::any_of(known.begin(), known.end(),
                               [&](const auto& pair) { return pair.first == wanted.offset; });
      if (!again) known.emplace_front(wanted.offset, *time);
    }
    while (known.size() > kKept) known.pop_back();
  }
  if (it->second.empty()) {
    wanted_.erase(it);
    reader_->Remove(partition);
  } else {
    Read(partition);
  }
  for (auto& wanted : answered) wanted.done(time);
}

void RecordTimes::Watch() {
  watch_ = loop_.AfterAbout(kWatch, [this] {
    watch_ = kNoTimer;
    std::vector<broker::TopicPartition> late;
    for (const auto& [partition, wanted] : wanted_) {
      if (wanted.front().until < loop_.Steady()) late.push_back(partition);
    }
    for (const auto& partition : late) {
      Answer(partition, std::numeric_limits<int64_t>::max(), std::nullopt);
    }
    if (watch_ != kNoTimer) return;
    if (!wanted_.empty()) return Watch();
    loop_.Cancel(rest_);
    rest_ = loop_.After(kKeepReader, [this] { reader_.reset(); });
  });
}

}  // namespace dispatch
