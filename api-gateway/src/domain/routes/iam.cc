#include <fmt/format.h>

#include "api-gateway/src/domain/resource.h"
#include "api-gateway/src/domain/routes.h"
#include "schema/authorization.h"
#include "schema/objects.h"
#include "schema/service_account.h"

namespace dispatch::gateway {

namespace {

bool Deny(Call& call, std::string message) {
  call.Fail({Code::kPermissionDenied, std::move(message)});
  return false;
}

bool Refuse(Call& call, Error error) {
  error.code = Code::kUnprocessable;
  call.Fail(error);
  return false;
}

// Nobody gives what they do not have: patterns compare like names, so a wider one does not fit.
bool HoldsAll(Call& call, const auth::Grant& grant) {
  for (const std::string& action : grant.actions) {
    for (const std::string& resource : grant.resources) {
      if (call.principal->permissions.Allows(action, resource)) continue;
      return Deny(call, fmt::format("the key may not {} {} itself, so it cannot allow others to",
                                    action, resource));
    }
  }
  return true;
}

bool CheckGlobal(Call& call, const json::object& body) {
  if (!json::GetBool(body, "global") || call.principal->global) return true;
  return Deny(call, "only a key that may act in every organisation can give that");
}

bool CheckKey(Call& call, const json::object& body) {
  if (!CheckGlobal(call, body)) return false;
  const json::value* scopes = body.if_contains("scopes");
  auto grants = auth::ParseScopes(scopes != nullptr ? *scopes : json::value(json::array()));
  if (!grants.ok()) return Refuse(call, grants.error());
  for (const auth::Grant& grant : *grants) {
    if (!HoldsAll(call, grant)) return false;
  }
  return true;
}

bool CheckPolicy(Call& call, const json::object& body) {
  if (!CheckGlobal(call, body)) return false;
  auto policy = auth::Policy::Parse(body);
  if (!policy.ok()) return Refuse(call, policy.error());
  for (const auth::Policy::Rule& rule : policy->rules) {
    if (!HoldsAll(call, rule.grant)) return false;
  }
  return true;
}

// With its objects an organisation's events would go; the topic `default` goes with it.
bool CheckEmpty(Call& call, const std::string& org, const Tables& tables) {
  std::string left;
  auto look = [&](const broker::StateTable& table, const std::string& kind) {
    table.ForEach(kind, [&](const EntityPtr& entity) {
      bool own = entity->org == org && !(kind == schema::kTopicKind && entity->name == "default");
      if (own && left.empty()) left = fmt::format("{} '{}'", kind, entity->name);
    });
  };
  look(tables.events, schema::kSubscriptionKind);
  look(tables.events, schema::kDriverKind);
  look(tables.events, schema::kTopicKind);
  look(tables.functions, schema::kFunctionKind);
  if (left.empty()) return true;
  call.Fail({Code::kConflict, fmt::format("organization '{}' still has {}: delete its "
                                          "subscriptions, topics and functions first",
                                          org, left)});
  return false;
}

}  // namespace

void AddIamRoutes(Gateway& gateway, Backend& backend) {
  const Owner identity{kIdentity, backend.tables.identity};
  AddResource(gateway, backend.services,
              {.kind = schema::kOrganizationKind,
               .paths = {"/v1/iam/organization"},
               .owner = identity,
               .write_actions = {auth::kAdmin},
               .is_organization = true,
               .check_delete = [tables = backend.tables](Call& call, const std::string& name) {
                 return CheckEmpty(call, name, tables);
               }});
  AddResource(gateway, backend.services,
              {.kind = schema::kApiKeyKind,
               .paths = {"/v1/iam/keys"},
               .owner = identity,
               .read_actions = {auth::kAdmin},
               .write_actions = {auth::kAdmin},
               .check_body = CheckKey,
               .server_names = true});
  AddResource(gateway, backend.services,
              {.kind = schema::kServiceAccountKind,
               .paths = {"/v1/iam/serviceaccount"},
               .owner = identity,
               .read_actions = {auth::kAdmin},
               .write_actions = {auth::kAdmin},
               .delete_shows_object = true});
  AddResource(gateway, backend.services,
              {.kind = schema::kPolicyKind,
               .paths = {"/v1/iam/policy"},
               .owner = identity,
               .read_actions = {auth::kAdmin},
               .write_actions = {auth::kAdmin},
               .check_body = CheckPolicy});
}

}  // namespace dispatch::gateway
