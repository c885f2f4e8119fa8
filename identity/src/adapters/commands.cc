#include "identity/src/adapters/commands.h"

#include <memory>

#include "broker-adapters/entities/entity_reply.h"
#include "broker-adapters/entities/idempotency.h"
#include "common/crypto.h"
#include "schema/objects.h"

namespace dispatch::identity {

namespace {

struct Method {
  const char* name;
  Change change;
};

constexpr Method kMethods[] = {
    {"organization.create", CreateOrganization},
    {"organization.update", UpdateOrganization},
    {"organization.delete", DeleteOrganization},
    {"apikey.create", CreateApiKey},
    {"apikey.update", UpdateApiKey},
    {"apikey.delete", DeleteApiKey},
    {"policy.create", CreatePolicy},
    {"policy.update", UpdatePolicy},
    {"policy.delete", DeletePolicy},
};

// What a repeat of the request gets. A new key's text is in no table: the repeat goes without it.
std::string Remembered(const broker::RpcReply& reply) {
  json::object body = reply.body.as_object();
  body.erase("key");
  return json::Serialize(json::object{{"body", std::move(body)},
                                      {"kind", reply.state_kind},
                                      {"key", reply.state_key},
                                      {"version", reply.state_version}});
}

Result<broker::RpcReply> Recall(const std::string& text) {
  ASSIGN_OR_RETURN(auto stored, json::ParseObject(text));
  return broker::RpcReply{stored["body"], json::GetString(stored, "kind"),
                          json::GetString(stored, "key"), json::GetInt(stored, "version")};
}

}  // namespace

Result<broker::RpcReply> ApplyOnce(pg::Transaction& tx, Change change, const Mutation& mutation) {
  Idempotency once(tx);
  bool has_key = !mutation.request.idempotency_key.empty();
  if (has_key) {
    ASSIGN_OR_RETURN(auto earlier, once.Begin(mutation.request));
    if (earlier) return Recall(*earlier);
  }
  ASSIGN_OR_RETURN(Outcome outcome, change(tx, mutation));
  broker::RpcReply reply = ReplyOf(outcome);
  if (has_key) RETURN_IF_ERROR(once.Finish(mutation.request, Remembered(reply)));
  return reply;
}

broker::RpcReply ReplyOf(const Outcome& outcome) {
  broker::RpcReply reply = dispatch::ReplyOf(outcome.entity);
  json::object& body = reply.body.as_object();
  // Keys are known by the id that is part of their text, not by a uuid.
  if (outcome.entity.kind == schema::kApiKeyKind) body["id"] = outcome.entity.name;
  if (!outcome.key_text.empty()) body["key"] = outcome.key_text;
  return reply;
}

void Commands::Register(broker::RpcServer& server) {
  for (const Method& method : kMethods) {
    server.Handle(method.name,
                  [this, change = method.change](schema::Request request, Responder respond) {
                    Run(std::move(request), change, std::move(respond));
                  });
  }
}

void Commands::Run(schema::Request request, Change change, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) {
    Audit(request, "", body.status());
    return respond(body.error());
  }
  auto mutation = std::make_shared<const Mutation>(
      Mutation{std::move(request), std::move(*body), loop_.Now(), service_key_});
  pool_.Query<Outcome>([change, mutation](pg::Transaction& tx) { return change(tx, *mutation); },
                       [this, mutation, respond = std::move(respond)](Result<Outcome> outcome) {
                         Audit(mutation->request, mutation->Name(), outcome.status());
                         if (!outcome.ok()) return respond(outcome.error());
                         committed_();
                         respond(ReplyOf(*outcome));
                       });
}

void Commands::Audit(const schema::Request& request, const std::string& name,
                     const Status& status) {
  schema::AuditEntry entry;
  entry.org = request.org;
  entry.principal = request.principal;
  entry.action = request.method;
  entry.resource = request.method.substr(0, request.method.find('.')) + "/" + name;
  bool denied = status.code() == Code::kPermissionDenied;
  entry.outcome = status.ok() ? "allowed" : denied ? "denied" : CodeName(status.code());
  entry.at_ms = ToMillis(loop_.Now());
  entry.request_id = crypto::HexEncode(request.correlation_id);
  audit_.Write(entry);
}

}  // namespace dispatch::identity
