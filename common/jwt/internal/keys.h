#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/jwt/key_set.h"
#include "common/result.h"

struct evp_md_st;
struct evp_pkey_st;

namespace dispatch::jwt::internal {

using KeyPtr = std::shared_ptr<evp_pkey_st>;

/// Takes over `key`; null stays null.
KeyPtr Own(evp_pkey_st* key);
/// What the key may sign with, the usual first. kInvalidArgument for kinds, curves and sizes that
/// are not ours.
Result<std::vector<Algorithm>> AlgorithmsOf(evp_pkey_st* key);
/// Null for EdDSA, which hashes by itself.
const evp_md_st* DigestOf(Algorithm algorithm);
/// Bytes of r and s of a signature of ECDSA; 0 for what is none.
size_t CoordinateOf(Algorithm algorithm);
/// A signature of ECDSA as DER (OpenSSL) and as r and s of `coordinate` bytes each (RFC 7518,
/// section 3.4). Empty when it is none.
std::string DerFromPair(std::string_view pair, size_t coordinate);
std::string PairFromDer(std::string_view der, size_t coordinate);

}  // namespace dispatch::jwt::internal
