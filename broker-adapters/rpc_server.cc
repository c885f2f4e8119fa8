#include <map>
#include <set>
#include <utility>

#include "broker-adapters/rpc.h"
#include "broker-adapters/topics.h"
#include "common/log.h"
#include "common/metrics.h"

namespace dispatch::broker {

namespace {

constexpr Duration kSession{6'000'000};
constexpr Duration kStopPoll{20'000};
constexpr std::chrono::milliseconds kFetchWait{500};  // nothing is ever paused

schema::Reply ToReply(const std::string& correlation_id, Result<RpcReply> result) {
  schema::Reply reply;
  reply.correlation_id = correlation_id;
  if (!result.ok()) {
    const Error& error = result.error();
    reply.code = error.code;
    reply.message = error.message;
    reply.retryable = error.retryable;
    reply.details = error.details;
    return reply;
  }
  if (!result->body.is_null()) reply.body = json::Serialize(result->body);
  reply.state_kind = result->state_kind;
  reply.state_key = result->state_key;
  reply.state_version = result->state_version;
  return reply;
}

// Only the first answer counts, as for the requester.
void EndRequest(const Tracer* tracer, const SpanPtr& span, const Result<RpcReply>& result) {
  if (span->ended != WallTime{}) return;
  if (!result.ok()) {
    span->Set("error.type", CodeName(result.code()));
    bool ours = result.code() == Code::kInternal || result.code() == Code::kUnavailable ||
                result.code() == Code::kDeadlineExceeded;
    if (ours) span->error = result.message();
  }
  tracer->End(*span);
}

}  // namespace

struct RpcServer::Impl : GroupConsumer::Listener, std::enable_shared_from_this<RpcServer::Impl> {
  Impl(Broker& b, Loop& l, const RecordSigner& s, std::string name, size_t bound)
      : broker(b),
        loop(l),
        signer(s),
        service(std::move(name)),
        max_in_flight(bound),
        producer(broker.NewProducer({.shared = true})),
        rejected(metrics::GetCounter("dispatch_rpc_rejected_total",
                                     "RPC records dropped for a missing or wrong MAC, or bad bytes",
                                     {{"side", "server"}})),
        expired(metrics::GetCounter("dispatch_rpc_expired_total",
                                    "RPC requests dropped because their deadline had passed")),
        refused(metrics::GetCounter("dispatch_rpc_refused_total",
                                    "RPC requests refused because too many were in flight")) {}

  void Start() {
    consumer = broker.NewGroupConsumer(
        {.group = RpcTopic(service), .client_id = service + "-rpc", .fetch_wait = kFetchWait},
        *this);
    consumer->Subscribe({RpcTopic(service)});
  }

  void OnAssigned(const std::vector<TopicPartition>& partitions, uint64_t generation) override {
    assigned = true;
    for (auto& tp : partitions) consumer->Start(tp, kCommitted, generation);
  }
  // What was received is committed already and runs on here.
  void OnRevoked(const std::vector<TopicPartition>&, std::function<void()> release) override {
    release();
  }
  void OnLost(const std::vector<TopicPartition>&) override {}

  void OnPartitionError(const TopicPartition& tp, const Error& error) override {
    log::Warning("reading requests failed topic={} partition={} reason=\"{}\"", tp.topic,
                 tp.partition, error.message);
    // What retention took has expired long ago.
    if (error.code == Code::kOutOfRange) consumer->Seek(tp, kEarliest);
  }

  void OnRecords(std::vector<Record> records) override {
    auto self = shared_from_this();  // a handler may end the server
    if (stopping) return;            // not committed: another takes them
    std::map<TopicPartition, int64_t> received;
    for (const Record& r : records) received[{r.topic, r.partition}] = r.offset + 1;
    // On receipt: a loss is covered by the deadline and the requester's repeat.
    consumer->Commit({received.begin(), received.end()});
    for (Record& record : records) {
      if (closed) return;
      Take(record);
    }
  }

  void Take(const Record& record) {
    Status genuine = signer.Verify(record);
    auto decoded = genuine.ok() ? schema::Decode<schema::Request>(record.value.value_or(""))
                                : Result<schema::Request>(genuine);
    if (!decoded.ok()) {
      rejected.Add();
      if (log::Sometimes("rpc.rejected")) {
        log::Warning("request dropped topic={} reason=\"{}\"", record.topic, decoded.message());
      }
      return;
    }
    schema::Request& request = *decoded;
    if (request.deadline_ms <= ToMillis(loop.Now())) {
      expired.Add();
      return;
    }
    uint64_t serial = next_serial++;
    running.insert(serial);
    auto respond = [weak = weak_from_this(), serial, id = request.correlation_id,
                    partition = request.reply_partition](Result<RpcReply> result) {
      auto self = weak.lock();
      if (!self || self->closed || self->running.erase(serial) == 0) return;  // once
      self->Answer(id, partition, std::move(result));
    };
    auto handler = handlers.find(request.method);
    if (handler == handlers.end()) {
      return respond(Error{Code::kNotFound, service + " has no method " + request.method});
    }
    if (running.size() > max_in_flight) {
      refused.Add();
      return respond(Error{Code::kResourceExhausted,
                           service + " has too many requests in flight: try again later", true});
    }
    SpanPtr span = StartSpan(tracer, Span::Kind::kServer, request.traceparent);
    if (span == nullptr) return handler->second(std::move(request), std::move(respond));
    Describe(request, *span);
    request.traceparent = span->context.ToTraceparent();
    handler->second(std::move(request), [tracer = tracer, span, respond](Result<RpcReply> result) {
      EndRequest(tracer, span, result);
      respond(std::move(result));
    });
  }

  void Describe(const schema::Request& request, Span& span) const {
    span.name = service + "/" + request.method;
    span.Set("rpc.system", "dispatch");
    span.Set("rpc.service", service);
    span.Set("rpc.method", request.method);
    span.Set("messaging.system", "kafka");
    span.Set("messaging.destination.name", RpcTopic(service));
    span.Set("dispatch.org", request.org);
  }

  void Answer(const std::string& id, int32_t partition, Result<RpcReply> result) {
    schema::Reply reply = ToReply(id, std::move(result));
    Status status = Send(reply, partition);
    if (status.code() == Code::kTooLarge) {
      status = Send(
          ToReply(id, Error{Code::kTooLarge, "the answer is too large: ask for a smaller page"}),
          partition);
    }
    if (!status.ok() && log::Sometimes("rpc.reply")) {
      log::Warning("reply not sent service={} reason=\"{}\"", service, status.message());
    }
  }

  Status Send(const schema::Reply& reply, int32_t partition) {
    ProduceRecord record{.topic = kRepliesTopic,
                         .partition = partition,
                         .key = reply.correlation_id,
                         .value = schema::Encode(reply)};
    signer.Sign(record);
    return producer->Produce(std::move(record), [name = service](Result<Position> p) {
      if (p.ok() || !log::Sometimes("rpc.reply")) return;
      log::Warning("reply not sent service={} reason=\"{}\"", name, p.message());
    });
  }

  void Stop(std::function<void()> stopped) {
    if (stopping || !consumer) {
      stopping = true;
      return loop.Post(std::move(stopped));
    }
    stopping = true;
    on_stopped = std::move(stopped);
    consumer->Close([weak = weak_from_this()] {
      auto self = weak.lock();
      if (!self || self->closed) return;
      self->AwaitRunning();
    });
  }

  // The running ones, and then their replies.
  void AwaitRunning() {
    if (running.empty() && producer->in_flight() == 0) {
      if (on_stopped) std::exchange(on_stopped, nullptr)();
      return;
    }
    loop.After(kStopPoll, [weak = weak_from_this()] {
      auto self = weak.lock();
      if (self && !self->closed) self->AwaitRunning();
    });
  }

  void Close() {
    closed = true;
    consumer.reset();
    producer.reset();
    handlers.clear();
  }

  Broker& broker;
  Loop& loop;
  const RecordSigner& signer;
  std::string service;
  size_t max_in_flight;
  std::unique_ptr<Producer> producer;
  std::unique_ptr<GroupConsumer> consumer;
  metrics::Counter rejected;
  metrics::Counter expired;
  metrics::Counter refused;
  std::map<std::string, Handler> handlers;
  Changed changed;
  const Tracer* tracer = nullptr;
  std::set<uint64_t> running;
  uint64_t next_serial = 1;
  bool assigned = false;
  bool stopping = false;
  bool closed = false;
  std::function<void()> on_stopped;
};

RpcServer::RpcServer(Broker& broker, Loop& loop, const RecordSigner& signer, std::string service,
                     size_t max_in_flight)
    : impl_(std::make_shared<Impl>(broker, loop, signer, std::move(service), max_in_flight)) {}

RpcServer::~RpcServer() { impl_->Close(); }

void RpcServer::Handle(std::string method, Handler handler) {
  impl_->handlers[std::move(method)] = std::move(handler);
}

void RpcServer::HandleChange(std::string method, Handler handler) {
  Handle(std::move(method), [impl = impl_.get(), handler = std::move(handler)](
                                schema::Request request, Responder respond) {
    // A handler may take the request apart.
    auto asked = std::make_shared<const schema::Request>(request);
    handler(std::move(request), [impl, weak = impl->weak_from_this(), asked,
                                 respond = std::move(respond)](Result<RpcReply> reply) {
      if (!weak.expired() && impl->changed) impl->changed(*asked, reply.status());
      respond(std::move(reply));
    });
  });
}

void RpcServer::OnChange(Changed changed) { impl_->changed = std::move(changed); }

void RpcServer::TraceBy(const Tracer* tracer) { impl_->tracer = tracer; }

void RpcServer::Start() { impl_->Start(); }

bool RpcServer::ready() const {
  if (!impl_->consumer || impl_->stopping) return false;
  return impl_->assigned || impl_->consumer->membership_age() < kSession;
}

void RpcServer::Stop(std::function<void()> stopped) { impl_->Stop(std::move(stopped)); }

}  // namespace dispatch::broker
