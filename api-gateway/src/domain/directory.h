#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "broker-adapters/state_table.h"
#include "common/clock.h"
#include "common/jwt/key_set.h"
#include "common/jwt/token.h"
#include "common/result.h"
#include "schema/authorization.h"

namespace dispatch::gateway {

/// Who a request comes from.
struct Principal {
  std::string kind = "key";  // or serviceaccount
  std::string key_id;        // of a service account its name
  std::string org;
  bool global = false;  // may act in every organisation
  std::optional<WallTime> expires_at;
  auth::Permissions permissions;
};

/// The keys, service accounts and policies of identity's state topic, compiled for checking
/// requests. Fed by the table's changes; one owner.
class Directory {
 public:
  Directory(const Clock& clock, std::string service_key);

  /// For StateTable::OnChanged. `entity` is null for a delete.
  void OnChanged(const std::string& kind, const std::string& key,
                 const std::shared_ptr<const broker::Entity>& entity);

  /// From the value of the Authorization field: an API key, or a token that a service account
  /// signed. kUnauthenticated says what is wrong with it, but tells unknown keys and wrong secrets
  /// not apart.
  Result<std::shared_ptr<const Principal>> Authenticate(
      std::optional<std::string_view> authorization);

 private:
  struct Key {
    std::shared_ptr<const broker::Entity> entity;
    std::string hash;
    std::shared_ptr<const Principal> principal;  // made at the first use after a change
    // The secret that matched the hash: the next request compares instead of computing an HMAC.
    std::string verified_secret;
  };
  struct Account {
    std::shared_ptr<const broker::Entity> entity;
    jwt::KeySet keys;
    jwt::Rules rules;
    std::shared_ptr<const Principal> principal;  // made at the first use after a change
  };
  struct OwnedPolicy {
    std::string org;
    auth::Policy policy;
  };

  std::shared_ptr<const Principal> Compile(const broker::Entity& entity) const;
  std::shared_ptr<const Principal> CompileAccount(const broker::Entity& entity) const;
  Result<std::shared_ptr<const Principal>> AuthenticateToken(std::string_view text);
  void ForgetPrincipals();

  const Clock& clock_;
  const std::string service_key_;
  std::unordered_map<std::string, Key> keys_;          // by key id
  std::unordered_map<std::string, Account> accounts_;  // by org/name
  std::map<std::string, OwnedPolicy> policies_;        // by org/name
};

}  // namespace dispatch::gateway
