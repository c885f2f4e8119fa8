// What is done with dead letters: removed, or delivered again. Looking at them: deliveries.cc.

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "api-gateway/src/domain/resource.h"
#include "api-gateway/src/domain/routes.h"
#include "schema/objects.h"

namespace dispatch::gateway {

namespace {

constexpr int64_t kMaxPage = 1000;
constexpr char kSubscriptions[] = "/v1/event/subscriptions";
constexpr std::string_view kFilters[] = {"reason", "type", "status", "since", "until", "id"};

// A filter that is misspelt must not remove everything.
bool ReadFilter(Call& call, json::object* body) {
  for (const auto& [name, value] : call.request.query) {
    if (std::find(std::begin(kFilters), std::end(kFilters), name) == std::end(kFilters)) {
      call.Fail({Code::kInvalidArgument,
                 fmt::format("there is no filter '{}': use {}", name, fmt::join(kFilters, ", ")),
                 false,
                 {{name, "is not known"}}});
      return false;
    }
    if (value.empty()) {
      call.Fail({Code::kInvalidArgument,
                 fmt::format("{} is empty: leave it out", name),
                 false,
                 {{name, "must not be empty"}}});
      return false;
    }
    (*body)[name] = value;
  }
  return true;
}

void Purge(const CallPtr& call, Backend& backend) {
  auto subscription =
      FindNamed(*call, backend.tables.events, schema::kSubscriptionKind, kSubscriptions);
  if (subscription == nullptr) return;
  json::object body{{"subscription", subscription->name},
                    {"subscriptionId", subscription->uuid.ToString()}};
  if (!ReadFilter(*call, &body)) return;
  backend.services.Change(call, {kFunctionManager, backend.tables.functions}, "deadletter.purge",
                          std::move(body),
                          [call](broker::RpcReply reply) { call->SendJson(200, reply.body); });
}

// Redrives are the subscription's: its name goes along, and the path's {id}.
std::optional<json::object> Named(const CallPtr& call, Backend& backend) {
  auto subscription =
      FindNamed(*call, backend.tables.events, schema::kSubscriptionKind, kSubscriptions);
  if (subscription == nullptr) return std::nullopt;
  json::object body{{"subscription", subscription->name},
                    {"subscriptionId", subscription->uuid.ToString()}};
  if (std::string id = call->request.Param("id"); !id.empty()) body["id"] = id;
  return body;
}

void Redrive(const CallPtr& call, Backend& backend) {
  auto named = Named(call, backend);
  if (!named) return;
  json::object body;
  if (!call->request.body.empty()) {
    auto given = call->Body();
    if (!given.ok()) return call->Fail(given.error());
    body = std::move(*given);
  }
  for (const auto& field : *named) body[field.key()] = field.value();
  backend.services.Change(call, {kFunctionManager, backend.tables.functions}, "redrive.create",
                          std::move(body),
                          [call](broker::RpcReply reply) { call->SendJson(202, reply.body); });
}

void CancelRedrive(const CallPtr& call, Backend& backend) {
  auto body = Named(call, backend);
  if (!body) return;
  backend.services.Change(call, {kFunctionManager, backend.tables.functions}, "redrive.cancel",
                          std::move(*body),
                          [call](broker::RpcReply reply) { call->SendJson(200, reply.body); });
}

void AskAboutRedrives(const CallPtr& call, Backend& backend, const char* method) {
  auto body = Named(call, backend);
  if (!body) return;
  auto limit = ReadLimit(call->request, kMaxPage);
  if (!limit.ok()) return call->Fail(limit.error());
  if (*limit) (*body)["limit"] = **limit;
  backend.services.Ask(call, kFunctionManager, method, std::move(*body),
                       [call](broker::RpcReply reply) { call->SendJson(200, reply.body); });
}

}  // namespace

void AddDeadLetterRoutes(Gateway& gateway, Backend& backend) {
  const Access write{Access::Check::kObject, {auth::kWrite}, schema::kSubscriptionKind};
  const Access read{Access::Check::kObject, {auth::kRead}, schema::kSubscriptionKind};
  // As who rewinds.
  const Access feed{
      Access::Check::kObject, {auth::kSubscribe, auth::kWrite}, schema::kSubscriptionKind};
  for (const char* path : {kSubscriptions, "/v1/subscriptions"}) {
    gateway.Add({"DELETE", fmt::format("{}/{{name}}/dead-letters", path), write,
                 [&backend](CallPtr call) { Purge(call, backend); }});
    std::string redrive = fmt::format("{}/{{name}}/dead-letters/redrive", path);
    gateway.Add({"POST", redrive, feed, [&backend](CallPtr call) { Redrive(call, backend); }});
    gateway.Add({"GET", redrive, read,
                 [&backend](CallPtr call) { AskAboutRedrives(call, backend, "redrive.list"); }});
    gateway.Add({"GET", redrive + "/{id}", read,
                 [&backend](CallPtr call) { AskAboutRedrives(call, backend, "redrive.get"); }});
    gateway.Add({"DELETE", redrive + "/{id}", feed,
                 [&backend](CallPtr call) { CancelRedrive(call, backend); }});
  }
}

}  // namespace dispatch::gateway
