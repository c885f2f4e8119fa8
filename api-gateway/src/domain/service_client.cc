#include "api-gateway/src/domain/service_client.h"

#include <fmt/format.h>

#include "api-gateway/src/domain/views.h"
#include "common/log.h"

namespace dispatch::gateway {

namespace {

constexpr std::chrono::milliseconds kReadTimeout{5'000};
// Making a topic waits until Kafka has leaders for its partitions.
constexpr std::chrono::milliseconds kChangeTimeout{15'000};
constexpr Duration kReadYourWritesWait = std::chrono::seconds(2);
constexpr size_t kMaxIdempotencyKey = 255;

// For faults that are not the caller's; empty for those that are.
std::string PublicMessage(const std::string& service, Code code) {
  switch (code) {
    case Code::kUnavailable:
    case Code::kFenced:
    case Code::kCancelled:
      return fmt::format("{} cannot do this at the moment: try again in some seconds", service);
    case Code::kDeadlineExceeded:
      return fmt::format(
          "{} did not answer in time, and may have done it: try again in some "
          "seconds, a change with an Idempotency-Key",
          service);
    case Code::kInternal:
      return fmt::format(
          "{} failed: its operator finds why by the requestId in the log of "
          "api-gateway",
          service);
    default:
      return {};
  }
}

// Empty: there is none.
Result<std::string> ReadIdempotencyKey(const http::Request& request) {
  auto key = request.headers.Get("Idempotency-Key");
  if (!key) return std::string();
  if (!key->empty() && key->size() <= kMaxIdempotencyKey) return std::string(*key);
  return {Code::kInvalidArgument, "Idempotency-Key must have 1 to 255 characters"};
}

}  // namespace

ServiceClient::ServiceClient(broker::RpcClient& rpc, size_t max_in_flight)
    : rpc_(rpc), max_in_flight_(max_in_flight) {}

schema::Request ServiceClient::NewRequest(const Call& call, std::string method,
                                          const json::value& body) const {
  schema::Request request;
  request.method = std::move(method);
  request.org = call.org;
  request.principal = {call.principal->kind, call.principal->key_id, call.principal->org};
  request.body = json::Serialize(body);
  request.traceparent = call.Traceparent();
  return request;
}

Error ServiceClient::Explain(const Call& call, const std::string& service, Error error) const {
  if (error.code == Code::kResourceExhausted) {
    if (rpc_.in_flight() >= max_in_flight_) error.code = Code::kUnavailable;
    return error;
  }
  std::string told = PublicMessage(service, error.code);
  if (told.empty()) return error;
  if (log::Sometimes("service.failed", 5)) {
    log::Warning("service failed service={} request-id={} code={} reason=\"{}\"", service,
                 call.request_id, CodeName(error.code), error.message);
  }
  error.message = std::move(told);
  error.details.clear();
  return error;
}

void ServiceClient::Fail(const CallPtr& call, const std::string& service, Error error) const {
  call->Fail(Explain(*call, service, std::move(error)));
}

void ServiceClient::TryAsk(const CallPtr& call, const std::string& service, std::string method,
                           json::value body, std::chrono::milliseconds timeout,
                           std::function<void(Result<broker::RpcReply>)> done) {
  rpc_.Call(service, NewRequest(*call, std::move(method), body), timeout, std::move(done));
}

void ServiceClient::Ask(const CallPtr& call, const std::string& service, std::string method,
                        json::value body, Answered done) {
  Ask(call, service, std::move(method), std::move(body), kReadTimeout, std::move(done));
}

void ServiceClient::Ask(const CallPtr& call, const std::string& service, std::string method,
                        json::value body, std::chrono::milliseconds timeout, Answered done) {
  TryAsk(call, service, std::move(method), std::move(body), timeout,
         [this, call, service, done = std::move(done)](Result<broker::RpcReply> reply) {
           if (!reply.ok()) return Fail(call, service, reply.error());
           done(std::move(*reply));
         });
}

void ServiceClient::Make(const CallPtr& call, const std::string& service, std::string method,
                         json::value body, std::chrono::milliseconds timeout, Answered done) {
  auto key = ReadIdempotencyKey(call->request);
  if (!key.ok()) return call->Fail(key.error());
  schema::Request request = NewRequest(*call, std::move(method), body);
  request.idempotency_key = std::move(*key);
  rpc_.Call(service, std::move(request), timeout,
            [this, call, service, done = std::move(done)](Result<broker::RpcReply> reply) {
              if (!reply.ok()) return Fail(call, service, reply.error());
              done(std::move(*reply));
            });
}

void ServiceClient::Change(const CallPtr& call, const Owner& owner, std::string method,
                           json::value body, Answered done) {
  auto if_match = ReadIfMatch(call->request);
  if (!if_match.ok()) return call->Fail(if_match.error());
  auto key = ReadIdempotencyKey(call->request);
  if (!key.ok()) return call->Fail(key.error());
  schema::Request request = NewRequest(*call, std::move(method), body);
  request.if_match = *if_match;
  request.idempotency_key = std::move(*key);
  rpc_.Call(owner.service, std::move(request), kChangeTimeout,
            [this, call, service = owner.service, &table = owner.table,
             done = std::move(done)](Result<broker::RpcReply> reply) mutable {
              if (!reply.ok()) return Fail(call, service, reply.error());
              if (reply->state_kind.empty()) return done(std::move(*reply));
              call->AddHeader("X-Dispatch-Version", VersionMark(reply->state_kind, reply->state_key,
                                                                reply->state_version));
              std::string kind = reply->state_kind;
              std::string key = reply->state_key;
              table.WaitFor(kind, key, reply->state_version, kReadYourWritesWait,
                            [done = std::move(done), reply = std::move(*reply)](bool) mutable {
                              done(std::move(reply));
                            });
            });
}

}  // namespace dispatch::gateway
