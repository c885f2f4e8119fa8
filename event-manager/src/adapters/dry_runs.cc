#include "event-manager/src/adapters/dry_runs.h"

#include <deque>
#include <map>
#include <utility>

#include "broker-adapters/topics.h"
#include "event-manager/src/domain/dry_run.h"
#include "event-manager/src/domain/object_requests.h"
#include "schema/request_reader.h"

namespace dispatch {

namespace {

// A topic that was made a moment ago comes here over the state topic.
constexpr int kLooks = 10;
constexpr Duration kLookAgain = std::chrono::milliseconds(100);

}  // namespace

/// One of them: asks for the log's ends, reads the sample with a reader of its own, looks at a few
/// records at a turn.
class DryRuns::Run : public std::enable_shared_from_this<DryRuns::Run>,
                     private broker::Reader::Listener {
 public:
  using Ended = std::function<void(const std::shared_ptr<Run>& run)>;

  Run(DryRuns& owner, std::string topic, int64_t sample,
      std::shared_ptr<const CompiledSubscription> subscription, Responder respond)
      : owner_(owner),
        topic_(std::move(topic)),
        sample_(sample),
        run_(std::move(subscription)),
        respond_(std::move(respond)) {}
  ~Run() override { owner_.loop_.Cancel(timer_); }

  void Start() {
    timer_ = owner_.loop_.After(owner_.options_.time, [weak = weak_from_this()] {
      auto self = weak.lock();
      if (self != nullptr) self->Finish(false);
    });
    owner_.broker_.admin().ListOffsets(
        topic_, [weak = weak_from_this()](Result<std::vector<broker::Offsets>> log) {
          auto self = weak.lock();
          if (self == nullptr) return;
          if (!log.ok()) return self->Fail(log.error());
          self->Read(*log);
        });
  }

 private:
  void Read(const std::vector<broker::Offsets>& log) {
    asked_ = true;
    auto starts = SampleStarts(log, sample_);
    broker::Reader::Listener& listener = *this;
    reader_ = owner_.broker_.NewReader("dispatch-dry-run", listener, 1024 * 1024);
    for (size_t p = 0; p < log.size(); ++p) {
      if (starts[p] >= log[p].latest) continue;
      broker::TopicPartition partition{topic_, static_cast<int32_t>(p)};
      ends_[partition] = log[p].latest;
    }
    for (const auto& [partition, end] : ends_) {
      reader_->Add(partition, starts[static_cast<size_t>(partition.partition)]);
    }
    Go();
  }

  void OnRecords(std::vector<broker::Record> records) override {
    for (auto& record : records) {
      auto end = ends_.find({record.topic, record.partition});
      if (end == ends_.end()) continue;
      bool last = record.offset + 1 >= end->second;
      if (record.offset < end->second) {
        bytes_ += record.value ? record.value->size() : 0;
        queue_.push_back(std::move(record));
      }
      if (last) Close(end->first);
    }
    if (bytes_ > owner_.options_.bytes) cut_ = true;
    if (cut_) CloseAll();
    Go();
  }
  void OnEnd(const broker::TopicPartition& partition, int64_t next) override {
    auto end = ends_.find(partition);
    if (end != ends_.end() && next >= end->second) Close(partition);
    Go();
  }
  void OnPartitionError(const broker::TopicPartition& partition, const Error& error) override {
    // Retention passed it meanwhile: what is left of it is the sample.
    if (error.code == Code::kOutOfRange && !cut_) {
      cut_ = true;
      return reader_->Add(partition, broker::kEarliest);
    }
    Close(partition);
    cut_ = true;
    Go();
  }

  void Close(broker::TopicPartition partition) {
    if (ends_.erase(partition) > 0) reader_->Remove(partition);
  }
  void CloseAll() {
    while (!ends_.empty()) Close(ends_.begin()->first);
  }

  // A turn of the loop, and the next one later: matching of live events goes on between.
  void Go() {
    if (std::exchange(posted_, true)) return;
    owner_.loop_.Post([weak = weak_from_this()] {
      auto self = weak.lock();
      if (self == nullptr) return;
      self->posted_ = false;
      SteadyTime until = self->owner_.loop_.Steady() + self->owner_.options_.turn;
      while (!self->queue_.empty() && self->owner_.loop_.Steady() < until) {
        self->run_.Look(self->queue_.front());
        self->queue_.pop_front();
      }
      if (!self->queue_.empty()) return self->Go();
      if (self->ends_.empty()) self->Finish(!self->cut_);
    });
  }

  void Finish(bool complete) {
    if (!asked_) return Fail({Code::kUnavailable, "Kafka does not answer: try again", true});
    broker::RpcReply reply;
    auto report = run_.Report();
    report["dryRun"] = true;
    report["sample"] = sample_;
    report["complete"] = complete;
    reply.body = std::move(report);
    End(std::move(reply));
  }
  void Fail(Error error) { End(std::move(error)); }
  void End(Result<broker::RpcReply> result) {
    auto self = shared_from_this();
    auto respond = std::exchange(respond_, nullptr);
    if (!respond) return;
    respond(std::move(result));
    // Not at once: we may be inside the reader.
    owner_.loop_.Post([&owner = owner_, self] { owner.runs_.erase(self); });
  }

  DryRuns& owner_;
  const std::string topic_;
  const int64_t sample_;
  DryRun run_;
  Responder respond_;
  std::unique_ptr<broker::Reader> reader_;
  std::map<broker::TopicPartition, int64_t> ends_;  // of partitions that are read
  std::deque<broker::Record> queue_;
  size_t bytes_ = 0;
  bool asked_ = false;
  bool cut_ = false;
  bool posted_ = false;
  TimerId timer_ = kNoTimer;
};

void DryRuns::Register(broker::RpcServer& server) {
  server.Handle("subscription.dryrun", [this](schema::Request request, Responder respond) {
    Start(request, std::move(respond));
  });
}

void DryRuns::Start(const schema::Request& request, Responder respond, int looks) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  schema::RequestReader reader(*body);
  int64_t sample = reader.Int("sample", 1'000, 1, kMostSample);
  const auto* given = reader.Object("subscription");
  if (given == nullptr) reader.Fault("subscription", "is required");
  if (!reader.ok()) return respond(reader.error());
  auto document = SubscriptionDocument(*given);
  if (!document.ok()) return respond(document.error());
  std::string topic = json::GetString(*document, "topic");
  if (state_.Find(schema::kTopicKind, request.org + "/" + topic) == nullptr) {
    if (looks < kLooks) {
      loop_.After(kLookAgain, [this, alive = std::weak_ptr(alive_), request,
                               respond = std::move(respond), looks] {
        if (!alive.expired()) Start(request, respond, looks + 1);
      });
      return;
    }
    return respond(Error{Code::kUnprocessable,
                         "topic '" + topic + "' does not exist; create it first",
                         false,
                         {{"topic", "must name a topic of the organization"}}});
  }
  auto compiled = CompiledSubscription::Compile(schema::ParseSubscription(
      Uuid{}, request.org, json::GetString(*document, "name"), 0, *document));
  if (!compiled.ok()) return respond(compiled.error());
  if (runs_.size() >= options_.at_once) {
    return respond(Error{Code::kUnavailable, "other dry runs are at work: try again soon", true});
  }
  auto run = std::make_shared<Run>(*this, broker::EventTopic(request.org, topic), sample,
                                   std::move(*compiled), std::move(respond));
  runs_.insert(run);
  run->Start();
}

}  // namespace dispatch
