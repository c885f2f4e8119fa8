#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "common/json.h"
#include "common/jwt/key_set.h"
#include "common/result.h"

struct evp_pkey_st;

namespace dispatch::jwt {

/// A private key that signs tokens: RSA of 2048 bits and more (RS256), P-256
/// (ES256), P-384 (ES384), Ed25519.
class SigningKey {
 public:
  /// A PEM block without a passphrase. kInvalidArgument says what it should be.
  static Result<SigningKey> FromPem(std::string_view pem);
  /// A new RSA key of 2048 bits.
  static SigningKey Random();

  Algorithm algorithm() const { return algorithm_; }
  /// A compact token with the header {alg, typ: "JWT"} and nothing else in it.
  Result<std::string> Sign(const json::object& claims) const;
  /// In PEM, as KeySet::AddPem takes it.
  std::string PublicPem() const;
  /// In PEM without a passphrase, as FromPem takes it: for a file that only its owner reads.
  std::string PrivatePem() const;

 private:
  SigningKey(std::shared_ptr<evp_pkey_st> key, Algorithm algorithm)
      : key_(std::move(key)), algorithm_(algorithm) {}

  std::shared_ptr<evp_pkey_st> key_;
  Algorithm algorithm_;
};

}  // namespace dispatch::jwt
