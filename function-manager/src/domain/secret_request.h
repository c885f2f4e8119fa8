#pragma once

#include <string>

#include "common/json.h"
#include "common/result.h"
#include "function-manager/src/domain/credentials.h"

namespace dispatch {

/// What people see in the place of a value. Sent back, it keeps the value that is there.
inline constexpr char kHiddenValue[] = "<hidden>";

/// A request to create or replace a secret, read: what is stored for everybody's eyes, and the
/// values. kUnprocessable names the fields that do not hold.
struct SecretRequest {
  json::object document;
  SecretValues values;
};
Result<SecretRequest> ReadSecretRequest(const json::object& request);

}  // namespace dispatch
