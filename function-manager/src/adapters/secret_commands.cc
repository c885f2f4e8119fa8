#include "function-manager/src/adapters/secret_commands.h"

#include "broker-adapters/entities/entity_reply.h"
#include "broker-adapters/entities/idempotency.h"
#include "common/log.h"
#include "function-manager/src/adapters/usage.h"
#include "schema/objects.h"

namespace dispatch {

namespace {

using schema::kSealingKeyKind;
using schema::kSecretKind;

constexpr auto kPublishAgain = std::chrono::seconds(2);
// An instance that still encrypts under a key of before may write some at any time.
constexpr auto kRewrapEvery = std::chrono::minutes(1);

// The values that a replacement leaves as they are, from before.
Status KeepHidden(pg::Transaction& tx, const SecretVault& vault, const StoredEntity& stored,
                  SecretValues& values) {
  std::optional<SecretValues> before;
  for (auto& [name, value] : values) {
    if (value != kHiddenValue) continue;
    if (!before) {
      ASSIGN_OR_RETURN(before, vault.Load(tx, stored.org, stored.name));
    }
    auto old = before->find(name);
    if (old == before->end()) {
      return Error{Code::kUnprocessable,
                   "there is no value yet that could be kept",
                   false,
                   {{"secrets." + name, "must be the value"}}};
    }
    value = old->second;
  }
  return {};
}

// A subscription, or a driver.
bool Uses(const json::object& document, const std::string& secret) {
  if (const auto* names = json::GetArray(document, "secrets")) {
    for (const auto& name : *names) {
      if (name == json::value(secret)) return true;
    }
  }
  const auto* sink = json::GetObject(document, "sink");
  for (const char* field : {"auth", "signing"}) {
    const auto* named = sink != nullptr ? json::GetObject(*sink, field) : nullptr;
    if (named != nullptr && json::GetString(*named, "secret") == secret) return true;
  }
  return false;
}

}  // namespace

void SecretCommands::Register(broker::RpcServer& server) {
  for (const char* method : {"secret.create", "secret.update"}) {
    server.HandleChange(method, [this](schema::Request request, Responder respond) {
      auto body = Open(request);
      if (!body.ok()) return respond(body.error());
      auto write = [this, body = std::move(*body)](const schema::Request& opened, Responder done) {
        Write(opened, body, std::move(done));
      };
      AnsweringRepeats(pool_, write)(std::move(request), std::move(respond));
    });
  }
  server.HandleChange("secret.delete", AnsweringRepeats(pool_, [this](const auto& r, auto d) {
                        Delete(r, std::move(d));
                      }));
  server.Handle("secret.open", [this](const auto& r, auto d) { Reveal(r, std::move(d)); });
}

// For services: the gateway has no route to it.
void SecretCommands::Reveal(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  if (request.principal.kind != "service") {
    return respond(Error{Code::kPermissionDenied, "only services are told the values of secrets"});
  }
  if (!vault_.usable()) {
    return respond(Error{Code::kUnavailable,
                         "this installation has no secrets: give function-manager a "
                         "secrets-key-file"});
  }
  auto key = crypto::Base64Decode(json::GetString(*body, "publicKey"));
  if (!key.ok()) return respond(key.error());
  std::vector<std::string> names;
  const auto* given = json::GetArray(*body, "names");
  for (const auto& name : given != nullptr ? *given : json::array()) {
    if (name.is_string()) names.emplace_back(name.as_string());
  }
  pool_.Query<json::object>(
      [this, org = request.org, names](pg::Transaction& tx) -> Result<json::object> {
        json::object merged;
        for (const auto& name : names) {
          ASSIGN_OR_RETURN(auto values, vault_.Load(tx, org, name));
          for (const auto& [key, value] : values) merged[key] = value;
        }
        return merged;
      },
      [key = *key, respond = std::move(respond)](Result<json::object> merged) {
        if (!merged.ok()) return respond(merged.error());
        auto sealed = crypto::Seal(key, json::Serialize(*merged));
        if (!sealed.ok()) return respond(sealed.error());
        respond(broker::RpcReply{json::object{{"sealed", crypto::Base64Encode(*sealed)}}});
      });
}

Result<json::object> SecretCommands::Open(schema::Request& request) const {
  if (!vault_.usable()) {
    return Error{Code::kUnavailable,
                 "this installation takes no secrets: give function-manager a secrets-key-file"};
  }
  ASSIGN_OR_RETURN(auto body, json::ParseObject(request.body));
  ASSIGN_OR_RETURN(auto sealed, crypto::Base64Decode(json::GetString(body, "sealed")));
  auto text = vault_.OpenSealed(sealed);
  if (!text.ok()) {
    return Error{Code::kUnavailable, "the values were sealed under an old key: try again", true};
  }
  ASSIGN_OR_RETURN(body["secrets"], json::Parse(*text));
  body.erase("sealed");
  request.body = crypto::HexEncode(
      crypto::HmacSha256(vault_.sealing_keys().secret_key, json::Serialize(body)));
  return body;
}

void SecretCommands::Write(const schema::Request& request, const json::object& body,
                           Responder respond) {
  auto asked = ReadSecretRequest(body);
  if (!asked.ok()) return respond(asked.error());
  bool create = request.method == "secret.create";
  int64_t now_s = ToMillis(loop_.Now()) / 1000;
  AnswerWithEntity(
      pool_, request,
      [this, create, org = request.org, if_match = request.if_match, asked = std::move(*asked),
       uuid = Uuid::V7(loop_.Now()), now_s](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        StoredEntity entity;
        SecretValues values = asked.values;
        std::string name = json::GetString(asked.document, "name");
        if (create) {
          entity = {kSecretKind, org, name, uuid, 0, asked.document};
        } else {
          ASSIGN_OR_RETURN(entity, store.Lock(kSecretKind, org, name));
          RETURN_IF_ERROR(KeepHidden(tx, vault_, entity, values));
          auto created = entity.document.at("createdTime");
          entity.document = asked.document;
          entity.document["createdTime"] = created;
        }
        if (create) entity.document["createdTime"] = now_s;
        entity.document["modifiedTime"] = now_s;
        RETURN_IF_ERROR(create ? store.Insert(entity) : store.Update(entity, if_match));
        RETURN_IF_ERROR(vault_.Store(tx, entity, values));
        return entity;
      },
      Committing(committed_, std::move(respond)));
}

void SecretCommands::Delete(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  std::string secret = json::GetString(*body, "name");
  FindUser(
      loop_, subscriptions_, request.org,
      [secret](const json::object& document) { return Uses(document, secret); },
      [this, request, secret, respond = std::move(respond)](const std::string& user) {
        if (!user.empty()) return respond(InUse(kSecretKind, secret, user));
        Remove(request, secret, respond);
      });
}

void SecretCommands::Remove(const schema::Request& request, const std::string& secret,
                            Responder respond) {
  AnswerWithEntity(
      pool_, request,
      [this, org = request.org, secret,
       if_match = request.if_match](pg::Transaction& tx) -> Result<StoredEntity> {
        EntityStore store(tx);
        ASSIGN_OR_RETURN(auto entity, store.Lock(kSecretKind, org, secret));
        ASSIGN_OR_RETURN(auto user, FindFunctionWith(tx, org, secret));
        if (!user.empty()) return InUse(kSecretKind, secret, user);
        RETURN_IF_ERROR(store.Delete(entity, if_match));
        RETURN_IF_ERROR(vault_.Remove(tx, entity));
        return entity;
      },
      Committing(committed_, std::move(respond)));
}

void SecretCommands::KeepRewrapping() {
  if (!vault_.usable()) return;
  pool_.Query<size_t>([this](pg::Transaction& tx) { return vault_.Rewrap(tx); },
                      [this](const Result<size_t>& count) {
                        if (!count.ok()) {
                          log::Warning("secrets not put under the newest key error=\"{}\"",
                                       count.message());
                        } else if (*count > 0) {
                          log::Info("secrets put under the newest key count={}", *count);
                        }
                        loop_.After(kRewrapEvery, [this] { KeepRewrapping(); });
                      });
}

void SecretCommands::PublishSealingKey() {
  if (!vault_.usable()) return;
  std::string key = crypto::Base64Encode(vault_.sealing_keys().public_key);
  auto publish = [key, uuid = Uuid::V7(loop_.Now())](pg::Transaction& tx) -> Status {
    EntityStore store(tx);
    ASSIGN_OR_RETURN(auto found, store.Find(kSealingKeyKind, "dispatch", "function-manager"));
    if (!found) {
      StoredEntity entity{kSealingKeyKind,     "dispatch", "function-manager", uuid, 0,
                          {{"publicKey", key}}};
      return store.Insert(entity);
    }
    if (json::GetString(found->document, "publicKey") == key) return {};
    found->document["publicKey"] = key;
    return store.Update(*found, std::nullopt);
  };
  pool_.Run(publish, [this](const Status& status) {
    if (status.ok()) return committed_();
    log::Warning("sealing key not published yet error=\"{}\"", status.message());
    loop_.After(kPublishAgain, [this] { PublishSealingKey(); });
  });
}

}  // namespace dispatch
