#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/json.h"
#include "common/result.h"

struct evp_pkey_st;

namespace dispatch::jwt {

/// What keys sign with. The kind of a key decides what it may be, never the token (RFC 8725,
/// section 3.1): RS256, RS384 or RS512 of RSA, unless a JWK names one; one for the other kinds.
enum class Algorithm { kRs256, kRs384, kRs512, kEs256, kEs384, kEdDsa };

/// "RS256", "RS384", "RS512", "ES256", "ES384", "EdDSA".
std::string_view AlgorithmName(Algorithm algorithm);

/// Public keys that sign tokens: RSA of 2048 bits and more, P-256, P-384, Ed25519. Immutable once
/// filled, cheap to copy, and then safe in any thread.
class KeySet {
 public:
  static constexpr size_t kMostKeys = 16;  // each may be tried for a token without a key id

  /// PEM blocks "PUBLIC KEY" (RFC 7468, section 13). kInvalidArgument says what they should be.
  Status AddPem(std::string_view pem);
  /// A JWKS document (RFC 7517, section 5). Keys of other kinds and for other uses are left out, as
  /// section 5 has it; kInvalidArgument when none is left, or one that is ours is malformed.
  Status AddJwks(const json::object& set);

  size_t size() const { return keys_.size(); }
  /// Whether a key for `algorithm`, and of the id where both sides have one, made `signature`.
  bool Verify(std::string_view algorithm, std::string_view key_id, std::string_view text,
              std::string_view signature) const;

 private:
  struct Key {
    std::shared_ptr<evp_pkey_st> key;
    std::vector<Algorithm> algorithms;
    std::string id;  // empty: none
  };

  Status Add(std::shared_ptr<evp_pkey_st> key, std::string id, std::string_view declared);
  Status AddJwk(const json::object& jwk);

  std::vector<Key> keys_;
};

}  // namespace dispatch::jwt
