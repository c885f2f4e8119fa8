#include "event-manager/src/adapters/drivers/event_search.h"

#include <algorithm>
#include <limits>

namespace dispatch {

namespace {

constexpr Duration kPatience = std::chrono::seconds(20);

}  // namespace

void EventSearch::Start(int64_t since_ms, int64_t until_ms, Done done) {
  done_ = std::move(done);
  heard_ = loop_.Steady();
  Watch();
  Offsets(since_ms, [this, until_ms](std::vector<int64_t> begins) {
    Offsets(until_ms, [this, begins = std::move(begins)](const std::vector<int64_t>& ends) {
      Read(begins, ends);
    });
  });
}

void EventSearch::Offsets(int64_t time_ms, std::function<void(std::vector<int64_t>)> then) {
  broker_.admin().OffsetsForTime(topic_, time_ms,
                                 [this, alive = std::weak_ptr(alive_),
                                  then = std::move(then)](Result<std::vector<int64_t>> offsets) {
                                   if (alive.expired()) return;
                                   if (!offsets.ok()) return Finish(offsets.error());
                                   heard_ = loop_.Steady();
                                   then(std::move(*offsets));
                                 });
}

void EventSearch::Read(const std::vector<int64_t>& begins, const std::vector<int64_t>& ends) {
  if (!done_) return;
  reader_ = broker_.NewReader("event-manager-drivers", *this);
  for (size_t i = 0; i < std::min(begins.size(), ends.size()); ++i) {
    if (begins[i] >= ends[i]) continue;
    auto partition = static_cast<int32_t>(i);
    ends_[partition] = ends[i];
    reader_->Add({topic_, partition}, begins[i]);
  }
  if (ends_.empty()) Finish(false);
}

void EventSearch::OnRecords(std::vector<broker::Record> records) {
  heard_ = loop_.Steady();
  for (const auto& record : records) {
    const std::string* id = record.FindHeader("ce_id");
    if (id != nullptr && *id == id_) return Finish(true);
    Passed(record.partition, record.offset + 1);
  }
}

void EventSearch::Passed(int32_t partition, int64_t next_offset) {
  auto end = ends_.find(partition);
  if (end == ends_.end() || next_offset < end->second) return;
  ends_.erase(end);
  reader_->Remove({topic_, partition});
  if (ends_.empty()) Finish(false);
}

void EventSearch::Watch() {
  loop_.After(kPatience, [this, alive = std::weak_ptr(alive_)] {
    if (alive.expired() || !done_) return;
    if (loop_.Steady() - heard_ < kPatience) return Watch();
    Finish(Error{Code::kDeadlineExceeded, "nothing came for 20 s"});
  });
}

void EventSearch::OnPartitionError(const broker::TopicPartition&, const Error& error) {
  Finish(error);
}

// Before the end that we know when somebody's transaction is open there.
void EventSearch::OnEnd(const broker::TopicPartition& partition, int64_t) {
  Passed(partition.partition, std::numeric_limits<int64_t>::max());
}

void EventSearch::Finish(Result<bool> outcome) {
  if (!done_) return;
  // The reader calls us: it goes later.
  loop_.Post([this, alive = std::weak_ptr(alive_), outcome = std::move(outcome),
              done = std::exchange(done_, nullptr)] {
    if (alive.expired()) return;
    reader_.reset();
    done(outcome);
  });
}

}  // namespace dispatch
