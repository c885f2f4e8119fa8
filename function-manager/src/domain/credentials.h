#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "common/result.h"

/// What the values of a secret are good for at an endpoint.
namespace dispatch {

using SecretValues = std::map<std::string, std::string>;

/// The field `webhook-signature` (Standard Webhooks): `v1,<base64>` under each value of the secret,
/// so that a receiver that knows the old or the new key of a rotation is content. A value
/// `whsec_<base64>` is the key that it encodes, any other its own bytes.
std::string SignatureOf(const SecretValues& keys, std::string_view id, int64_t timestamp_s,
                        std::string_view body);

/// The field `authorization`: the secret's `authorization` as it is, `token` as Bearer, or
/// `username` and `password` as Basic. kInvalidArgument when it has none of these.
Result<std::string> AuthorizationOf(const SecretValues& values);

}  // namespace dispatch
