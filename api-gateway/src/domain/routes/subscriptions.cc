#include <fmt/format.h>

#include "api-gateway/src/domain/resource.h"
#include "api-gateway/src/domain/routes.h"
#include "schema/objects.h"

namespace dispatch::gateway {

namespace {

// Statistics are worth half a second, not the answer.
constexpr std::chrono::milliseconds kStatisticsBudget{500};

void AddStatistics(const CallPtr& call, Backend& backend, json::object form,
                   std::function<void(json::object)> done) {
  json::object body{{"subscription", call->request.Param("name")}};
  backend.services.TryAsk(
      call, kEventManager, "lag.get", std::move(body), kStatisticsBudget,
      [form = std::move(form), done = std::move(done)](Result<broker::RpcReply> reply) mutable {
        if (reply.ok() && reply->body.is_object()) form["statistics"] = std::move(reply->body);
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
