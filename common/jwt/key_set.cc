#include "common/jwt/key_set.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include "common/crypto.h"
#include "common/jwt/internal/keys.h"

namespace dispatch::jwt {

namespace {

using internal::KeyPtr;

constexpr int kLeastRsaBits = 2048;  // RFC 7518, section 3.3
constexpr int kMostRsaBits = 8192;   // more take long to check
constexpr size_t kEdwardsBytes = 32;

/// A curve as RFC 7518, section 6.2.1.1, and as OpenSSL names it.
struct Curve {
  std::string_view name;
  const char* group;
  Algorithm algorithm;
  size_t coordinate;  // bytes
};
constexpr Curve kCurves[] = {{"P-256", "prime256v1", Algorithm::kEs256, 32},
                             {"P-384", "secp384r1", Algorithm::kEs384, 48}};

template <typename T, void (*free)(T*)>
struct Freed {
  void operator()(T* object) const { free(object); }
};
template <typename T, void (*free)(T*)>
using Owned = std::unique_ptr<T, Freed<T, free>>;
using Number = Owned<BIGNUM, BN_free>;
using Builder = Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;
using Params = Owned<OSSL_PARAM, OSSL_PARAM_free>;
using KeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using DigestContext = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

Error Fault(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }

// A member of a JWK, decoded.
Result<std::string> Member(const json::object& jwk, std::string_view name) {
  auto value = crypto::Base64UrlDecode(json::GetString(jwk, name));
  if (value.ok() && !value->empty()) return value;
  return Fault(fmt::format("the key needs `{}` as base64url", name));
}

const Curve* FindCurve(std::string_view name) {
  for (const Curve& curve : kCurves) {
    if (curve.name == name) return &curve;
  }
  return nullptr;
}

KeyPtr FromParams(const char* kind, OSSL_PARAM_BLD* builder) {
  Params params(OSSL_PARAM_BLD_to_param(builder));
  KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr));
  EVP_PKEY* key = nullptr;
  bool made = params != nullptr && context != nullptr &&
              EVP_PKEY_fromdata_init(context.get()) == 1 &&
              EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) == 1;
  ERR_clear_error();
  return made ? internal::Own(key) : nullptr;
}

Result<KeyPtr> RsaKey(const json::object& jwk) {
  ASSIGN_OR_RETURN(std::string n, Member(jwk, "n"));
  ASSIGN_OR_RETURN(std::string e, Member(jwk, "e"));
  if (n.size() > kMostRsaBits / 8) return Fault("the RSA key is too large: at most 8192 bits");
  Number modulus(BN_bin2bn(Bytes(n), static_cast<int>(n.size()), nullptr));
  Number exponent(BN_bin2bn(Bytes(e), static_cast<int>(std::min<size_t>(e.size(), 64)), nullptr));
  Builder builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get());
  return FromParams("RSA", builder.get());
}

Result<KeyPtr> CurveKey(const json::object& jwk, const Curve& curve) {
  ASSIGN_OR_RETURN(std::string x, Member(jwk, "x"));
  ASSIGN_OR_RETURN(std::string y, Member(jwk, "y"));
  if (x.size() != curve.coordinate || y.size() != curve.coordinate) {
    return Fault(
        fmt::format("`x` and `y` of a {} key have {} bytes each", curve.name, curve.coordinate));
  }
  std::string point = "\x04" + x + y;
  Builder builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.group, 0);
  OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                   point.size());
  return FromParams("EC", builder.get());
}

Result<KeyPtr> EdwardsKey(const json::object& jwk) {
  ASSIGN_OR_RETURN(std::string x, Member(jwk, "x"));
  if (x.size() != kEdwardsBytes) return Fault("`x` of an Ed25519 key has 32 bytes");
  return internal::Own(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, Bytes(x), x.size()));
}

bool Matches(EVP_PKEY* key, Algorithm algorithm, std::string_view text,
             std::string_view signature) {
  std::string der;
  if (size_t coordinate = internal::CoordinateOf(algorithm); coordinate > 0) {
    der = internal::DerFromPair(signature, coordinate);
    if (der.empty()) return false;
    signature = der;
  }
  DigestContext context(EVP_MD_CTX_new());
  bool good = EVP_DigestVerifyInit(context.get(), nullptr, internal::DigestOf(algorithm), nullptr,
                                   key) == 1 &&
              EVP_DigestVerify(context.get(), Bytes(signature), signature.size(), Bytes(text),
                               text.size()) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace

namespace internal {

KeyPtr Own(EVP_PKEY* key) { return key == nullptr ? nullptr : KeyPtr(key, EVP_PKEY_free); }

Result<std::vector<Algorithm>> AlgorithmsOf(EVP_PKEY* key) {
  using Several = std::vector<Algorithm>;
  if (EVP_PKEY_is_a(key, "ED25519") == 1) return Several{Algorithm::kEdDsa};
  if (EVP_PKEY_is_a(key, "RSA") == 1) {
    int bits = EVP_PKEY_get_bits(key);
    if (bits >= kLeastRsaBits && bits <= kMostRsaBits) {
      return Several{Algorithm::kRs256, Algorithm::kRs384, Algorithm::kRs512};
    }
    return Fault(fmt::format("the RSA key has {} bits: 2048 to 8192 are taken", bits));
  }
  char group[64] = "";
  size_t length = 0;
  bool named = EVP_PKEY_is_a(key, "EC") == 1 &&
               EVP_PKEY_get_group_name(key, group, sizeof(group), &length) == 1;
  ERR_clear_error();
  for (const Curve& curve : kCurves) {
    if (named && std::string_view(group) == curve.group) return Several{curve.algorithm};
  }
  return Fault("the key must be RSA, P-256, P-384 or Ed25519");
}

const EVP_MD* DigestOf(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kRs256:
    case Algorithm::kEs256:
      return EVP_sha256();
    case Algorithm::kRs384:
    case Algorithm::kEs384:
      return EVP_sha384();
    case Algorithm::kRs512:
      return EVP_sha512();
    case Algorithm::kEdDsa:
      break;
  }
  return nullptr;
}

size_t CoordinateOf(Algorithm algorithm) {
  for (const Curve& curve : kCurves) {
    if (curve.algorithm == algorithm) return curve.coordinate;
  }
  return 0;
}

std::string DerFromPair(std::string_view pair, size_t coordinate) {
  if (pair.size() != 2 * coordinate) return {};
  int size = static_cast<int>(coordinate);
  Owned<ECDSA_SIG, ECDSA_SIG_free> signature(ECDSA_SIG_new());
  ECDSA_SIG_set0(signature.get(), BN_bin2bn(Bytes(pair), size, nullptr),
                 BN_bin2bn(Bytes(pair) + coordinate, size, nullptr));
  int encoded = i2d_ECDSA_SIG(signature.get(), nullptr);
  if (encoded <= 0) return {};
  std::string der(static_cast<size_t>(encoded), '\0');
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  i2d_ECDSA_SIG(signature.get(), &out);
  return der;
}

std::string PairFromDer(std::string_view der, size_t coordinate) {
  const unsigned char* in = Bytes(der);
  Owned<ECDSA_SIG, ECDSA_SIG_free> signature(
      d2i_ECDSA_SIG(nullptr, &in, static_cast<long>(der.size())));
  if (signature == nullptr) return {};
  int size = static_cast<int>(coordinate);
  std::string pair(2 * coordinate, '\0');
  auto* out = reinterpret_cast<unsigned char*>(pair.data());
  BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), out, size);
  BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), out + size, size);
  return pair;
}

}  // namespace internal

std::string_view AlgorithmName(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kRs256:
      return "RS256";
    case Algorithm::kRs384:
      return "RS384";
    case Algorithm::kRs512:
      return "RS512";
    case Algorithm::kEs256:
      return "ES256";
    case Algorithm::kEs384:
      return "ES384";
    case Algorithm::kEdDsa:
      return "EdDSA";
  }
  return "";
}

Status KeySet::Add(KeyPtr key, std::string id, std::string_view declared) {
  if (key == nullptr) return Fault("this is no public key");
  ASSIGN_OR_RETURN(auto algorithms, internal::AlgorithmsOf(key.get()));
  std::erase_if(algorithms, [&](Algorithm algorithm) {
    return !declared.empty() && declared != AlgorithmName(algorithm);
  });
  if (algorithms.empty()) return OkStatus();
  if (keys_.size() >= kMostKeys) return Fault(fmt::format("at most {} keys", kMostKeys));
  keys_.push_back({std::move(key), std::move(algorithms), std::move(id)});
  return OkStatus();
}

Status KeySet::AddPem(std::string_view pem) {
  Owned<BIO, BIO_free_all> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  size_t before = keys_.size();
  while (KeyPtr key = internal::Own(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr))) {
    Status added = Add(std::move(key), "", "");
    if (!added.ok()) return added;
  }
  ERR_clear_error();
  if (keys_.size() > before) return OkStatus();
  if (pem.find("PRIVATE KEY") != pem.npos) {
    return Fault("this is a private key: keep it, and give its public one");
  }
  return Fault("must be a public key in PEM: -----BEGIN PUBLIC KEY-----");
}

Status KeySet::AddJwk(const json::object& jwk) {
  std::string use = json::GetString(jwk, "use", "sig");
  std::string kind = json::GetString(jwk, "kty");
  std::string curve = json::GetString(jwk, "crv");
  if (use != "sig") return OkStatus();
  for (const char* secret : {"d", "k"}) {
    if (jwk.contains(secret)) return Fault("this is a private key: give its public members only");
  }
  KeyPtr key;
  if (kind == "RSA") {
    ASSIGN_OR_RETURN(key, RsaKey(jwk));
  } else if (const Curve* known = kind == "EC" ? FindCurve(curve) : nullptr; known != nullptr) {
    ASSIGN_OR_RETURN(key, CurveKey(jwk, *known));
  } else if (kind == "OKP" && curve == "Ed25519") {
    ASSIGN_OR_RETURN(key, EdwardsKey(jwk));
  } else {
    return OkStatus();
  }
  return Add(std::move(key), json::GetString(jwk, "kid"), json::GetString(jwk, "alg"));
}

Status KeySet::AddJwks(const json::object& set) {
  const auto* keys = json::GetArray(set, "keys");
  if (keys == nullptr) return Fault("must be a JWKS document: {\"keys\": [...]}");
  size_t before = keys_.size();
  for (size_t i = 0; i < keys->size(); ++i) {
    const auto* jwk = (*keys)[i].if_object();
    Status added = jwk != nullptr ? AddJwk(*jwk) : Fault("must be an object");
    if (!added.ok()) return Fault(fmt::format("keys[{}]: {}", i, added.message()));
  }
  if (keys_.size() > before) return OkStatus();
  return Fault("has no key for RS256, RS384, RS512, ES256, ES384 or EdDSA");
}

bool KeySet::Verify(std::string_view algorithm, std::string_view key_id, std::string_view text,
                    std::string_view signature) const {
  for (const Key& key : keys_) {
    if (!key_id.empty() && !key.id.empty() && key_id != key.id) continue;
    for (Algorithm possible : key.algorithms) {
      if (algorithm != AlgorithmName(possible)) continue;
      if (Matches(key.key.get(), possible, text, signature)) return true;
    }
  }
  return false;
}

}  // namespace dispatch::jwt
