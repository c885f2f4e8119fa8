#include "event-manager/src/adapters/drivers/driver_commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "broker-adapters/entities/entity_reply.h"
#include "broker-adapters/entities/idempotency.h"
#include "common/config.h"
#include "event-manager/src/adapters/drivers/driver_store.h"
#include "event-manager/src/domain/drivers/driver_request.h"
#include "schema/driver_types.h"
#include "schema/objects.h"
#include "schema/request_reader.h"
#include "schema/rfc3339.h"
#include "schema/webhook_token.h"

namespace dispatch {

namespace {

using schema::kDriverKind;
using schema::kDriverTypeKind;

using AskedDriver = DriverCommands::AskedDriver;

constexpr std::chrono::hours kDefaultOverlap{24};
constexpr std::chrono::hours kLongestOverlap{7 * 24};
constexpr int64_t kDefaultLines = 200;

// The document of a driver's type, held until the end of the transaction. A type of the
// organization comes before a built-in one of that name.
Result<json::object> HoldType(EntityStore& store, const std::string& org, const std::string& driver,
                              const std::string& type) {
  auto locked = store.Lock(kDriverTypeKind, org, type);
  if (locked.ok()) return locked->document;
  if (locked.code() != Code::kNotFound) return locked.error();
  const BuiltInType* built_in = FindBuiltIn(type);
  if (built_in == nullptr) return NoSuchType(driver, type);
  return schema::BuiltInDriverType(type);
}

bool IsWebhook(const json::object& driver) {
  auto kind = KindOfImage(json::GetString(driver, "image"));
  return kind.ok() && *kind == DriverKind::kWebhook;
}

// Only webhooks need nobody to run them.
Status Place(pg::Transaction& tx, StoredEntity& driver) {
  if (IsWebhook(driver.document)) return DriverStore::Remove(tx, driver.uuid);
  return DriverStore::Put(tx, driver);
}

void Begin(json::object& document, const char* status) {
  document["status"] = IsWebhook(document) ? "READY" : status;
  document["reason"] = json::array();
}

void FillWebhook(const std::string& org, json::object& document) {
  bool webhook = IsWebhook(document);
  document["url"] = webhook ? WebhookPath(org, json::GetString(document, "name")) : "";
  if (!webhook) return;
  json::value& internal = document["internal"];
  if (!internal.is_object()) internal = json::object();
  if (!internal.as_object().contains("webhook")) {
    internal.as_object()["webhook"] = {{"generation", 1}};
  }
}

Status RequireTopic(EntityStore& store, const std::string& org, const json::object& type,
                    const json::object& driver) {
  DriverConfig config = MergeConfig(ReadConfig(type), ReadConfig(driver));
  std::vector<std::pair<const char*, std::string>> named{{"config.topic", TopicOf(config)}};
  auto kind = KindOfImage(json::GetString(type, "image"));
  bool own = kind.ok() && *kind == DriverKind::kKafka && ConfigValue(config, "brokers").empty();
  if (own) named.emplace_back("config.source", ConfigValue(config, "source"));
  for (const auto& [field, topic] : named) {
    ASSIGN_OR_RETURN(auto found, store.Find(schema::kTopicKind, org, topic));
    if (found) continue;
    return Error{Code::kUnprocessable,
                 fmt::format("topic '{}' does not exist: create it with POST /v1/topics", topic),
                 false,
                 {{field, "must be the name of a topic"}}};
  }
  return {};
}

// What makes a driver run otherwise.
bool RunsAlike(const json::object& a, const json::object& b) {
  auto of = [](const json::object& o, const char* field) {
    const auto* value = o.if_contains(field);
    return value != nullptr ? *value : json::value();
  };
  for (const char* field : {"type", "image", "config", "secrets"}) {
    if (of(a, field) != of(b, field)) return false;
  }
  return true;
}

bool Alike(const json::object& a, const json::object& b) {
  return RunsAlike(a, b) && a.at("tags") == b.at("tags") && a.at("expose") == b.at("expose");
}

std::string NameIn(const schema::Request& request) {
  auto body = json::ParseObject(request.body);
  return body.ok() ? json::GetString(*body, "name") : "";
}

// A type that there is no entity of.
Error Missing(const std::string& type, Error not_found) {
  if (FindBuiltIn(type) == nullptr) return not_found;
  return {Code::kConflict,
          fmt::format("driver type '{}' is built in: it cannot be changed or deleted; one of your "
                      "own with that name takes its place",
                      type)};
}

Result<std::vector<StoredEntity>> DriversOf(EntityStore& store, const std::string& org,
                                            const std::string& type) {
  ASSIGN_OR_RETURN(auto all, store.List(kDriverKind, org));
  std::erase_if(all, [&](const auto& d) { return json::GetString(d.document, "type") != type; });
  return all;
}

// The drivers of a type that was changed run with what it says now.
Status Follow(pg::Transaction& tx, const StoredEntity& type) {
  EntityStore store(tx);
  ASSIGN_OR_RETURN(auto drivers, DriversOf(store, type.org, type.name));
  for (auto& driver : drivers) {
    Status filled = FillDriver(type.document, driver.document);
    if (!filled.ok()) {
      return Error{Code::kUnprocessable,
                   fmt::format("driver '{}' cannot be of it: {}", driver.name, filled.message())};
    }
    Begin(driver.document, "UPDATING");
    FillWebhook(driver.org, driver.document);
    RETURN_IF_ERROR(store.Update(driver, std::nullopt));
    RETURN_IF_ERROR(Place(tx, driver));
  }
  return {};
}

// What a driver has of its type, which is given back.
Result<json::object> FillFromType(EntityStore& store, const std::string& org,
                                  json::object& document) {
  ASSIGN_OR_RETURN(auto type, HoldType(store, org, json::GetString(document, "name"),
                                       json::GetString(document, "type")));
  RETURN_IF_ERROR(FillDriver(type, document));
  return type;
}

Result<StoredEntity> CreateDriver(pg::Transaction& tx, const AskedDriver& asked) {
  EntityStore store(tx);
  StoredEntity driver{kDriverKind, asked.org, json::GetString(asked.document, "name"),
                      asked.uuid,  0,         asked.document};
  ASSIGN_OR_RETURN(auto type, FillFromType(store, asked.org, driver.document));
  RETURN_IF_ERROR(RequireTopic(store, asked.org, type, driver.document));
  Begin(driver.document, "CREATING");
  FillWebhook(asked.org, driver.document);
  if (IsWebhook(driver.document)) driver.document["tokenGeneration"] = 1;
  driver.document["created-time"] = asked.now_s;
  driver.document["modified-time"] = asked.now_s;
  RETURN_IF_ERROR(store.Insert(driver));
  RETURN_IF_ERROR(Place(tx, driver));
  return driver;
}

Result<StoredEntity> UpdateDriver(pg::Transaction& tx, const AskedDriver& asked) {
  EntityStore store(tx);
  ASSIGN_OR_RETURN(auto stored,
                   store.Lock(kDriverKind, asked.org, json::GetString(asked.document, "name")));
  RETURN_IF_ERROR(EntityStore::CheckMatch(stored, asked.if_match));
  if (json::GetString(asked.document, "type") != json::GetString(stored.document, "type")) {
    return Error{Code::kUnprocessable,
                 "type cannot change; create another driver",
                 false,
                 {{"type", "cannot change"}}};
  }
  json::object next = asked.document;
  ASSIGN_OR_RETURN(auto type, FillFromType(store, asked.org, next));
  if (Alike(stored.document, next)) return stored;
  RETURN_IF_ERROR(RequireTopic(store, asked.org, type, next));
  bool runs_alike = RunsAlike(stored.document, next);
  for (const auto& [field, value] : next) stored.document[field] = value;
  stored.document["modified-time"] = asked.now_s;
  if (!runs_alike) Begin(stored.document, "UPDATING");
  FillWebhook(asked.org, stored.document);
  RETURN_IF_ERROR(store.Update(stored, asked.if_match));
  if (!runs_alike) RETURN_IF_ERROR(Place(tx, stored));
  return stored;
}

}  // namespace

Result<std::string> DriverUsing(EntityStore& store, const std::string& org,
                                const std::string& topic) {
  ASSIGN_OR_RETURN(auto drivers, store.List(kDriverKind, org));
  for (const auto& driver : drivers) {
    ASSIGN_OR_RETURN(auto type,
                     store.Find(kDriverTypeKind, org, json::GetString(driver.document, "type")));
    DriverConfig config = ReadConfig(driver.document);
    if (type) config = MergeConfig(ReadConfig(type->document), config);
    bool reads = ConfigValue(config, "source") == topic && ConfigValue(config, "brokers").empty();
    if (TopicOf(config) == topic || reads) return "driver '" + driver.name + "'";
  }
  return std::string();
}

Status ClearDrivers(pg::Transaction& tx, const std::string& org) {
  EntityStore store(tx);
  for (const char* kind : {kDriverKind, kDriverTypeKind}) {
    ASSIGN_OR_RETURN(auto entities, store.List(kind, org));
    for (auto& entity : entities) {
      RETURN_IF_ERROR(store.Delete(entity, std::nullopt));
      RETURN_IF_ERROR(DriverStore::Remove(tx, entity.uuid));
    }
  }
  return {};
}

void DriverCommands::Register(broker::RpcServer& server) {
  auto handle = [this, &server](const char* method, auto handler) {
    server.HandleChange(method, AnsweringRepeats(pool_, handler));
  };
  handle("drivertype.create", [this](const auto& r, auto d) { WriteType(r, true, std::move(d)); });
  handle("drivertype.update", [this](const auto& r, auto d) { WriteType(r, false, std::move(d)); });
  handle("drivertype.delete", [this](const auto& r, auto d) { DeleteType(r, std::move(d)); });
  server.HandleChange("driver.create", [this](const auto& request, auto respond) {
    auto create = [this](const auto& r, auto d) { Write(r, std::move(d), CreateDriver); };
    AnsweringRepeats(pool_, create)(request, WithToken(std::move(respond)));
  });
  handle("driver.update", [this](const auto& r, auto d) { Write(r, std::move(d), UpdateDriver); });
  handle("driver.delete", [this](const auto& r, auto d) { Delete(r, std::move(d)); });
  server.HandleChange("driver.rotate", [this](const auto& request, auto respond) {
    auto rotate = [this](const auto& r, auto d) { Rotate(r, std::move(d)); };
    AnsweringRepeats(pool_, rotate)(request, WithToken(std::move(respond)));
  });
  server.Handle("driver.log", [this](const auto& r, auto d) { Log(r, std::move(d)); });
}

DriverCommands::Responder DriverCommands::WithToken(Responder respond) {
  return [this, respond = std::move(respond)](Result<broker::RpcReply> reply) {
    if (!reply.ok() || !reply->body.is_object()) return respond(std::move(reply));
    json::object& form = reply->body.as_object();
    int64_t generation = json::GetInt(form, "tokenGeneration");
    if (generation > 0) {
      std::string token =
          schema::WebhookToken(options_.service_key, json::GetString(form, "id"), generation);
      form["token"] = token;
      form["url"] = fmt::format("{}?token={}", json::GetString(form, "url"), token);
    }
    respond(std::move(reply));
  };
}

Status DriverCommands::CheckImage(const json::object& type) const {
  std::string image = json::GetString(type, "image");
  ASSIGN_OR_RETURN(DriverKind kind, KindOfImage(image));
  if (kind == DriverKind::kContainer && !options_.engine) return NoDriverEngine(image);
  if (kind != DriverKind::kExecutable) return {};
  auto fault = [](std::string message) {
    return Error{Code::kUnprocessable, message, false, {{"image", std::move(message)}}};
  };
  if (options_.drivers_dir.empty()) {
    return fault("executables are not run here: the operator has not set drivers-dir");
  }
  std::string path = options_.drivers_dir + "/" + image;
  if (access(path.c_str(), X_OK) != 0) {
    return fault(
        fmt::format("'{}' is no executable in the directory of the setting drivers-dir", image));
  }
  return {};
}

void DriverCommands::WriteType(const schema::Request& request, bool create, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto document = DriverTypeDocument(*body);
  if (!document.ok()) return respond(document.error());
  if (Status status = CheckImage(*document); !status.ok()) return respond(status.error());
  int64_t now_s = ToMillis(loop_.Now()) / 1000;
  AnswerWithEntity(
      pool_, request,
      [create, org = request.org, if_match = request.if_match, document = *document,
       uuid = Uuid::V7(loop_.Now()), now_s](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        std::string name = json::GetString(document, "name");
        StoredEntity type{kDriverTypeKind, org, name, uuid, 0, document};
        type.document["status"] = "READY";
        type.document["modified-time"] = now_s;
        if (create) {
          type.document["created-time"] = now_s;
          RETURN_IF_ERROR(store.Insert(type));
          return type;
        }
        auto found = store.Lock(kDriverTypeKind, org, name);
        if (!found.ok())
          return found.code() == Code::kNotFound ? Missing(name, found.error()) : found.error();
        StoredEntity stored = std::move(*found);
        RETURN_IF_ERROR(EntityStore::CheckMatch(stored, if_match));
        if (Alike(stored.document, type.document)) return stored;
        type.document["created-time"] = stored.document["created-time"];
        stored.document = std::move(type.document);
        RETURN_IF_ERROR(store.Update(stored, if_match));
        RETURN_IF_ERROR(Follow(tx, stored));
        return stored;
      },
      Committing(committed_, std::move(respond)));
}

void DriverCommands::DeleteType(const schema::Request& request, Responder respond) {
  AnswerWithEntity(
      pool_, request,
      [org = request.org, name = NameIn(request),
       if_match = request.if_match](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        auto stored = store.Lock(kDriverTypeKind, org, name);
        if (!stored.ok())
          return stored.code() == Code::kNotFound ? Missing(name, stored.error()) : stored.error();
        ASSIGN_OR_RETURN(auto users, DriversOf(store, org, name));
        if (!users.empty()) {
          return Error{Code::kConflict,
                       fmt::format("driver type '{}' is used by driver '{}'; delete that first",
                                   name, users[0].name)};
        }
        RETURN_IF_ERROR(store.Delete(*stored, if_match));
        return *stored;
      },
      Committing(committed_, std::move(respond)));
}

void DriverCommands::Write(const schema::Request& request, Responder respond, WriteDriver write) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto document = DriverDocument(*body);
  if (!document.ok()) return respond(document.error());
  AskedDriver asked{request.org, std::move(*document), request.if_match, Uuid::V7(loop_.Now()),
                    ToMillis(loop_.Now()) / 1000};
  AnswerWithEntity(
      pool_, request,
      [write, asked = std::move(asked)](pg::Transaction& tx) { return write(tx, asked); },
      Committing(committed_, std::move(respond)));
}

void DriverCommands::Delete(const schema::Request& request, Responder respond) {
  AnswerWithEntity(
      pool_, request,
      [org = request.org, name = NameIn(request),
       if_match = request.if_match](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        ASSIGN_OR_RETURN(auto stored, store.Lock(kDriverKind, org, name));
        RETURN_IF_ERROR(store.Delete(stored, if_match));
        RETURN_IF_ERROR(DriverStore::Remove(tx, stored.uuid));
        stored.document["status"] = "DELETING";
        return stored;
      },
      Committing(committed_, std::move(respond)));
}

void DriverCommands::Rotate(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  schema::RequestReader reader(*body);
  auto overlap =
      reader.Duration("overlap", kDefaultOverlap, std::chrono::milliseconds(0), kLongestOverlap);
  reader.Allow({"name"});
  if (!reader.ok()) return respond(reader.error());
  int64_t until_ms = ToMillis(loop_.Now()) + overlap.count();
  AnswerWithEntity(
      pool_, request,
      [org = request.org, name = NameIn(request), until_ms,
       if_match = request.if_match](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        ASSIGN_OR_RETURN(auto stored, store.Lock(kDriverKind, org, name));
        if (!IsWebhook(stored.document)) {
          return Error{Code::kConflict,
                       fmt::format("driver '{}' has no token: it is no webhook", name)};
        }
        FillWebhook(org, stored.document);
        auto& webhook = stored.document["internal"].as_object()["webhook"].as_object();
        int64_t generation = json::GetInt(webhook, "generation", 1) + 1;
        webhook["generation"] = generation;
        webhook["previousUntilMs"] = until_ms;
        stored.document["tokenGeneration"] = generation;
        stored.document["previousTokenUntil"] = schema::FormatRfc3339(FromMillis(until_ms));
        RETURN_IF_ERROR(store.Update(stored, if_match));
        return stored;
      },
      Committing(committed_, std::move(respond)));
}

void DriverCommands::Log(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  int64_t limit =
      std::clamp<int64_t>(json::GetInt(*body, "limit", kDefaultLines), 1, kKeptDriverLines);
  pool_.Query<json::array>(
      [org = request.org, name = json::GetString(*body, "name"), limit,
       since_ms = json::GetInt(*body, "sinceMs")](pg::Transaction& tx) -> Result<json::array> {
        ASSIGN_OR_RETURN(auto driver, EntityStore(tx).Find(kDriverKind, org, name));
        if (!driver) {
          return Error{Code::kNotFound, fmt::format("driver '{}' does not exist", name)};
        }
        ASSIGN_OR_RETURN(auto lines, DriverStore::ReadLog(tx, driver->uuid, since_ms, limit));
        json::array out;
        for (const auto& line : lines) {
          out.push_back({{"time", schema::FormatRfc3339(FromMillis(line.at_ms))},
                         {"stream", line.stream},
                         {"line", line.line}});
        }
        return out;
      },
      [respond = std::move(respond)](Result<json::array> lines) {
        if (!lines.ok()) return respond(lines.error());
        respond(broker::RpcReply{json::value(std::move(*lines))});
      });
}

}  // namespace dispatch
