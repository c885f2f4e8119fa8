#include <map>
#include <vector>

#include "api-gateway/src/domain/browse/event_item.h"
#include "api-gateway/src/domain/browse/kafka_reading.h"
#include "api-gateway/src/domain/views.h"

namespace dispatch::gateway {

namespace {

/// One page: reads every partition up to where its log ended when the request came, until the page
/// is full, or time or bytes are used up. Within a partition events come in log order, across them
/// by time as far as what was read tells.
class EventPage : public KafkaReading, public std::enable_shared_from_this<EventPage> {
 public:
  EventPage(EventBrowser& browser, CallPtr call, const std::string& topic, BrowseQuery query)
      : KafkaReading(browser, std::move(call)),
        topic_(KafkaTopic(*call_, topic)),
        query_(std::move(query)) {}

  void Start() override {
    bool begun = Begin(browser_.options().page_time, [this] {
      if (end_.empty() || read_bytes_ == 0) return FailLate();
      Finish();
    });
    if (!begun) return;
    FindStart(browser_.admin(), topic_, query_, [weak = weak_from_this()](auto start) {
      auto self = weak.lock();
      if (self && !self->done_) self->OnStart(std::move(start));
    });
  }

 private:
  void OnStart(Result<BrowseStart> start) {
    if (!start.ok()) return Fail(start.error());
    next_ = std::move(start->next);
    for (const auto& [partition, offset] : next_) {
      int64_t end = start->log[static_cast<size_t>(partition)].latest;
      if (offset < end) end_[partition] = end;
    }
    if (end_.empty()) return Finish();
    // A copy: adding may call back.
    for (const auto& [partition, end] : std::map(end_)) {
      lease_->Add({topic_, partition}, next_[partition]);
    }
  }

  void OnRecords(std::vector<broker::Record> records) override {
    for (auto& record : records) {
      auto end = end_.find(record.partition);
      if (done_ || end == end_.end()) continue;
      int32_t partition = record.partition;
      int64_t offset = record.offset;
      if (offset < end->second) Take(std::move(record));
      if (offset + 1 >= end->second) Close(partition);
      if (Full()) Finish();
    }
    if (!done_ && end_.empty()) Finish();
  }

  void Take(broker::Record record) {
    int32_t partition = record.partition;
    int64_t time = record.timestamp_ms;
    next_[partition] = record.offset + 1;
    read_bytes_ += CostOf(record);
    auto item = EventItem(std::move(record), query_.filter);
    if (!item) return;
    bytes_ += item->size();
    ++count_;
    items_[partition].emplace_back(time, std::move(*item));
  }

  bool Full() const {
    return count_ >= query_.limit || bytes_ >= browser_.options().page_bytes ||
           read_bytes_ >= browser_.options().page_read_bytes;
  }

  // Everything up to its end was seen, also where the last offsets hold no records.
  void Close(int32_t partition) {
    auto end = end_.find(partition);
    if (end == end_.end()) return;
    next_[partition] = std::max(next_[partition], end->second);
    end_.erase(end);
    lease_->Remove({topic_, partition});
  }

  void OnEnd(const broker::TopicPartition& partition, int64_t) override {
    if (done_) return;
    Close(partition.partition);
    read_bytes_ += 1;
    if (end_.empty()) Finish();
  }

  void OnPartitionError(const broker::TopicPartition& partition, const Error& error) override {
    if (done_) return;
    // Retention passed where we were: what is left is shown.
    if (error.code == Code::kOutOfRange) return lease_->Add(partition, broker::kEarliest);
    Fail(error.code == Code::kNotFound
             ? Error{Code::kNotFound, "the topic was deleted meanwhile"}
             : Error{Code::kUnavailable, "Kafka does not let the gateway read this topic"});
  }

  void Finish() {
    if (done_) return;
    std::string body = "[";
    std::map<int32_t, size_t> taken;
    for (int64_t i = 0; i < count_; ++i) {
      auto least = items_.end();
      for (auto it = items_.begin(); it != items_.end(); ++it) {
        if (taken[it->first] == it->second.size()) continue;
        if (least == items_.end() ||
            it->second[taken[it->first]].first < least->second[taken[least->first]].first) {
          least = it;
        }
      }
      if (i > 0) body += ",\n";
      body += least->second[taken[least->first]++].second;
    }
    body += "]";
    browser_.shown().Add(static_cast<double>(count_));
    std::string position = FormatPositions(next_);
    if (!end_.empty()) LinkNext(*call_, position, "from");
    call_->AddHeader("X-Dispatch-Position", position);
    call_->SendJson(200, std::move(body));
    End();
  }

  std::string topic_;
  BrowseQuery query_;
  Positions next_;
  Positions end_;  // of the partitions that are not through
  std::map<int32_t, std::vector<std::pair<int64_t, std::string>>> items_;  // with the record's time
  int64_t count_ = 0;
  size_t bytes_ = 0;
  size_t read_bytes_ = 0;
};

}  // namespace

std::shared_ptr<Reading> NewEventPage(EventBrowser& browser, CallPtr call, const std::string& topic,
                                      BrowseQuery query) {
  return std::make_shared<EventPage>(browser, std::move(call), topic, std::move(query));
}

}  // namespace dispatch::gateway
