#include "function-manager/src/adapters/function_commands.h"

#include "broker-adapters/entities/entity_reply.h"
#include "broker-adapters/entities/entity_store.h"
#include "broker-adapters/entities/idempotency.h"
#include "function-manager/src/adapters/function_work.h"
#include "function-manager/src/adapters/run_rows.h"
#include "function-manager/src/adapters/source_uploads.h"
#include "function-manager/src/adapters/usage.h"
#include "function-manager/src/domain/archive.h"
#include "function-manager/src/domain/function_document.h"
#include "schema/api_object.h"
#include "schema/objects.h"

namespace dispatch {

namespace {

using schema::kFunctionKind;
using schema::kImageKind;

constexpr char kTouchSource[] = "update function_sources set created_at = now() where digest = $1";
constexpr char kVersion[] = R"(
  select document::text from function_versions where function = $1::uuid and number = $2::int)";
constexpr char kForgetVersions[] = "delete from function_versions where function = $1::uuid";

json::object HttpDocument(const FunctionRequest& request) {
  json::object document = request.fields;
  document["name"] = request.name;
  document["kind"] = "Function";
  document["status"] = "READY";
  return document;
}

// Unpacks it: not on the loop.
Status CheckSource(const FunctionRequest& request) {
  if (request.source.empty()) return {};
  return ReadArchive(request.source).status();
}

Result<std::string> SourceOf(pg::Transaction& tx, const FunctionRequest& request) {
  if (!request.source_digest.empty()) {
    ASSIGN_OR_RETURN(auto touched, tx.Exec(kTouchSource, {request.source_digest}));
    if (touched.affected() == 1) return request.source_digest;
    return Error{Code::kUnavailable, "the source that was sent before is gone: send it again"};
  }
  return KeepSource(tx, request.source);
}

// Its image, which stays while the transaction lasts.
Result<StoredEntity> LockImage(EntityStore& store, const std::string& org,
                               const json::object& fields) {
  std::string name = json::GetString(fields, "image");
  auto found = store.Lock(kImageKind, org, name);
  if (found.ok() || found.status().code() != Code::kNotFound) return found;
  return Error{Code::kInvalidArgument,
               "Error fetching image " + name,
               false,
               {{"image", "must be an image: create it first"}}};
}

Error SourceMissing() {
  return {Code::kUnprocessable,
          "source is required",
          false,
          {{"source", "is required: base64 of a tar.gz archive"}}};
}

// Of what is there: the one being made, the one that serves, or the one that failed.
std::string SourceThere(const json::object& document) {
  if (auto next = NextOf(document)) return next->source_digest;
  if (const auto* version = json::GetObject(document, "version")) {
    return json::GetString(*version, "sourceDigest");
  }
  const auto* internal = json::GetObject(document, "internal");
  return internal != nullptr ? json::GetString(*internal, "failedSource") : "";
}

// Nothing would come of making it again.
bool IsAlready(const json::object& document, const NextVersion& next, const json::object& image) {
  if (json::GetString(document, "status") == "ERROR") return false;
  if (!SameVersion(document, next.fields, next.source_digest)) return false;
  if (NextOf(document)) return true;
  const auto* internal = json::GetObject(image, "internal");
  const auto* version = json::GetObject(document, "version");
  const auto* reason = json::GetArray(document, "reason");
  return internal != nullptr && version != nullptr && (reason == nullptr || reason->empty()) &&
         json::GetString(image, "status") == "READY" &&
         json::GetString(*internal, "digest") == json::GetString(*version, "imageDigest");
}

Status UpdateHosted(pg::Transaction& tx, StoredEntity& stored, const FunctionRequest& request,
                    const StoredEntity& image, std::optional<int64_t> if_match, int64_t now_s) {
  EntityStore store(tx);
  NextVersion next;
  next.fields = request.fields;
  next.faas_id = Uuid::Random();
  next.source_digest = SourceThere(stored.document);
  if (request.has_source()) {
    ASSIGN_OR_RETURN(next.source_digest, SourceOf(tx, request));
  }
  if (next.source_digest.empty()) return SourceMissing();
  if (IsAlready(stored.document, next, image.document)) {
    return store.UpdateIfChanged(stored, if_match);
  }
  BeginVersion(stored.document, next, now_s);
  stored.document["reason"] = json::array();
  RETURN_IF_ERROR(store.Update(stored, if_match));
  return AddWork(tx, stored, next.faas_id);
}

}  // namespace

void FunctionCommands::Register(broker::RpcServer& server) {
  auto handle = [this, &server](const char* method, auto handler) {
    server.HandleChange(method, AnsweringRepeats(pool_, handler));
  };
  handle("function.create", [this](const auto& r, auto d) { Create(r, std::move(d)); });
  handle("function.update", [this](const auto& r, auto d) { Update(r, std::move(d)); });
  handle("function.rollback", [this](const auto& r, auto d) { Rollback(r, std::move(d)); });
  handle("function.delete", [this](const auto& r, auto d) { Delete(r, std::move(d)); });
}

void FunctionCommands::Create(const schema::Request& request, Responder respond) {
  auto asked = ReadFunctionRequest(request.body);
  if (!asked.ok()) return respond(asked.error());
  if (asked->hosted() && !asked->has_source()) return respond(SourceMissing());
  AnswerWithEntity(
      pool_, request,
      [asked = std::move(*asked), org = request.org, uuid = Uuid::V7(loop_.Now()),
       now_s = ToMillis(loop_.Now()) / 1000](pg::Transaction& tx) -> Result<StoredEntity> {
        RETURN_IF_ERROR(CheckSource(asked));
        EntityStore store(tx);
        StoredEntity entity{kFunctionKind, org, asked.name, uuid, 0, {}};
        if (!asked.hosted()) {
          entity.document = HttpDocument(asked);
          entity.document["createdTime"] = now_s;
          entity.document["modifiedTime"] = now_s;
          RETURN_IF_ERROR(store.Insert(entity));
          return entity;
        }
        RETURN_IF_ERROR(LockImage(store, org, asked.fields).status());
        NextVersion next;
        next.fields = asked.fields;
        next.faas_id = Uuid::Random();
        ASSIGN_OR_RETURN(next.source_digest, SourceOf(tx, asked));
        entity.document = NewFunctionDocument(asked.name, next, now_s);
        RETURN_IF_ERROR(store.Insert(entity));
        RETURN_IF_ERROR(AddWork(tx, entity, next.faas_id));
        return entity;
      },
      Committing(committed_, std::move(respond)));
}

void FunctionCommands::Update(const schema::Request& request, Responder respond) {
  auto asked = ReadFunctionRequest(request.body);
  if (!asked.ok()) return respond(asked.error());
  AnswerWithEntity(
      pool_, request,
      [asked = std::move(*asked), org = request.org, if_match = request.if_match,
       now_s = ToMillis(loop_.Now()) / 1000](pg::Transaction& tx) -> Result<StoredEntity> {
        RETURN_IF_ERROR(CheckSource(asked));
        EntityStore store(tx);
        // An image before its functions, as in deleting one.
        StoredEntity image;
        Status image_there;
        if (asked.hosted()) {
          auto locked = LockImage(store, org, asked.fields);
          image_there = locked.status();
          if (locked.ok()) image = std::move(*locked);
        }
        ASSIGN_OR_RETURN(auto stored, store.Lock(kFunctionKind, org, asked.name));
        RETURN_IF_ERROR(image_there);
        bool was_hosted = json::GetString(stored.document, "runtime") == "process";
        if (was_hosted != asked.hosted()) {
          return Error{Code::kConflict, "the runtime of function '" + asked.name +
                                            "' cannot change: delete it and create it anew"};
        }
        if (asked.hosted()) {
          RETURN_IF_ERROR(UpdateHosted(tx, stored, asked, image, if_match, now_s));
          return stored;
        }
        json::object next = HttpDocument(asked);
        next["createdTime"] = stored.document.at("createdTime");
        next["modifiedTime"] = now_s;
        stored.document = std::move(next);
        RETURN_IF_ERROR(store.UpdateIfChanged(stored, if_match));
        return stored;
      },
      Committing(committed_, std::move(respond)));
}

void FunctionCommands::Rollback(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  int64_t number = json::GetInt(*body, "version");
  if (number < 1 || number > INT32_MAX) {
    return respond(Error{Code::kUnprocessable,
                         "version is required",
                         false,
                         {{"version", "is the number of a version under `versions`"}}});
  }
  AnswerWithEntity(
      pool_, request,
      [org = request.org, name = json::GetString(*body, "name"), number,
       if_match = request.if_match,
       now_s = ToMillis(loop_.Now()) / 1000](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        ASSIGN_OR_RETURN(auto stored, store.Lock(kFunctionKind, org, name));
        ASSIGN_OR_RETURN(auto rows,
                         tx.Exec(kVersion, {stored.uuid.ToString(), std::to_string(number)}));
        if (rows.empty()) {
          return Error{Code::kNotFound, "function '" + name + "' has no version " +
                                            std::to_string(number) +
                                            " any more: `versions` lists those that it has"};
        }
        ASSIGN_OR_RETURN(auto record, json::ParseObject(rows[0].Text(0)));
        NextVersion next = FromRecord(record, Uuid::Random());
        BeginVersion(stored.document, next, now_s);
        stored.document["reason"] = json::array();
        RETURN_IF_ERROR(store.Update(stored, if_match));
        RETURN_IF_ERROR(AddWork(tx, stored, next.faas_id));
        return stored;
      },
      Committing(committed_, std::move(respond)));
}

void FunctionCommands::Delete(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  std::string function = json::GetString(*body, "name");
  auto uses = [function](const json::object& subscription) {
    return json::GetString(subscription, "function") == function;
  };
  FindUser(loop_, subscriptions_, request.org, uses,
           [this, request, function, respond = std::move(respond)](const std::string& user) {
             if (!user.empty()) return respond(InUse(kFunctionKind, function, user));
             Remove(request, function, respond);
           });
}

void FunctionCommands::Remove(const schema::Request& request, const std::string& function,
                              Responder respond) {
  AnswerWithEntity(
      pool_, request,
      [org = request.org, name = function,
       if_match = request.if_match](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        ASSIGN_OR_RETURN(auto stored, store.Lock(kFunctionKind, org, name));
        ASSIGN_OR_RETURN(auto user, FindReference(tx, schema::kApiKind, org, "function", name));
        if (!user.empty()) return InUse(kFunctionKind, name, user);
        RETURN_IF_ERROR(store.Delete(stored, if_match));
        RETURN_IF_ERROR(EndWorkOf(tx, stored));
        RETURN_IF_ERROR(tx.Exec(kForgetVersions, {stored.uuid.ToString()}).status());
        RETURN_IF_ERROR(DeleteRunsOf(tx, stored.uuid));
        return stored;
      },
      Committing(committed_, std::move(respond)));
}

}  // namespace dispatch
