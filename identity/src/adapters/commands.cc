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
    {"serviceaccount.create", CreateServiceAccount},
    {"serviceaccount.update", UpdateServiceAccount},
    {"serviceaccount.delete", DeleteServiceAccount},
};

}  // namespace

Result<broker::RpcReply> ApplyOnce(pg::Transaction& tx, Change change, const Mutation& mutation) {
  std::string key_text;  // in no table: a repeat of the request goes without it
  ASSIGN_OR_RETURN(auto reply, Once(tx, mutation.request, [&]() -> Result<broker::RpcReply> {
                     ASSIGN_OR_RETURN(Outcome outcome, change(tx, mutation));
                     key_text = std::exchange(outcome.key_text, {});
                     return ReplyOf(outcome);
                   }));
  if (!key_text.empty()) reply.body.as_object()["key"] = key_text;
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
  pool_.Query<broker::RpcReply>(
      [change, mutation](pg::Transaction& tx) { return ApplyOnce(tx, change, *mutation); },
      [this, mutation, respond = std::move(respond)](Result<broker::RpcReply> reply) {
        Audit(mutation->request, mutation->Name(), reply.status());
        if (reply.ok()) committed_();
        respond(std::move(reply));
      });
}

void Commands::Audit(const schema::Request& request, const std::string& name,
                     const Status& status) {
  std::string resource = request.method.substr(0, request.method.find('.')) + "/" + name;
  audit_.WriteChange(request, resource, status, loop_.Now());
}

}  // namespace dispatch::identity
