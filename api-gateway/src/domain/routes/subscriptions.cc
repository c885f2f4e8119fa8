#include <fmt/format.h>

#include <charconv>

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

// The function that a subscription names and its organisation does not have (yet); else empty.
std::string MissingFunction(const Call& call, const broker::StateTable& functions,
                            const json::object& form) {
  std::string name = json::GetString(form, "function");
  if (name.empty() || functions.Find(schema::kFunctionKind, call.org + "/" + name)) return {};
  return name;
}

// A subscription to a missing function is accepted as VMware does; it keeps its boundary and starts
// when the function is there.
void ShowMissingFunction(const Call& call, const Backend& backend, json::object& form) {
  std::string name = MissingFunction(call, backend.tables.functions, form);
  if (name.empty() || json::GetString(form, "status") != "READY") return;
  form["status"] = "CREATING";
  form["reason"] = json::array{fmt::format("function '{}' does not exist", name)};
}

// What a subscription sends with its events must be there when it is made.
bool CheckSecrets(Call& call, const Backend& backend, const json::object& body) {
  const auto* sink = json::GetObject(body, "sink");
  for (const char* field : {"auth", "signing"}) {
    const auto* named = sink != nullptr ? json::GetObject(*sink, field) : nullptr;
    std::string name = named != nullptr ? json::GetString(*named, "secret") : std::string();
    if (name.empty() || backend.tables.functions.Find(schema::kSecretKind, call.org + "/" + name)) {
      continue;
    }
    call.Fail({Code::kUnprocessable,
               fmt::format("secret '{}' does not exist; make it first", name),
               false,
               {{fmt::format("sink.{}.secret", field), "must name a secret of the organization"}}});
    return false;
  }
  return true;
}

// Answers are published in the name of who makes the subscription.
bool CheckReplyTopic(Call& call, const json::object& body) {
  std::string topic = json::GetString(body, "replyTopic");
  return topic.empty() ||
         call.Require({auth::kPublish}, fmt::format("{}/{}", schema::kTopicKind, topic));
}

bool CheckStrict(Call& call, const Backend& backend, const json::object& body) {
  if (call.request.Query("strict").value_or("") != "true") return true;
  std::string name = MissingFunction(call, backend.tables.functions, body);
  if (name.empty()) return true;
  call.Fail({Code::kUnprocessable,
             fmt::format("function '{}' does not exist; make it first, or leave strict out", name),
             false,
             {{"function", "must name a function of the organization"}}});
  return false;
}

void SetPaused(const CallPtr& call, Backend& backend, const std::string& method) {
  backend.services.Change(call, {kEventManager, backend.tables.events}, method,
                          json::object{{"name", call->request.Param("name")}},
                          [call](broker::RpcReply reply) {
                            call->AddHeader("ETag", EntityTag(reply.state_version));
                            call->SendJson(200, reply.body);
                          });
}

// ?dryRun=true&sample=N: what the subscription would match of the last N events. Makes nothing.
bool DryRun(const CallPtr& call, Backend& backend, const json::object& body) {
  auto asked = call->request.Query("dryRun");
  if (!asked || *asked == "false") return false;
  auto refuse = [&](const char* field, const char* reason) {
    call->Fail(
        {Code::kInvalidArgument, fmt::format("{} {}", field, reason), false, {{field, reason}}});
    return true;
  };
  if (*asked != "true") return refuse("dryRun", "must be true or false");
  int64_t sample = 1'000;
  if (auto text = call->request.Query("sample")) {
    auto [end, fault] = std::from_chars(text->data(), text->data() + text->size(), sample);
    bool number = fault == std::errc() && end == text->data() + text->size();
    if (!number || sample < 1 || sample > 10'000) {
      return refuse("sample", "must be a whole number from 1 to 10000");
    }
  }
  json::object question{{"subscription", body}, {"sample", sample}};
  backend.services.Ask(call, kEventManager, "subscription.dryrun", std::move(question),
                       [call](broker::RpcReply reply) { call->SendJson(200, reply.body); });
  return true;
}

void Rewind(const CallPtr& call, Backend& backend) {
  auto body = call->Body();
  if (!body.ok()) return call->Fail(body.error());
  (*body)["name"] = call->request.Param("name");
  backend.services.Change(call, {kEventManager, backend.tables.events}, "subscription.rewind",
                          std::move(*body), [call](broker::RpcReply reply) {
                            call->AddHeader("ETag", EntityTag(reply.state_version));
                            call->SendJson(200, reply.body);
                          });
}

EntityPtr FindSubscription(Call& call, const Backend& backend) {
  return FindNamed(call, backend.tables.events, schema::kSubscriptionKind, "/v1/subscriptions");
}

void CreateReplay(const CallPtr& call, Backend& backend) {
  auto body = call->Body();
  if (!body.ok()) return call->Fail(body.error());
  (*body)["name"] = call->request.Param("name");
  backend.services.Change(call, {kEventManager, backend.tables.events}, "replay.create",
                          std::move(*body), [call](broker::RpcReply reply) {
                            std::string id = json::GetString(reply.body.get_object(), "id");
                            call->AddHeader("Location",
                                            fmt::format("/v1/event/subscriptions/{}/replays/{}",
                                                        call->request.Param("name"), id));
                            call->SendJson(201, reply.body);
                          });
}

// The subscription's, oldest first.
void ListReplays(const CallPtr& call, const Backend& backend) {
  if (FindSubscription(*call, backend) == nullptr) return;
  std::vector<EntityPtr> found;
  backend.tables.events.ForEach(schema::kReplayKind, [&](const EntityPtr& entity) {
    bool own = entity->org == call->org &&
               json::GetString(entity->document, "subscription") == call->request.Param("name");
    if (own) found.push_back(entity);
  });
  SendList(call, std::move(found));
}

json::object ReplayQuestion(const Call& call) {
  return {{"name", call.request.Param("name")}, {"id", call.request.Param("id")}};
}

// One that is under way with its progress, when that can be told in time.
void GetReplay(const CallPtr& call, Backend& backend) {
  if (FindSubscription(*call, backend) == nullptr) return;
  std::string id = call->request.Param("id");
  auto entity = backend.tables.events.Find(schema::kReplayKind, call->org + "/" + id);
  bool own = entity != nullptr &&
             json::GetString(entity->document, "subscription") == call->request.Param("name");
  if (!own) {
    return call->Fail({Code::kNotFound, fmt::format("replay '{}' does not exist", id)});
  }
  backend.services.TryAsk(
      call, kEventManager, "replay.get", ReplayQuestion(*call), kStatisticsBudget,
      [call, form = ApiForm(*entity)](Result<broker::RpcReply> reply) mutable {
        const auto* answer = reply.ok() ? reply->body.if_object() : nullptr;
        const auto* progress = answer ? json::GetObject(*answer, "progress") : nullptr;
        if (progress != nullptr) form["progress"] = *progress;
        call->SendJson(200, json::value(std::move(form)));
      });
}

void CancelReplay(const CallPtr& call, Backend& backend) {
  backend.services.Change(call, {kEventManager, backend.tables.events}, "replay.cancel",
                          ReplayQuestion(*call),
                          [call](broker::RpcReply reply) { call->SendJson(200, reply.body); });
}

}  // namespace

void AddSubscriptionRoutes(Gateway& gateway, Backend& backend) {
  Resource subscriptions{.kind = schema::kSubscriptionKind,
                         .paths = {"/v1/event/subscriptions", "/v1/subscriptions"},
                         .owner = {kEventManager, backend.tables.events},
                         .write_actions = {auth::kSubscribe, auth::kWrite},
                         .delete_shows_object = true};
  subscriptions.correct = [&backend](const Call& call, json::object& form) {
    ShowMissingFunction(call, backend, form);
  };
  subscriptions.enrich = [&backend](const CallPtr& call, json::object form,
                                    std::function<void(json::object)> done) {
    AddStatistics(call, backend, std::move(form), std::move(done));
  };
  subscriptions.take_create = [&backend](const CallPtr& call, const json::object& body) {
    return DryRun(call, backend, body);
  };
  subscriptions.check_body = [&backend](Call& call, const json::object& body) {
    return CheckReplyTopic(call, body) && CheckStrict(call, backend, body) &&
           CheckSecrets(call, backend, body);
  };
  const Access write{Access::Check::kObject, subscriptions.write_actions,
                     schema::kSubscriptionKind};
  const Access read{Access::Check::kObject, subscriptions.read_actions, schema::kSubscriptionKind};
  for (const std::string& path : subscriptions.paths) {
    for (const char* verb : {"pause", "resume"}) {
      gateway.Add({"POST", fmt::format("{}/{{name}}/{}", path, verb), write,
                   [&backend, method = fmt::format("subscription.{}", verb)](CallPtr call) {
                     SetPaused(call, backend, method);
                   }});
    }
  }
  for (const std::string& path : subscriptions.paths) {
    gateway.Add({"POST", path + "/{name}/rewind", write,
                 [&backend](CallPtr call) { Rewind(call, backend); }});
    gateway.Add({"POST", path + "/{name}/replay", write,
                 [&backend](CallPtr call) { CreateReplay(call, backend); }});
    gateway.Add({"GET", path + "/{name}/replays", read,
                 [&backend](CallPtr call) { ListReplays(call, backend); }});
    gateway.Add({"GET", path + "/{name}/replays/{id}", read,
                 [&backend](CallPtr call) { GetReplay(call, backend); }});
    gateway.Add({"DELETE", path + "/{name}/replays/{id}", write,
                 [&backend](CallPtr call) { CancelReplay(call, backend); }});
  }
  AddResource(gateway, backend.services, std::move(subscriptions));
}

}  // namespace dispatch::gateway
