#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "api-gateway/src/domain/browse/event_item.h"
#include "api-gateway/src/domain/browse/kafka_reading.h"
#include "common/json.h"
#include "schema/cloudevents.h"
#include "schema/rfc3339.h"

namespace dispatch::gateway {

namespace {

/// Where the events of an id are. Kafka has no index of ids, so blocks of offsets are read from the
/// end of every partition backwards, all partitions a round, until a round finds some or time or
/// bytes are used up. The answer says which offsets were not looked at.
class EventSearch : public KafkaReading, public std::enable_shared_from_this<EventSearch> {
 public:
  EventSearch(EventBrowser& browser, CallPtr call, std::vector<std::string> topics, std::string id)
      : KafkaReading(browser, std::move(call)),
        topics_(std::move(topics)),
        id_(std::move(id)),
        block_(browser.options().search_block) {}

  void Start() override {
    bool begun = Begin(browser_.options().search_time, [this] {
      if (asked_ < topics_.size()) return FailLate();
      Finish();
    });
    if (begun) AskNext();
  }

 private:
  // Of one partition: [earliest, floor) was not looked at; [floor, latest) was, but for `skipped`.
  struct Part {
    std::string topic;  // as users know it
    int64_t earliest = 0;
    int64_t floor = 0;
    int64_t block_begin = 0;  // of the block under way
    int64_t next = 0;         // in it
    bool reading = false;
  };

  void AskNext() {
    if (asked_ == topics_.size()) return NextRound();
    const std::string& topic = topics_[asked_];
    browser_.admin().ListOffsets(
        KafkaTopic(*call_, topic),
        [weak = weak_from_this(), topic](Result<std::vector<broker::Offsets>> log) {
          auto self = weak.lock();
          if (self && !self->done_) self->OnLog(topic, std::move(log));
        });
  }

  void OnLog(const std::string& topic, Result<std::vector<broker::Offsets>> log) {
    // A topic that went meanwhile has nothing any more.
    if (!log.ok() && log.error().code != Code::kNotFound) return Fail(log.error());
    for (size_t i = 0; log.ok() && i < log->size(); ++i) {
      const broker::Offsets& offsets = (*log)[i];
      Part part{topic, offsets.earliest, offsets.latest};
      parts_[{KafkaTopic(*call_, topic), static_cast<int32_t>(i)}] = part;
    }
    ++asked_;
    AskNext();
  }

  void NextRound() {
    if (!found_.empty()) return Finish();
    size_t reading = 0;
    for (auto& [tp, part] : parts_) {
      if (part.floor == part.earliest) continue;
      if (reading == browser_.options().search_partitions) break;
      part.block_begin = std::max(part.earliest, part.floor - block_);
      part.next = part.block_begin;
      part.reading = true;
      ++reading;
    }
    open_ = reading;
    if (reading == 0) return Finish();
    block_ *= 2;
    for (const auto& [tp, part] : parts_) {
      if (part.reading && !done_) lease_->Add(tp, part.block_begin);
    }
  }

  void OnRecords(std::vector<broker::Record> records) override {
    for (auto& record : records) {
      if (done_) return;
      auto it = parts_.find({record.topic, record.partition});
      if (it == parts_.end() || !it->second.reading) continue;
      Part& part = it->second;
      if (record.offset < part.floor) {
        Look(record, part);
        part.next = record.offset + 1;
        read_bytes_ += CostOf(record);
      }
      if (record.offset + 1 >= part.floor) Close(it->first, part);
    }
    if (!done_ && read_bytes_ >= browser_.options().search_bytes) return Finish();
    if (!done_ && open_ == 0) NextRound();
  }

  void Look(const broker::Record& record, const Part& part) {
    if (found_.size() >= kMostFound || !HasEventId(record, id_)) return;
    json::object place{{"topic", part.topic},
                       {"partition", record.partition},
                       {"offset", record.offset},
                       {"time", schema::FormatRfc3339(FromMillis(record.timestamp_ms))}};
    auto event = cloudevents::FromKafka({record.key, record.headers, record.value});
    for (const char* name : {"source", "type", "subject"}) {
      const std::string* value = event.ok() ? event->Find(name) : nullptr;
      if (value != nullptr) place[name] = *value;
    }
    found_.push_back(std::move(place));
  }

  void Close(const broker::TopicPartition& tp, Part& part) {
    if (!std::exchange(part.reading, false)) return;
    part.floor = part.block_begin;
    --open_;
    lease_->Remove(tp);
  }

  void OnEnd(const broker::TopicPartition& tp, int64_t) override {
    auto it = parts_.find(tp);
    if (done_ || it == parts_.end()) return;
    Close(tp, it->second);
    if (open_ == 0) NextRound();
  }

  void OnPartitionError(const broker::TopicPartition& tp, const Error& error) override {
    auto it = parts_.find(tp);
    if (done_ || it == parts_.end()) return;
    if (error.code == Code::kPermissionDenied) {
      return Fail(
          {Code::kUnavailable, "Kafka does not let the gateway read topic " + it->second.topic});
    }
    // Retention passed the block's beginning, or the topic went: there is nothing older.
    it->second.earliest = it->second.block_begin;
    if (error.code == Code::kOutOfRange) return lease_->Add(tp, broker::kEarliest);
    Close(tp, it->second);
    if (open_ == 0) NextRound();
  }

  void Finish() {
    if (done_) return;
    json::array left;
    for (const auto& [tp, part] : parts_) {
      // A block that was cut short was read up to `next`.
      std::vector<std::pair<int64_t, int64_t>> ranges;
      if (part.reading && part.next == part.block_begin) {
        ranges = {{part.earliest, part.floor}};
      } else if (part.reading) {
        ranges = {{part.earliest, part.block_begin}, {part.next, part.floor}};
      } else {
        ranges = {{part.earliest, part.floor}};
      }
      for (const auto& [from, to] : ranges) {
        if (from >= to) continue;
        left.push_back(
            {{"topic", part.topic}, {"partition", tp.partition}, {"from", from}, {"to", to}});
      }
    }
    bool complete = left.empty();
    call_->SendJson(200, json::object{{"id", id_},
                                      {"found", std::move(found_)},
                                      {"complete", complete},
                                      {"notSearched", std::move(left)}});
    End();
  }

  static constexpr size_t kMostFound = 100;

  const std::vector<std::string> topics_;
  const std::string id_;
  size_t asked_ = 0;  // topics
  std::map<broker::TopicPartition, Part> parts_;
  size_t open_ = 0;  // partitions that read a block
  int64_t block_;
  size_t read_bytes_ = 0;
  json::array found_;
};

}  // namespace

std::shared_ptr<Reading> NewEventSearch(EventBrowser& browser, CallPtr call,
                                        std::vector<std::string> topics, std::string id) {
  return std::make_shared<EventSearch>(browser, std::move(call), std::move(topics), std::move(id));
}

}  // namespace dispatch::gateway
