#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "api-gateway/src/domain/browse/event_item.h"
#include "api-gateway/src/domain/browse/kafka_reading.h"

namespace dispatch::gateway {

namespace {

/// A stream of server-sent events (WHATWG HTML, section 9.2). Each has as its id where reading goes
/// on behind it, so that a client which comes back with Last-Event-ID misses and repeats nothing.
/// While the client reads slower than events come, Kafka is not read: what waits is what one fetch
/// brought and the connection's own bounded buffer.
class EventStream : public KafkaReading, public std::enable_shared_from_this<EventStream> {
 public:
  EventStream(EventBrowser& browser, CallPtr call, const std::string& topic, BrowseQuery query,
              EventBrowser::Allowed allowed)
      : KafkaReading(browser, std::move(call)),
        topic_(KafkaTopic(*call_, topic)),
        query_(std::move(query)),
        allowed_(std::move(allowed)) {}

  void Start() override {
    if (!Begin(browser_.options().page_time, [this] { FailLate(); })) return;
    FindStart(browser_.admin(), topic_, query_, [weak = weak_from_this()](auto start) {
      auto self = weak.lock();
      if (self && !self->done_) self->OnStart(std::move(start));
    });
  }

  void Stop() override {
    if (writer_ != nullptr) return EndWith("the gateway stops: connect again");
    KafkaReading::Stop();
  }

 private:
  void OnStart(Result<BrowseStart> start) {
    if (!start.ok()) return Fail(start.error());
    next_ = std::move(start->next);
    until_ = browser_.loop().Steady() + browser_.options().stream_time;
    bool head_only = call_->request.method == "HEAD";
    writer_ = call_->Stream("text/event-stream");
    writer_->OnClosed([weak = weak_from_this()] {
      if (auto self = weak.lock()) self->End();
    });
    writer_->OnDrain([weak = weak_from_this()] {
      if (auto self = weak.lock()) self->Drained();
    });
    if (head_only) return EndStream();
    // Some proxies and clients wait for the first bytes.
    Write(fmt::format("retry: 2000\nid: {}\n: events of {}\n\n", FormatPositions(next_), topic_));
    for (const auto& [partition, offset] : next_) {
      // A reading that went on from before the log's beginning says what it did not see.
      auto asked = query_.positions.find(partition);
      bool lost = query_.from == BrowseQuery::From::kPositions && asked != query_.positions.end() &&
                  asked->second < offset;
      if (lost) TellLost(partition, asked->second, offset);
    }
    for (const auto& [partition, offset] : Positions(next_)) {
      if (!done_) lease_->Add({topic_, partition}, offset);
    }
    Beat();
  }

  void OnRecords(std::vector<broker::Record> records) override {
    if (done_) return;
    std::move(records.begin(), records.end(), std::back_inserter(waiting_));
    Pump();
  }

  void Pump() {
    while (!done_ && !full_ && !waiting_.empty()) {
      auto record = std::move(waiting_.front());
      waiting_.pop_front();
      auto next = next_.find(record.partition);
      if (next == next_.end()) continue;
      next->second = record.offset + 1;
      auto item = EventItem(std::move(record), query_.filter);
      if (!item) continue;
      // A payload's own line ends, which JSON has between its tokens only, would end the field.
      std::replace_if(
          item->begin(), item->end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
      Write(fmt::format("id: {}\ndata: {}\n\n", FormatPositions(next_), *item));
      browser_.shown().Add();
      if (query_.limit > 0 && ++count_ >= query_.limit) return EndStream();
    }
    if (!done_ && full_ && !paused_) {
      paused_ = true;
      lease_->Pause();
    }
  }

  void Drained() {
    if (done_) return;
    full_ = false;
    Pump();
    if (done_ || full_ || !paused_) return;
    paused_ = false;
    lease_->Resume();
  }

  void OnPartitionError(const broker::TopicPartition& partition, const Error& error) override {
    if (done_) return;
    if (error.code == Code::kNotFound) return EndWith("the topic was deleted");
    if (error.code != Code::kOutOfRange) return EndWith("Kafka does not let the gateway read this");
    TellLost(partition.partition, next_[partition.partition], std::nullopt);
    if (!done_) lease_->Add(partition, broker::kEarliest);
  }

  void TellLost(int32_t partition, int64_t from, std::optional<int64_t> to) {
    Write(
        fmt::format("event: lost\ndata: {{\"partition\":{},\"from\":{}{},\"reason\":\"retention "
                    "removed them before they were read\"}}\n\n",
                    partition, from, to ? fmt::format(",\"to\":{}", *to) : ""));
  }

  // Tells a quiet client that the stream lives, how far it has come, and finds dead ones.
  void Beat() {
    if (done_) return;
    SetTimer(browser_.options().heartbeat, [this] {
      if (!allowed_(*call_)) return EndWith("the key may not read this topic any more");
      if (browser_.loop().Steady() >= until_) return EndWith("long enough: connect again");
      if (!full_) Write(fmt::format("id: {}\n: heartbeat\n\n", FormatPositions(next_)));
      Beat();
    });
  }

  void Write(std::string piece) {
    if (!done_ && !writer_->Write(std::move(piece))) full_ = true;
  }

  void EndWith(std::string_view reason) {
    if (done_) return;
    Write(fmt::format("event: end\ndata: {{\"reason\":\"{}\"}}\n\n", reason));
    EndStream();
  }

  void EndStream() {
    if (done_) return;
    auto writer = writer_;
    End();
    writer->End();
  }

  std::string topic_;
  BrowseQuery query_;
  EventBrowser::Allowed allowed_;
  std::shared_ptr<http::ResponseWriter> writer_;
  SteadyTime until_{};
  bool full_ = false;    // the connection has more than it may hold
  bool paused_ = false;  // and so Kafka is not read
  Positions next_;
  std::deque<broker::Record> waiting_;  // of the fetch that filled it
  int64_t count_ = 0;
};

}  // namespace

std::shared_ptr<Reading> NewEventStream(EventBrowser& browser, CallPtr call,
                                        const std::string& topic, BrowseQuery query,
                                        EventBrowser::Allowed allowed) {
  return std::make_shared<EventStream>(browser, std::move(call), topic, std::move(query),
                                       std::move(allowed));
}

}  // namespace dispatch::gateway
