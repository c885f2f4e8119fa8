#include "function-manager/src/adapters/image_commands.h"

#include "broker-adapters/entities/entity_reply.h"
#include "broker-adapters/entities/idempotency.h"
#include "function-manager/src/adapters/function_work.h"
#include "function-manager/src/adapters/usage.h"
#include "function-manager/src/domain/image_request.h"
#include "schema/objects.h"

namespace dispatch {

namespace {

using schema::kBaseImageKind;
using schema::kFunctionKind;
using schema::kImageKind;

Result<json::object> DocumentOf(const std::string& kind, const std::string& body) {
  return kind == kBaseImageKind ? BaseImageDocument(body) : ImageDocument(body);
}

// What an image has of its base image, which stays while the transaction lasts.
Status FillFromBase(EntityStore& store, const std::string& org, json::object& document) {
  std::string base = json::GetString(document, "baseImageName");
  auto found = store.Lock(kBaseImageKind, org, base);
  if (!found.ok() && found.status().code() == Code::kNotFound) {
    return Error{Code::kInvalidArgument,
                 "Error fetching base image " + base,
                 false,
                 {{"baseImageName", "must be a base image: create it first"}}};
  }
  if (!found.ok()) return found.status();
  document["language"] = json::GetString(found->document, "language");
  document["dockerUrl"] = json::GetString(found->document, "dockerUrl");
  return {};
}

// Whether a replacement says what is there already; what is in ERROR is tried again.
bool SaysTheSame(const json::object& stored, const json::object& asked) {
  if (json::GetString(stored, "status") == "ERROR") return false;
  for (const auto& [key, value] : asked) {
    const auto* before = stored.if_contains(key);
    if (before == nullptr || *before != value) return false;
  }
  return true;
}

}  // namespace

void ImageCommands::Register(broker::RpcServer& server) {
  for (const char* name : {kBaseImageKind, kImageKind}) {
    std::string kind = name;
    auto handle = [this, &server, kind](const char* verb, auto method) {
      server.HandleChange(kind + verb,
                          AnsweringRepeats(pool_, [this, kind, method](const auto& r, auto d) {
                            (this->*method)(kind, r, std::move(d));
                          }));
    };
    handle(".create", &ImageCommands::Create);
    handle(".update", &ImageCommands::Update);
    handle(".delete", &ImageCommands::Delete);
  }
}

void ImageCommands::Create(const std::string& kind, const schema::Request& request,
                           Responder respond) {
  auto document = DocumentOf(kind, request.body);
  if (!document.ok()) return respond(document.error());
  StoredEntity entity;
  entity.kind = kind;
  entity.org = request.org;
  entity.name = json::GetString(*document, "name");
  entity.uuid = Uuid::V7(loop_.Now());
  entity.document = std::move(*document);
  entity.document["status"] = "INITIALIZED";
  entity.document["reason"] = json::array();
  entity.document["createdTime"] = ToMillis(loop_.Now()) / 1000;
  entity.document["modifiedTime"] = ToMillis(loop_.Now()) / 1000;
  entity.document["internal"] = {{"target", Uuid::Random().ToString()}};
  AnswerWithEntity(
      pool_, request,
      [entity](pg::Transaction& tx) -> Result<StoredEntity> {
        StoredEntity stored = entity;
        EntityStore store(tx);
        if (stored.kind == kImageKind) {
          RETURN_IF_ERROR(FillFromBase(store, stored.org, stored.document));
        }
        RETURN_IF_ERROR(store.Insert(stored));
        ASSIGN_OR_RETURN(auto target, Uuid::Parse(json::GetString(
                                          stored.document["internal"].as_object(), "target")));
        RETURN_IF_ERROR(AddWork(tx, stored, target));
        return stored;
      },
      Committing(committed_, std::move(respond)));
}

void ImageCommands::Update(const std::string& kind, const schema::Request& request,
                           Responder respond) {
  auto document = DocumentOf(kind, request.body);
  if (!document.ok()) return respond(document.error());
  AnswerWithEntity(
      pool_, request,
      [kind, org = request.org, if_match = request.if_match, document = *document,
       now_s = ToMillis(loop_.Now()) / 1000,
       target = Uuid::Random()](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        json::object asked = document;
        if (kind == kImageKind) RETURN_IF_ERROR(FillFromBase(store, org, asked));
        ASSIGN_OR_RETURN(auto stored, store.Lock(kind, org, json::GetString(document, "name")));
        if (SaysTheSame(stored.document, asked)) {
          RETURN_IF_ERROR(store.UpdateIfChanged(stored, if_match));
          return stored;
        }
        asked["status"] = "UPDATING";
        asked["reason"] = json::array();
        asked["createdTime"] = stored.document.at("createdTime");
        asked["modifiedTime"] = now_s;
        asked["internal"] = {{"target", target.ToString()}};
        stored.document = std::move(asked);
        RETURN_IF_ERROR(store.Update(stored, if_match));
        RETURN_IF_ERROR(AddWork(tx, stored, target));
        return stored;
      },
      Committing(committed_, std::move(respond)));
}

void ImageCommands::Delete(const std::string& kind, const schema::Request& request,
                           Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  AnswerWithEntity(
      pool_, request,
      [kind, org = request.org, name = json::GetString(*body, "name"),
       if_match = request.if_match](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        // Locked first: who refers to it locks it too.
        ASSIGN_OR_RETURN(auto stored, store.Lock(kind, org, name));
        bool base = kind == kBaseImageKind;
        std::string user_kind = base ? kImageKind : kFunctionKind;
        ASSIGN_OR_RETURN(auto user,
                         FindReference(tx, user_kind, org, base ? "baseImageName" : "image", name));
        if (!user.empty()) return InUse(base ? "base image" : "image", name, user);
        RETURN_IF_ERROR(store.Delete(stored, if_match));
        RETURN_IF_ERROR(EndWorkOf(tx, stored));
        return stored;
      },
      Committing(committed_, std::move(respond)));
}

}  // namespace dispatch
