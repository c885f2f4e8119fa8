#include "schema/service_account.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/crypto.h"

namespace dispatch::schema {

Result<jwt::KeySet> AccountKeys(std::string_view public_key) {
  jwt::KeySet keys;
  std::string pem(public_key);
  if (pem.find("-----BEGIN") == std::string::npos) {
    auto decoded = crypto::Base64Decode(public_key);
    if (!decoded.ok()) {
      return Error{Code::kInvalidArgument, "must be base64 of a public key in PEM"};
    }
    pem = std::move(*decoded);
  }
  RETURN_IF_ERROR(keys.AddPem(pem));
  return keys;
}

void AddPolicyOfAccount(const auth::Policy& policy, std::string_view policy_org,
                        std::string_view org, std::string_view name,
                        auth::Permissions* permissions) {
  std::string qualified = fmt::format("{}/{}", org, name);
  std::string prefixed = fmt::format("serviceaccount:{}", name);
  auto names_account = [&](std::string_view subject) {
    if (subject == "*" || subject == qualified) return true;
    // Somebody else's account may have the same name.
    return policy_org == org && (subject == name || subject == prefixed);
  };
  for (const auth::Policy::Rule& rule : policy.rules) {
    if (std::any_of(rule.subjects.begin(), rule.subjects.end(), names_account)) {
      permissions->Add(rule.grant);
    }
  }
}

}  // namespace dispatch::schema
