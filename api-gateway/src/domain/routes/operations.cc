#include <fmt/format.h>

#include <algorithm>

#include "api-gateway/src/domain/doctor.h"
#include "api-gateway/src/domain/lag_history_query.h"
#include "api-gateway/src/domain/lag_question.h"
#include "api-gateway/src/domain/routes.h"
#include "schema/objects.h"
#include "schema/rfc3339.h"

namespace dispatch::gateway {

namespace {

json::object TableStatus(const char* service, const broker::StateTable& table) {
  json::object status{{"name", service}, {"ready", table.ready()}};
  // Before the first word of a service its age means nothing.
  if (Duration age = table.age(); age != Duration::max()) {
    status["heardSecondsAgo"] = age.count() / 1'000'000;
  }
  return status;
}

void SendStatus(const CallPtr& call, Backend& backend) {
  constexpr Duration kSilent = std::chrono::seconds(4);
  json::array services;
  bool all = true;
  auto add = [&](const char* name, const broker::StateTable& table) {
    services.push_back(TableStatus(name, table));
    all = all && table.ready() && table.age() < kSilent;
  };
  add(kIdentity, backend.tables.identity);
  add(kEventManager, backend.tables.events);
  add(kFunctionManager, backend.tables.functions);
  call->SendJson(200, json::object{{"status", all ? "ok" : "degraded"},
                                   {"services", std::move(services)},
                                   {"publishing", backend.publisher.in_flight()}});
}

// Only what the key may read.
void KeepReadable(const Call& call, const char* kind, json::value* list) {
  if (!list->is_array()) return;
  json::array kept;
  for (json::value& element : list->get_array()) {
    const json::object* object = element.if_object();
    std::string name = object ? json::GetString(*object, "name") : std::string();
    if (call.principal->permissions.Allows(auth::kRead, fmt::format("{}/{}", kind, name))) {
      kept.push_back(std::move(element));
    }
  }
  *list = std::move(kept);
}

// Who the caller is now, if that may still read the lag of some subscription.
std::shared_ptr<const Principal> StillReads(const Call& during, Backend& backend) {
  auto principal = backend.directory.Authenticate(during.request.headers.Get("Authorization"));
  bool reads = principal.ok() &&
               (*principal)->permissions.AllowsSome(auth::kRead, schema::kSubscriptionKind);
  return reads ? *principal : nullptr;
}

void SendLag(const CallPtr& call, Backend& backend) {
  std::string follow = call->request.Query("follow").value_or("false");
  if (follow != "true" && follow != "false") {
    return call->Fail({Code::kInvalidArgument,
                       "follow must be true or false",
                       false,
                       {{"follow", "must be true or false"}}});
  }
  if (follow == "true") {
    return backend.lag_streams.Follow(
        call, [&backend](const Call& during) { return StillReads(during, backend); });
  }
  std::chrono::milliseconds timeout = LookTime(backend.tables.events);
  AskForLag(backend.loop, backend.services, call, timeout, [call, &backend](Result<LagAnswer> lag) {
    if (!lag.ok()) {
      return call->Fail(ExplainLag(backend.services, *call, backend.tables.events,
                                   backend.loop.Now(), lag.error()));
    }
    json::object& document = lag->document;
    KeepReadable(*call, schema::kSubscriptionKind, &document["subscriptions"]);
    KeepReadable(*call, schema::kTopicKind, &document["topics"]);
    call->SendJson(200, json::value(std::move(document)));
  });
}

void SendLagHistory(const CallPtr& call, Backend& backend) {
  auto query = ReadLagHistoryQuery(call->request, backend.loop.Now());
  if (!query.ok()) return call->Fail(query.error());
  json::array names;
  for (const auto& name : query->subscriptions) {
    bool may = call->principal->permissions.Allows(
        auth::kRead, fmt::format("{}/{}", schema::kSubscriptionKind, name));
    if (may) names.emplace_back(name);
  }
  json::object body{{"subscriptions", std::move(names)},
                    {"from", ToMillis(query->from)},
                    {"step", query->step.count()},
                    {"count", query->count},
                    {"partitions", query->partitions}};
  backend.services.Ask(call, kEventManager, "lag.history", std::move(body),
                       [call, query = *query](broker::RpcReply reply) {
                         json::object answer{{"from", schema::FormatRfc3339(query.from)},
                                             {"to", schema::FormatRfc3339(query.to())},
                                             {"stepSeconds", query.step.count() / 1'000}};
                         const json::object* body = reply.body.if_object();
                         const auto* rows = body ? json::GetArray(*body, "subscriptions") : nullptr;
                         answer["subscriptions"] = rows ? *rows : json::array();
                         call->SendJson(200, json::value(std::move(answer)));
                       });
}

constexpr char kGroupKind[] = "consumer-group";

// Groups belong to the cluster and to no organisation: they are shown to who acts in all of them.
bool MayReadGroups(const CallPtr& call, const std::string& name) {
  if (!call->principal->global) {
    call->Fail({Code::kPermissionDenied,
                "consumer groups are of the whole installation: use a key that may act in every "
                "organisation"});
    return false;
  }
  return call->Require({auth::kRead}, fmt::format("{}/{}", kGroupKind, name));
}

void SendGroups(const CallPtr& call, Backend& backend) {
  if (!MayReadGroups(call, "*")) return;
  backend.services.Ask(call, kEventManager, "groups.list", json::object(),
                       [call](broker::RpcReply reply) { call->SendJson(200, reply.body); });
}

void SendGroup(const CallPtr& call, Backend& backend) {
  std::string name = call->request.Param("name");
  if (!MayReadGroups(call, name)) return;
  backend.services.Ask(call, kEventManager, "groups.get", json::object{{"name", name}},
                       [call](broker::RpcReply reply) { call->SendJson(200, reply.body); });
}

json::object VersionDocument(const Version& version) {
  return {{"version", version.number},
          {"commit", version.commit},
          {"buildDate", ""},  // none, so that the same sources make the same program
          {"compiler", fmt::format("clang {}", __clang_version__)},
          {"goVersion", ""},  // VMware's CLI reads it
          {"platform", "linux/x86_64"}};
}

}  // namespace

void AddOperationRoutes(Gateway& gateway, Backend& backend, std::string openapi,
                        const Version& version) {
  const Access open{Access::Check::kOpen};
  gateway.Add({"GET", "/healthz", open,
               [](CallPtr call) { call->SendJson(200, std::string(R"({"status":"ok"})")); }});
  // VMware's login asks it whether the credentials are good.
  gateway.Add({"GET", "/home", {Access::Check::kKey}, [](const CallPtr& call) {
                 call->SendJson(200, json::object{{"message", "Dispatch knows you"}});
               }});
  gateway.Add({"GET", "/v1/version", open,
               [body = json::Serialize(VersionDocument(version))](CallPtr call) {
                 call->SendJson(200, body);
               }});
  gateway.Add({"GET", "/v1/openapi.json", open,
               [body = std::move(openapi)](CallPtr call) { call->SendJson(200, body); }});
  gateway.Add({"GET", "/v1/status", {Access::Check::kKey}, [&backend](CallPtr call) {
                 SendStatus(call, backend);
               }});
  gateway.Add({"GET",
               "/v1/lag",
               {Access::Check::kSome, {auth::kRead}, schema::kSubscriptionKind},
               [&backend](CallPtr call) { SendLag(call, backend); }});
  gateway.Add({"GET",
               "/v1/lag/history",
               {Access::Check::kSome, {auth::kRead}, schema::kSubscriptionKind},
               [&backend](CallPtr call) { SendLagHistory(call, backend); }});
  gateway.Add({"GET", "/v1/consumer-groups", {Access::Check::kKey}, [&backend](CallPtr call) {
                 SendGroups(call, backend);
               }});
  gateway.Add(
      {"GET", "/v1/consumer-groups/{name}", {Access::Check::kKey}, [&backend](CallPtr call) {
         SendGroup(call, backend);
       }});
}

void AddRoutes(Gateway& gateway, Backend& backend, std::string openapi, const Version& version) {
  AddEventRoutes(gateway, backend);
  AddBrowseRoutes(gateway, backend);
  AddTopicRoutes(gateway, backend);
  AddSubscriptionRoutes(gateway, backend);
  AddDeliveryRoutes(gateway, backend);
  AddDeadLetterRoutes(gateway, backend);
  AddFunctionRoutes(gateway, backend);
  AddRunRoutes(gateway, backend);
  AddApplicationRoutes(gateway, backend);
  AddApiRoutes(gateway, backend);
  AddSecretRoutes(gateway, backend);
  AddDriverRoutes(gateway, backend);
  AddWebhookRoutes(gateway, backend);
  AddIamRoutes(gateway, backend);
  AddDoctorRoutes(gateway, backend, version);
  AddOperationRoutes(gateway, backend, std::move(openapi), version);
}

}  // namespace dispatch::gateway
