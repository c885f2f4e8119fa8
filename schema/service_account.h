#pragma once

#include <cstdint>
#include <string_view>

#include "common/jwt/key_set.h"
#include "common/result.h"
#include "schema/authorization.h"

namespace dispatch::schema {

inline constexpr char kServiceAccountKind[] = "serviceaccount";

/// How long the tokens of service accounts may count from now on: one that lasts longer is as good
/// as a password that nobody can take back.
inline constexpr int64_t kMaxTokenSeconds = 24 * 3600;

/// The keys of a service account's `publicKey`: base64 of PEM, as VMware's command sends it, or
/// PEM. More than one block rotates them.
Result<jwt::KeySet> AccountKeys(std::string_view public_key);

/// Adds what a policy of the organisation `policy_org` gives a service account: a subject is its
/// name, as VMware's policies have it, or "serviceaccount:<name>" (both in its own organisation
/// only), "<org>/<name>", or "*".
void AddPolicyOfAccount(const auth::Policy& policy, std::string_view policy_org,
                        std::string_view org, std::string_view name,
                        auth::Permissions* permissions);

}  // namespace dispatch::schema
