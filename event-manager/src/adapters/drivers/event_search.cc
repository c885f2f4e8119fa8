#include "event-manager/src/adapters/drivers/event_search.h"

namespace dispatch {

namespace {

constexpr Duration kLimit = std::chrono::seconds(20);

}  // namespace

void EventSearch::Start(int64_t since_ms, Done done) {
  done_ = std::move(done);
  loop_.After(kLimit, [this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) Finish(Error{Code::kDeadlineExceeded, "looking through the topic"});
  });
  broker_.admin().OffsetsForTime(
      topic_, since_ms,
      [this, alive = std::weak_ptr(alive_)](Result<std::vector<int64_t>> offsets) {
        if (alive.expired()) return;
        if (!offsets.ok()) return Finish(offsets.error());
        reader_ = broker_.NewReader("event-manager-drivers", *this);
        for (size_t i = 0; i < offsets->size(); ++i) {
          open_.insert(static_cast<int32_t>(i));
          reader_->Add({topic_, static_cast<int32_t>(i)}, (*offsets)[i]);
        }
      });
}

void EventSearch::OnRecords(std::vector<broker::Record> records) {
  for (const auto& record : records) {
    const std::string* id = record.FindHeader("ce_id");
    if (id != nullptr && *id == id_) return Finish(true);
  }
}

void EventSearch::OnPartitionError(const broker::TopicPartition&, const Error& error) {
  Finish(error);
}

void EventSearch::OnEnd(const broker::TopicPartition& partition, int64_t) {
  open_.erase(partition.partition);
  if (open_.empty()) Finish(false);
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
