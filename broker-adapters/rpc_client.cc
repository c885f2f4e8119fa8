#include <optional>
#include <unordered_map>
#include <utility>

#include "broker-adapters/rpc.h"
#include "broker-adapters/topics.h"
#include "common/crypto.h"
#include "common/log.h"
#include "common/metrics.h"

namespace dispatch::broker {

namespace {

constexpr Duration kFindRetry{500'000};
constexpr char kRejected[] = "dispatch_rpc_rejected_total";
constexpr char kRejectedHelp[] = "RPC records dropped for a missing or wrong MAC, or bad bytes";

RpcReply ToReply(schema::Reply& reply, json::value body) {
  return {std::move(body), std::move(reply.state_kind), std::move(reply.state_key),
          reply.state_version};
}

}  // namespace

struct RpcClient::Impl : Reader::Listener, std::enable_shared_from_this<RpcClient::Impl> {
  struct Waiting {
    std::string org;
    TimerId timer = kNoTimer;
    std::function<void(Result<RpcReply>)> done;
    // Service and request, until the reply partition is known.
    std::optional<std::pair<std::string, schema::Request>> held;
  };

  Impl(Broker& b, Loop& l, const RecordSigner& s, Options o)
      : broker(b),
        broker_alive(b.alive()),
        loop(l),
        signer(s),
        options(std::move(o)),
        producer(
            broker.NewProducer({.max_queue_records = options.max_in_flight + 1, .shared = true})),
        rejected(metrics::GetCounter(kRejected, kRejectedHelp, {{"side", "client"}})) {}

  void FindPartition() {
    if (broker_alive.expired()) return;
    broker.admin().DescribeTopic(kRepliesTopic, [weak = weak_from_this()](Result<TopicInfo> info) {
      auto self = weak.lock();
      if (!self || self->closed) return;
      if (info.ok()) return self->Listen(info->partitions);
      if (log::Sometimes("rpc.replies")) {
        log::Warning("reply topic not found yet reason=\"{}\"", info.message());
      }
      self->loop.After(kFindRetry, [weak] {
        auto again = weak.lock();
        if (again && !again->closed) again->FindPartition();
      });
    });
  }

  void Listen(int32_t partitions) {
    partition = static_cast<int32_t>(crypto::RandomU64() % static_cast<uint64_t>(partitions));
    reader = broker.NewSharedReader(*this);
    reader->Add({kRepliesTopic, partition}, kLatest);
  }

  void OnEnd(const TopicPartition&, int64_t) override {
    if (std::exchange(ready, true)) return;
    for (auto& [id, waiting] : calls) {
      if (!waiting.held) continue;
      auto [service, request] = *std::exchange(waiting.held, std::nullopt);
      Send(service, std::move(request));
    }
  }

  void OnRecords(std::vector<Record> records) override {
    auto self = shared_from_this();  // a callback may end the client
    for (Record& record : records) {
      if (closed) return;
      if (!record.key || !calls.contains(*record.key)) continue;  // of somebody else
      Status genuine = signer.Verify(record);
      auto reply = genuine.ok() ? schema::Decode<schema::Reply>(record.value.value_or(""))
                                : Result<schema::Reply>(genuine);
      if (!reply.ok() || reply->correlation_id != *record.key) {
        rejected.Add();
        continue;
      }
      Finish(*record.key, Parse(*reply));
    }
  }

  // Retention took the end that we read from: what was there is too old for anybody to wait for.
  void OnPartitionError(const TopicPartition& tp, const Error& error) override {
    log::Warning("reading replies failed partition={} reason=\"{}\"", tp.partition, error.message);
    if (error.code == Code::kOutOfRange) reader->Add(tp, kLatest);
  }

  static Result<RpcReply> Parse(schema::Reply& reply) {
    if (reply.code != Code::kOk) {
      return Error{reply.code, std::move(reply.message), reply.retryable, std::move(reply.details)};
    }
    if (reply.body.empty()) return ToReply(reply, nullptr);
    ASSIGN_OR_RETURN(auto body, json::Parse(reply.body));
    return ToReply(reply, std::move(body));
  }

  Status Admit(const std::string& org) {
    if (calls.size() >= options.max_in_flight) {
      return Status(Code::kResourceExhausted, "too many requests are in flight: try again later");
    }
    if (per_org[org] >= options.max_in_flight_per_org) {
      return Status(Code::kResourceExhausted,
                    "too many requests of this organization are in flight: try again later");
    }
    return OkStatus();
  }

  void Later(std::function<void(Result<RpcReply>)> done, Status status) {
    loop.Post([weak = weak_from_this(), done = std::move(done), status = std::move(status)] {
      auto self = weak.lock();
      if (self && !self->closed) done(status);
    });
  }

  void Call(const std::string& service, schema::Request request, std::chrono::milliseconds timeout,
            std::function<void(Result<RpcReply>)> done) {
    Status admitted = Admit(request.org);
    if (!admitted.ok()) return Later(std::move(done), std::move(admitted));
    if (request.correlation_id.empty()) request.correlation_id = crypto::RandomBytes(16);
    if (calls.contains(request.correlation_id)) {
      return Later(std::move(done),
                   Status(Code::kConflict, "a request with this correlation id is in flight"));
    }
    if (timeout.count() <= 0) {
      return Later(std::move(done),
                   Status(Code::kDeadlineExceeded, "no time left for the request"));
    }
    request.deadline_ms = ToMillis(loop.Now()) + timeout.count();
    std::string id = request.correlation_id;
    Waiting& waiting = calls[id];
    waiting.org = request.org;
    waiting.done = std::move(done);
    waiting.timer = loop.After(timeout, [weak = weak_from_this(), id, service] {
      auto self = weak.lock();
      if (!self || self->closed) return;
      self->Finish(id, Error{Code::kDeadlineExceeded,
                             service + " did not answer in time: check that it is running", true});
    });
    ++per_org[request.org];
    if (ready) {
      Send(service, std::move(request));
    } else {
      waiting.held.emplace(service, std::move(request));
    }
  }

  void Send(const std::string& service, schema::Request request) {
    const std::string& id = request.correlation_id;
    request.reply_partition = partition;
    ProduceRecord record{.topic = RpcTopic(service), .key = id, .value = schema::Encode(request)};
    signer.Sign(record);
    auto failed = [weak = weak_from_this(), id](const Status& status) {
      auto self = weak.lock();
      if (self && !self->closed) self->Finish(id, status);
    };
    Status status = producer->Produce(std::move(record), [failed](Result<Position> p) {
      if (!p.ok()) failed(p.status());
    });
    if (!status.ok()) loop.Post([failed, status] { failed(status); });
  }

  void Finish(const std::string& id, Result<RpcReply> result) {
    auto node = calls.extract(id);
    if (node.empty()) return;
    Waiting& waiting = node.mapped();
    loop.Cancel(waiting.timer);
    if (--per_org[waiting.org] == 0) per_org.erase(waiting.org);
    waiting.done(std::move(result));
  }

  void Close() {
    closed = true;
    for (auto& [id, waiting] : calls) loop.Cancel(waiting.timer);
    reader.reset();
    producer.reset();
  }

  Broker& broker;
  std::weak_ptr<const void> broker_alive;
  Loop& loop;
  const RecordSigner& signer;
  Options options;
  std::unique_ptr<Producer> producer;
  std::unique_ptr<Reader> reader;
  metrics::Counter rejected;
  int32_t partition = 0;
  bool ready = false;
  bool closed = false;
  std::unordered_map<std::string, Waiting> calls;
  std::unordered_map<std::string, size_t> per_org;
};

RpcClient::RpcClient(Broker& broker, Loop& loop, const RecordSigner& signer, Options options)
    : impl_(std::make_shared<Impl>(broker, loop, signer, std::move(options))) {
  impl_->FindPartition();
}

RpcClient::~RpcClient() { impl_->Close(); }

bool RpcClient::ready() const { return impl_->ready; }

void RpcClient::Call(const std::string& service, schema::Request request,
                     std::chrono::milliseconds timeout,
                     std::function<void(Result<RpcReply>)> done) {
  impl_->Call(service, std::move(request), timeout, std::move(done));
}

size_t RpcClient::in_flight() const { return impl_->calls.size(); }

}  // namespace dispatch::broker
