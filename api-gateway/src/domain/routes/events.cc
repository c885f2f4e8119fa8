#include <fmt/format.h>

#include "api-gateway/src/domain/routes.h"
#include "schema/objects.h"

namespace dispatch::gateway {

namespace {

void Publish(CallPtr call, Backend& backend) {
  if (!backend.tables.events.ready()) {
    return call->Fail({Code::kUnavailable, "the gateway is still reading topics: try again"});
  }
  std::string topic = call->request.Param("name");
  auto entity = backend.tables.events.Find(schema::kTopicKind, call->org + "/" + topic);
  if (entity == nullptr || json::GetString(entity->document, "status") == "DELETING") {
    return call->Fail(
        {Code::kNotFound, fmt::format("topic {} does not exist in organisation {}: create it with "
                                      "POST /v1/topics",
                                      topic, call->org)});
  }
  auto intake =
      ReadEvents(call->request, fmt::format("/{}/{}", call->org, topic), backend.loop.Now());
  if (!intake.ok()) return call->Fail(intake.error());
  backend.publisher.Publish(std::move(call), topic, std::move(*intake));
}

}  // namespace

void AddEventRoutes(Gateway& gateway, Backend& backend) {
  gateway.Add({"POST",
               "/v1/topics/{name}/events",
               {Access::Check::kObject, {auth::kPublish}, schema::kTopicKind},
               [&backend](CallPtr call) { Publish(std::move(call), backend); }});
}

}  // namespace dispatch::gateway
