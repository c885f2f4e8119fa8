// What is done with dead letters: removed, or delivered again. Looking at them: deliveries.cc.

#include <fmt/format.h>

#include <algorithm>

#include "api-gateway/src/domain/resource.h"
#include "api-gateway/src/domain/routes.h"
#include "schema/objects.h"

namespace dispatch::gateway {

namespace {

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
  json::object body{{"subscription", subscription->name}};
  if (!ReadFilter(*call, &body)) return;
  backend.services.Change(call, {kFunctionManager, backend.tables.functions}, "deadletter.purge",
                          std::move(body),
                          [call](broker::RpcReply reply) { call->SendJson(200, reply.body); });
}

}  // namespace

void AddDeadLetterRoutes(Gateway& gateway, Backend& backend) {
  const Access write{Access::Check::kObject, {auth::kWrite}, schema::kSubscriptionKind};
  for (const char* path : {kSubscriptions, "/v1/subscriptions"}) {
    gateway.Add({"DELETE", fmt::format("{}/{{name}}/dead-letters", path), write,
                 [&backend](CallPtr call) { Purge(call, backend); }});
  }
}

}  // namespace dispatch::gateway
