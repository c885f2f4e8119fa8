#include "common/jwt/signing_key.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "common/check.h"
#include "common/crypto.h"
#include "common/jwt/internal/keys.h"

namespace dispatch::jwt {

namespace {

using Bio = std::unique_ptr<BIO, decltype(&BIO_free_all)>;

// A key with a passphrase is refused: nobody is there to ask.
int NoPassphrase(char*, int, int, void*) { return -1; }

std::string Written(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

}  // namespace

Result<SigningKey> SigningKey::FromPem(std::string_view pem) {
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free_all);
  auto key = internal::Own(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (key == nullptr) {
    return {Code::kInvalidArgument,
            "must be a private key in PEM without a passphrase: -----BEGIN PRIVATE KEY-----"};
  }
  ASSIGN_OR_RETURN(auto algorithms, internal::AlgorithmsOf(key.get()));
  return SigningKey(std::move(key), algorithms.front());
}

SigningKey SigningKey::Random() {
  auto key = internal::Own(EVP_RSA_gen(2048));
  DISPATCH_CHECK(key != nullptr);
  return {std::move(key), Algorithm::kRs256};
}

Result<std::string> SigningKey::Sign(const json::object& claims) const {
  json::object header{{"alg", AlgorithmName(algorithm_)}, {"typ", "JWT"}};
  std::string text = crypto::Base64UrlEncode(json::Serialize(header)) + "." +
                     crypto::Base64UrlEncode(json::Serialize(claims));
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                  EVP_MD_CTX_free);
  const EVP_MD* digest = internal::DigestOf(algorithm_);
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  size_t size = 0;
  bool good = EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, key_.get()) == 1 &&
              EVP_DigestSign(context.get(), nullptr, &size, bytes, text.size()) == 1;
  std::string signature(size, '\0');
  good = good && EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()),
                                &size, bytes, text.size()) == 1;
  ERR_clear_error();
  if (!good) return {Code::kInternal, "the key does not sign"};
  signature.resize(size);
  if (size_t coordinate = internal::CoordinateOf(algorithm_); coordinate > 0) {
    signature = internal::PairFromDer(signature, coordinate);
  }
  return text + "." + crypto::Base64UrlEncode(signature);
}

std::string SigningKey::PublicPem() const {
  Bio bio(BIO_new(BIO_s_mem()), BIO_free_all);
  PEM_write_bio_PUBKEY(bio.get(), key_.get());
  return Written(bio.get());
}

std::string SigningKey::PrivatePem() const {
  Bio bio(BIO_new(BIO_s_mem()), BIO_free_all);
  PEM_write_bio_PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return Written(bio.get());
}

}  // namespace dispatch::jwt
