#include <openssl/evp.h>
#include <sodium.h>

#include <memory>

#include "common/check.h"
#include "common/crypto.h"

namespace dispatch::crypto {

namespace {

constexpr size_t kKeyBytes = 32;
constexpr size_t kNonceBytes = 12;
constexpr size_t kTagBytes = 16;

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* Bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

int Length(std::string_view text) { return static_cast<int>(text.size()); }

}  // namespace

SealingKeys SealingKeysFrom(std::string_view seed) {
  DISPATCH_CHECK(sodium_init() >= 0 && seed.size() == crypto_box_SEEDBYTES);
  SealingKeys keys;
  keys.public_key.resize(crypto_box_PUBLICKEYBYTES);
  keys.secret_key.resize(crypto_box_SECRETKEYBYTES);
  crypto_box_seed_keypair(Bytes(keys.public_key), Bytes(keys.secret_key), Bytes(seed));
  return keys;
}

Result<std::string> Seal(std::string_view public_key, std::string_view text) {
  DISPATCH_CHECK(sodium_init() >= 0);
  std::string sealed(text.size() + crypto_box_SEALBYTES, '\0');
  bool good = public_key.size() == crypto_box_PUBLICKEYBYTES &&
              crypto_box_seal(Bytes(sealed), Bytes(text), text.size(), Bytes(public_key)) == 0;
  if (!good) return {Code::kInvalidArgument, "no key to seal with"};
  return sealed;
}

Result<std::string> OpenSealed(const SealingKeys& keys, std::string_view sealed) {
  bool sized = sealed.size() >= crypto_box_SEALBYTES;
  std::string text(sized ? sealed.size() - crypto_box_SEALBYTES : 0, '\0');
  bool good = sized && crypto_box_seal_open(Bytes(text), Bytes(sealed), sealed.size(),
                                            Bytes(keys.public_key), Bytes(keys.secret_key)) == 0;
  if (!good) return {Code::kInvalidArgument, "not sealed for this key"};
  return text;
}

std::string Encrypt(std::string_view key, std::string_view text, std::string_view bound) {
  DISPATCH_CHECK(key.size() == kKeyBytes);
  std::string nonce = RandomBytes(kNonceBytes);
  std::string out(text.size(), '\0');
  std::string tag(kTagBytes, '\0');
  Context context(EVP_CIPHER_CTX_new());
  int written = 0;
  bool good =
      EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, Bytes(key), Bytes(nonce)) &&
      EVP_EncryptUpdate(context.get(), nullptr, &written, Bytes(bound), Length(bound)) &&
      EVP_EncryptUpdate(context.get(), Bytes(out), &written, Bytes(text), Length(text)) &&
      EVP_EncryptFinal_ex(context.get(), Bytes(out) + written, &written) &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, tag.data());
  DISPATCH_CHECK(good);
  return nonce + out + tag;
}

Result<std::string> Decrypt(std::string_view key, std::string_view box, std::string_view bound) {
  DISPATCH_CHECK(key.size() == kKeyBytes);
  Error refused{Code::kInvalidArgument, "encrypted under another key, or changed"};
  if (box.size() < kNonceBytes + kTagBytes) return refused;
  std::string_view nonce = box.substr(0, kNonceBytes);
  std::string_view text = box.substr(kNonceBytes, box.size() - kNonceBytes - kTagBytes);
  std::string tag(box.substr(box.size() - kTagBytes));
  std::string out(text.size(), '\0');
  Context context(EVP_CIPHER_CTX_new());
  int written = 0;
  bool good =
      EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, Bytes(key), Bytes(nonce)) &&
      EVP_DecryptUpdate(context.get(), nullptr, &written, Bytes(bound), Length(bound)) &&
      EVP_DecryptUpdate(context.get(), Bytes(out), &written, Bytes(text), Length(text)) &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) &&
      EVP_DecryptFinal_ex(context.get(), Bytes(out) + written, &written) > 0;
  if (!good) return refused;
  return out;
}

}  // namespace dispatch::crypto
