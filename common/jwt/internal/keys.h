#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "common/jwt/key_set.h"
#include "common/result.h"

struct evp_pkey_st;

namespace dispatch::jwt::internal {

using KeyPtr = std::shared_ptr<evp_pkey_st>;

/// Takes over `key`; null stays null.
KeyPtr Own(evp_pkey_st* key);
/// What the key signs with. kInvalidArgument for kinds, curves and sizes that are not ours.
Result<Algorithm> AlgorithmOf(evp_pkey_st* key);
/// A signature of ECDSA as DER (OpenSSL) and as r and s of 32 bytes each (RFC 7518, section 3.4).
/// Empty when it is none.
std::string DerFromPair(std::string_view pair);
std::string PairFromDer(std::string_view der);

}  // namespace dispatch::jwt::internal
