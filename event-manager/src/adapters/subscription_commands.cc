#include "event-manager/src/adapters/subscription_commands.h"

#include "broker-adapters/entities/entity_reply.h"
#include "broker-adapters/entities/idempotency.h"
#include "broker-adapters/topics.h"
#include "event-manager/src/adapters/replays.h"
#include "schema/objects.h"

namespace dispatch {

namespace {

using schema::kSubscriptionKind;
using schema::kTopicKind;

Error NoTopic(const std::string& name) {
  return {Code::kUnprocessable,
          "topic '" + name + "' does not exist; create it first",
          false,
          {{"topic", "must name a topic of the organization"}}};
}

Result<StoredEntity> UsableTopic(pg::Transaction& tx, const std::string& org,
                                 const std::string& name) {
  ASSIGN_OR_RETURN(auto topic, EntityStore(tx).Find(kTopicKind, org, name));
  if (!topic || json::GetString(topic->document, "status") == "DELETING") return NoTopic(name);
  return std::move(*topic);
}

// The topics that the subscription names, for dead letters and replies, are topics that events may
// be written to.
Status CheckNamedTopics(pg::Transaction& tx, const std::string& org, const json::object& document) {
  for (const char* field : {"deadLetterTopic", "replyTopic"}) {
    std::string name = json::GetString(document, field);
    if (name.empty() || UsableTopic(tx, org, name).ok()) continue;
    return Error{Code::kUnprocessable,
                 "topic '" + name + "' does not exist; create it first",
                 false,
                 {{field, "must name a topic of the organization"}}};
  }
  return {};
}

bool AwaitsPermission(const json::object& document) {
  const auto* handshake = json::GetObject(document, "handshake");
  return handshake != nullptr && json::GetString(*handshake, "state") != "allowed";
}

// READY, unless its endpoint is still to allow deliveries.
void SetReady(json::object& document) {
  bool waits = AwaitsPermission(document);
  document["status"] = waits ? "CREATING" : "READY";
  document["reason"] = json::array();
  if (waits) document["reason"] = json::array{"the endpoint has not allowed deliveries yet"};
}

// `sink.handshake`: the endpoint is asked once, and again when it is another one. True when it is
// to be asked now.
bool BeginHandshake(const json::object* before, json::object& document) {
  const auto* sink = json::GetObject(document, "sink");
  document.erase("handshake");
  if (sink == nullptr || !json::GetBool(*sink, "handshake")) return false;
  const auto* old = before != nullptr ? json::GetObject(*before, "handshake") : nullptr;
  const auto* old_sink = before != nullptr ? json::GetObject(*before, "sink") : nullptr;
  bool same = old != nullptr && old_sink != nullptr &&
              json::GetString(*old_sink, "url") == json::GetString(*sink, "url");
  document["handshake"] = same ? *old : json::object{{"state", "pending"}};
  return !same;
}

// What decides which events match.
json::object MatchingOf(const json::object& document) {
  json::object matching{{"eventType", json::GetString(document, "eventType")}};
  if (const auto* filters = json::GetArray(document, "filters")) matching["filters"] = *filters;
  return matching;
}

// Everything from `boundaries` on comes again; what is pending of the generation before is
// cancelled, and filters from before a change serve nothing any more.
void RewindTo(json::object& stored, const std::vector<int64_t>& boundaries) {
  auto& internal = stored["internal"].as_object();
  internal["generation"] = json::GetInt(internal, "generation", 1) + 1;
  internal["boundaries"] = json::array(boundaries.begin(), boundaries.end());
  for (const char* before : {"previous", "filterBoundaries", "pauseBoundaries"}) {
    internal.erase(before);
  }
  if (json::GetString(stored, "status") == "READY") stored["reason"] = json::array();
}

void PauseAt(json::object& stored, const std::vector<int64_t>& ends) {
  stored["paused"] = true;
  stored["internal"].as_object()["pauseBoundaries"] = json::array(ends.begin(), ends.end());
}

std::string NameIn(const schema::Request& request) {
  auto body = json::ParseObject(request.body);
  return body.ok() ? json::GetString(*body, "name") : std::string();
}

}  // namespace

void SubscriptionCommands::Register(broker::RpcServer& server) {
  auto handle = [this, &server](const char* method, auto handler) {
    server.HandleChange(method, AnsweringRepeats(pool_, handler));
  };
  handle("subscription.create", [this](const auto& r, auto d) { Create(r, std::move(d)); });
  handle("subscription.update", [this](const auto& r, auto d) { Update(r, std::move(d)); });
  handle("subscription.delete", [this](const auto& r, auto d) { Delete(r, std::move(d)); });
  handle("subscription.pause", [this](const auto& r, auto d) { SetPaused(r, true, std::move(d)); });
  handle("subscription.resume",
         [this](const auto& r, auto d) { SetPaused(r, false, std::move(d)); });
  handle("subscription.rewind", [this](const auto& r, auto d) { Rewind(r, std::move(d)); });
  handle("subscription.permit", [this](const auto& r, auto d) { Permit(r, std::move(d)); });
  handle("subscription.disable", [this](const auto& r, auto d) { Disable(r, std::move(d)); });
}

void SubscriptionCommands::Create(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto document = SubscriptionDocument(*body);
  if (!document.ok()) return respond(document.error());
  auto start = ParseStart(*document);
  if (!start.ok()) return respond(start.error());
  const std::string& org = request.org;
  std::string topic_name = json::GetString(*document, "topic");
  pool_.Query<StoredEntity>(
      [org, topic_name, document = *document](pg::Transaction& tx) -> Result<StoredEntity> {
        RETURN_IF_ERROR(CheckNamedTopics(tx, org, document));
        return UsableTopic(tx, org, topic_name);
      },
      [this, request, document = std::move(*document), start = *start,
       respond = std::move(respond)](Result<StoredEntity> topic) mutable {
        if (!topic.ok()) return respond(topic.error());
        places_.Find(broker::EventTopic(request.org, topic->name), start,
                     [this, request, document = std::move(document), topic = *topic,
                      respond = std::move(respond)](Result<Boundaries> boundaries) mutable {
                       if (!boundaries.ok()) return respond(boundaries.error());
                       Insert(request, std::move(document), topic, *boundaries, std::move(respond));
                     });
      });
}

void SubscriptionCommands::Insert(const schema::Request& request, json::object document,
                                  const StoredEntity& topic, const Boundaries& boundaries,
                                  Responder respond) {
  StoredEntity entity;
  entity.kind = kSubscriptionKind;
  entity.org = request.org;
  entity.name = json::GetString(document, "name");
  entity.uuid = Uuid::V7(loop_.Now());
  json::array offsets(boundaries.begin(), boundaries.end());
  int64_t now_s = ToMillis(loop_.Now()) / 1000;
  BeginHandshake(nullptr, document);
  SetReady(document);
  document["createdTime"] = now_s;
  document["modifiedTime"] = now_s;
  document["internal"] = {
      {"topicUuid", topic.uuid.ToString()}, {"generation", 1}, {"boundaries", std::move(offsets)}};
  entity.document = std::move(document);
  AnswerWithEntity(
      pool_, request,
      [entity, topic](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        // Under the topic's lock, so that it cannot go meanwhile.
        auto locked = store.Lock(kTopicKind, topic.org, topic.name);
        if (!locked.ok() && locked.code() != Code::kNotFound) return locked.error();
        bool usable = locked.ok() && locked->uuid == topic.uuid &&
                      json::GetString(locked->document, "status") != "DELETING";
        if (!usable) return NoTopic(topic.name);
        StoredEntity stored = entity;
        RETURN_IF_ERROR(store.Insert(stored));
        return stored;
      },
      Committing(committed_, std::move(respond)));
}

void SubscriptionCommands::Apply(const schema::Request& request, const std::string& name,
                                 Change change, Responder respond, Also also) {
  AnswerWithEntity(
      pool_, request,
      [org = request.org, name, change = std::move(change), also = std::move(also),
       if_match = request.if_match,
       now_s = ToMillis(loop_.Now()) / 1000](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        ASSIGN_OR_RETURN(auto stored, store.Lock(kSubscriptionKind, org, name));
        RETURN_IF_ERROR(change(stored.document));
        stored.document["modifiedTime"] = now_s;
        RETURN_IF_ERROR(store.UpdateIfChanged(stored, if_match));
        if (also) RETURN_IF_ERROR(also(store, stored));
        return stored;
      },
      Committing(committed_, std::move(respond)));
}

void SubscriptionCommands::Update(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto document = SubscriptionDocument(*body);
  if (!document.ok()) return respond(document.error());
  std::string name = json::GetString(*document, "name");
  auto write = [this, request, name, document = *document,
                respond = std::move(respond)](Result<Boundaries> ends) mutable {
    if (!ends.ok()) return respond(ends.error());
    Replace(request, name, std::move(document), *ends, std::move(respond));
  };
  pool_.Run([org = request.org, document = *document](
                pg::Transaction& tx) { return CheckNamedTopics(tx, org, document); },
            [this, request, name, write = std::move(write)](Status checked) mutable {
              if (!checked.ok()) return write(checked.error());
              FindEnds(request.org, name, std::move(write));
            });
}

void SubscriptionCommands::Replace(const schema::Request& request, const std::string& name,
                                   json::object document, const Boundaries& ends,
                                   Responder respond) {
  Apply(
      request, name,
      [document = std::move(document), ends](json::object& stored) -> Status {
        json::object next = document;
        if (json::GetString(stored, "topic") != json::GetString(next, "topic")) {
          return Error{Code::kUnprocessable,
                       "topic cannot change; create another subscription",
                       false,
                       {{"topic", "cannot change"}}};
        }
        // Where it started is history.
        for (const char* kept : {"start", "createdTime", "internal"}) next[kept] = stored.at(kept);
        // Paused, or as good as that while it waits for its endpoint.
        bool was_paused = json::GetBool(stored, "paused") || AwaitsPermission(stored);
        bool asks = BeginHandshake(&stored, next);
        SetReady(next);
        // Asked for already: what came of it stays to be seen.
        if (!asks && AwaitsPermission(next)) next["reason"] = stored.at("reason");
        if (MatchingOf(stored) != MatchingOf(next)) {
          auto& internal = next["internal"].as_object();
          internal["previous"] = MatchingOf(stored);
          internal["filterBoundaries"] = json::array(ends.begin(), ends.end());
        }
        stored = std::move(next);
        bool paused = json::GetBool(stored, "paused");
        if ((paused || AwaitsPermission(stored)) && !was_paused) PauseAt(stored, ends);
        stored["paused"] = paused;
        return {};
      },
      std::move(respond), UpdateReplays);
}

void SubscriptionCommands::SetPaused(const schema::Request& request, bool paused,
                                     Responder respond) {
  if (!paused) {
    return Apply(
        request, NameIn(request),
        [](json::object& stored) -> Status {
          stored["paused"] = false;
          SetReady(stored);
          return {};
        },
        std::move(respond));
  }
  FindEnds(request.org, NameIn(request),
           [this, request, respond = std::move(respond)](Result<Boundaries> ends) {
             if (!ends.ok()) return respond(ends.error());
             Apply(
                 request, NameIn(request),
                 [ends = *ends](json::object& stored) -> Status {
                   PauseAt(stored, ends);
                   return {};
                 },
                 respond);
           });
}

void SubscriptionCommands::Rewind(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto start = ParseRewind(*body);
  if (!start.ok()) return respond(start.error());
  FindPlaces(request.org, NameIn(request), *start,
             [this, request, respond = std::move(respond)](Result<Boundaries> places) {
               if (!places.ok()) return respond(places.error());
               Apply(
                   request, NameIn(request),
                   [places = *places](json::object& stored) -> Status {
                     RewindTo(stored, places);
                     return {};
                   },
                   respond);
             });
}

void SubscriptionCommands::FindPlaces(const std::string& org, const std::string& name,
                                      const StartAt& start,
                                      std::function<void(Result<Boundaries>)> done) {
  pool_.Query<StoredEntity>(
      [org, name](pg::Transaction& tx) {
        return EntityStore(tx).Lock(kSubscriptionKind, org, name);
      },
      [this, org, start, done = std::move(done)](Result<StoredEntity> subscription) {
        if (!subscription.ok()) return done(subscription.error());
        std::string topic = json::GetString(subscription->document, "topic", "default");
        places_.Find(broker::EventTopic(org, topic), start, done);
      });
}

// As a pause: what was accepted before is matched still, whenever an owner learns of it.
void SubscriptionCommands::Disable(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  FindEnds(request.org, json::GetString(*body, "name"),
           [this, request, name = json::GetString(*body, "name"),
            reason = json::GetString(*body, "reason"),
            respond = std::move(respond)](Result<Boundaries> ends) {
             if (!ends.ok()) return respond(ends.error());
             Apply(
                 request, name,
                 [reason, ends = *ends](json::object& stored) -> Status {
                   if (!json::GetBool(stored, "paused")) PauseAt(stored, ends);
                   stored["status"] = "ERROR";
                   stored["reason"] = json::array{reason};
                   return {};
                 },
                 respond);
           });
}

void SubscriptionCommands::Permit(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  Apply(
      request, json::GetString(*body, "name"),
      [asked = *body](json::object& stored) -> Status {
        // What was asked of another endpoint says nothing of this one.
        const auto* sink = json::GetObject(stored, "sink");
        bool same = sink != nullptr && AwaitsPermission(stored) &&
                    json::GetString(*sink, "url") == json::GetString(asked, "url");
        if (!same) return {};
        if (!json::GetBool(asked, "allowed")) {
          stored["reason"] = json::array{json::GetString(asked, "reason")};
          return {};
        }
        json::object handshake{{"state", "allowed"}};
        if (int64_t rate = json::GetInt(asked, "rate"); rate > 0) handshake["allowedRate"] = rate;
        stored["handshake"] = std::move(handshake);
        SetReady(stored);
        return {};
      },
      std::move(respond));
}

void SubscriptionCommands::Delete(const schema::Request& request, Responder respond) {
  AnswerWithEntity(
      pool_, request,
      [org = request.org, name = NameIn(request),
       if_match = request.if_match](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        ASSIGN_OR_RETURN(auto stored, store.Lock(kSubscriptionKind, org, name));
        RETURN_IF_ERROR(store.Delete(stored, if_match));
        RETURN_IF_ERROR(DeleteReplays(store, stored));
        return stored;
      },
      Committing(committed_, std::move(respond)));
}

}  // namespace dispatch
