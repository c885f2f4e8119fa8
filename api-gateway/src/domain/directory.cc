#include "api-gateway/src/domain/directory.h"

#include "common/crypto.h"
#include "common/http/message.h"
#include "common/log.h"
#include "schema/objects.h"
#include "schema/rfc3339.h"
#include "schema/service_account.h"

namespace dispatch::gateway {

namespace {

constexpr std::string_view kScheme = "Bearer ";

Error Unauthenticated(std::string message) { return {Code::kUnauthenticated, std::move(message)}; }

}  // namespace

Directory::Directory(const Clock& clock, std::string service_key)
    : clock_(clock), service_key_(std::move(service_key)) {}

void Directory::OnChanged(const std::string& kind, const std::string& key,
                          const std::shared_ptr<const broker::Entity>& entity) {
  if (kind == schema::kApiKeyKind) {
    std::string id = key.substr(key.find('/') + 1);
    if (entity == nullptr) {
      keys_.erase(id);
      return;
    }
    const auto* internal = json::GetObject(entity->document, "internal");
    keys_[id] = {entity, internal ? json::GetString(*internal, "hmac") : "", nullptr, ""};
  } else if (kind == schema::kServiceAccountKind) {
    accounts_.erase(key);
    if (entity == nullptr) return;
    Account account{entity, {}, {}, nullptr};
    // Its owner checked them: what cannot be read lets nobody in.
    auto keys = schema::AccountKeys(json::GetString(entity->document, "publicKey"));
    if (keys.ok()) account.keys = std::move(*keys);
    std::string audience = json::GetString(entity->document, "audience");
    if (!audience.empty()) account.rules.audiences = {audience};
    accounts_.emplace(key, std::move(account));
  } else if (kind == schema::kPolicyKind) {
    policies_.erase(key);
    if (entity != nullptr) {
      auto policy = auth::Policy::Parse(entity->document);
      if (policy.ok()) {
        policies_.emplace(key, OwnedPolicy{entity->org, std::move(*policy)});
      } else {
        log::Warning("policy ignored policy={} error=\"{}\"", key, policy.message());
      }
    }
    ForgetPrincipals();
  }
}

void Directory::ForgetPrincipals() {
  for (auto& entry : keys_) entry.second.principal = nullptr;
  for (auto& entry : accounts_) entry.second.principal = nullptr;
}

std::shared_ptr<const Principal> Directory::Compile(const broker::Entity& entity) const {
  auto principal = std::make_shared<Principal>();
  principal->key_id = entity.name;
  principal->org = entity.org;
  const json::object& document = entity.document;
  if (const auto* scopes = document.if_contains("scopes"); scopes && scopes->is_array()) {
    // One that is not understood gives nothing; the others count.
    for (const json::value& scope : scopes->get_array()) {
      auto grant = auth::ParseScope(scope);
      if (grant.ok()) principal->permissions.Add(std::move(*grant));
    }
  }
  // Identity lets only global keys make global keys and policies.
  principal->global =
      json::GetBool(document, "global") && principal->permissions.Allows(auth::kAdmin, "*");
  for (const auto& [key, owned] : policies_) {
    if (owned.org != entity.org && !owned.policy.global) continue;
    auth::AddPolicy(owned.policy, entity.name, json::GetString(document, "name"),
                    &principal->permissions);
  }
  if (std::string expires = json::GetString(document, "expiresAt"); !expires.empty()) {
    auto time = schema::ParseRfc3339(expires);
    // What cannot be read must not be for ever.
    principal->expires_at = time.ok() ? *time : WallTime{};
  }
  return principal;
}

std::shared_ptr<const Principal> Directory::CompileAccount(const broker::Entity& entity) const {
  auto principal = std::make_shared<Principal>();
  principal->kind = schema::kServiceAccountKind;
  principal->key_id = entity.name;
  principal->org = entity.org;
  for (const auto& [key, owned] : policies_) {
    if (owned.org != entity.org && !owned.policy.global) continue;
    schema::AddPolicyOfAccount(owned.policy, owned.org, entity.org, entity.name,
                               &principal->permissions);
  }
  return principal;
}

Result<std::shared_ptr<const Principal>> Directory::AuthenticateToken(std::string_view text) {
  ASSIGN_OR_RETURN(auto token, jwt::Token::Parse(text));
  auto found = accounts_.find(json::GetString(token.claims(), "iss"));
  // An unknown account and a wrong key are told alike.
  if (found == accounts_.end()) return Unauthenticated("no known key signed the token");
  Account& account = found->second;
  Status checked = token.Check(account.keys, account.rules, clock_.Now());
  if (!checked.ok()) return checked;
  double latest = static_cast<double>(ToMicros(clock_.Now())) / 1e6 + schema::kMaxTokenSeconds +
                  static_cast<double>(account.rules.leeway.count()) / 1e3;
  if (token.claims().at("exp").to_number<double>() > latest) {
    return Unauthenticated("the token lasts too long: its exp may be 24 hours ahead");
  }
  if (account.principal == nullptr) account.principal = CompileAccount(*account.entity);
  return account.principal;
}

Result<std::shared_ptr<const Principal>> Directory::Authenticate(
    std::optional<std::string_view> authorization) {
  if (!authorization || authorization->size() <= kScheme.size() ||
      !http::EqualsIgnoreCase(authorization->substr(0, kScheme.size()), kScheme)) {
    return Unauthenticated("an API key is required: send \"Authorization: Bearer <key>\"");
  }
  std::string_view shown = authorization->substr(kScheme.size());
  // No key has a dot, and every token has two.
  if (shown.find('.') != shown.npos) return AuthenticateToken(shown);
  ASSIGN_OR_RETURN(auto text, auth::KeyText::Parse(shown));
  auto found = keys_.find(text.id);
  if (found == keys_.end()) return Unauthenticated("the API key is not known");
  Key& key = found->second;
  if (key.verified_secret.empty() || !crypto::EqualConstantTime(key.verified_secret, text.secret)) {
    if (!auth::SecretMatches(service_key_, text.secret, key.hash)) {
      return Unauthenticated("the API key is not known");
    }
    key.verified_secret = std::move(text.secret);
  }
  if (json::GetString(key.entity->document, "status") != "ACTIVE") {
    return Unauthenticated("the API key was revoked: create another one");
  }
  if (key.principal == nullptr) key.principal = Compile(*key.entity);
  if (key.principal->expires_at && *key.principal->expires_at <= clock_.Now()) {
    return Unauthenticated("the API key has expired: create another one");
  }
  return key.principal;
}

}  // namespace dispatch::gateway
