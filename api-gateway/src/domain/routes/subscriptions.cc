#include <fmt/format.h>

#include "api-gateway/src/domain/resource.h"
#include "api-gateway/src/domain/routes.h"
#include "schema/objects.h"

namespace dispatch::gateway {

namespace {

// Statistics are worth half a second, not the answer.
constexpr std::chrono::milliseconds kStatisticsBudget{500};

// What lag.get says of the one subscription that it was asked for, without what the object has.
std::optional<json::object> StatisticsIn(const json::value& lag) {
  const json::object* body = lag.if_object();
  const json::array* subscriptions = body ? json::GetArray(*body, "subscriptions") : nullptr;
  if (subscriptions == nullptr || subscriptions->empty() || !subscriptions->front().is_object()) {
    return std::nullopt;
  }
  json::object statistics = subscriptions->front().get_object();
  for (const char* known : {"name", "topic"}) statistics.erase(known);
  return statistics;
}

void AddStatistics(const CallPtr& call, Backend& backend, json::object form,
                   std::function<void(json::object)> done) {
  json::object body{{"subscription", call->request.Param("name")}};
  backend.services.TryAsk(
      call, kEventManager, "lag.get", std::move(body), kStatisticsBudget,
      [form = std::move(form), done = std::move(done)](Result<broker::RpcReply> reply) mutable {
        auto statistics = reply.ok() ? StatisticsIn(reply->body) : std::nullopt;
        if (statistics) form["statistics"] = std::move(*statistics);
        done(std::move(form));
      });
}

void SetPaused(const CallPtr& call, Backend& backend, const std::string& method) {
  backend.services.Change(call, {kEventManager, backend.tables.events}, method,
                          json::object{{"name", call->request.Param("name")}},
                          [call](broker::RpcReply reply) {
                            call->AddHeader("ETag", EntityTag(reply.state_version));
                            call->SendJson(200, reply.body);
                          });
}

}  // namespace

void AddSubscriptionRoutes(Gateway& gateway, Backend& backend) {
  Resource subscriptions{.kind = schema::kSubscriptionKind,
                         .paths = {"/v1/event/subscriptions", "/v1/subscriptions"},
                         .owner = {kEventManager, backend.tables.events},
                         .write_actions = {auth::kSubscribe, auth::kWrite},
                         .delete_shows_object = true};
  subscriptions.enrich = [&backend](const CallPtr& call, json::object form,
                                    std::function<void(json::object)> done) {
    AddStatistics(call, backend, std::move(form), std::move(done));
  };
  const Access write{Access::Check::kObject, subscriptions.write_actions,
                     schema::kSubscriptionKind};
  for (const std::string& path : subscriptions.paths) {
    for (const char* verb : {"pause", "resume"}) {
      gateway.Add({"POST", fmt::format("{}/{{name}}/{}", path, verb), write,
                   [&backend, method = fmt::format("subscription.{}", verb)](CallPtr call) {
                     SetPaused(call, backend, method);
                   }});
    }
  }
  AddResource(gateway, backend.services, std::move(subscriptions));
}

}  // namespace dispatch::gateway
