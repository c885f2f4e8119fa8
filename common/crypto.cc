#include "common/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include "common/check.h"
#include "common/key_ring.h"

namespace dispatch::crypto {

namespace {

void EnsureSodium() {
  static const bool ready = sodium_init() >= 0;
  DISPATCH_CHECK(ready);
}

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* Bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

// getrandom costs a system call: small requests are served from a block of it, each byte once.
class RandomBlock {
 public:
  void Fill(unsigned char* out, size_t count) {
    if (count > sizeof(block_) / 4) {
      randombytes_buf(out, count);
      return;
    }
    if (count > left_) {
      randombytes_buf(block_, sizeof(block_));
      left_ = sizeof(block_);
    }
    unsigned char* from = block_ + sizeof(block_) - left_;
    std::memcpy(out, from, count);
    std::memset(from, 0, count);
    left_ -= count;
  }

 private:
  unsigned char block_[1024];
  size_t left_ = 0;
};

void FillRandom(void* out, size_t count) {
  EnsureSodium();
  static thread_local RandomBlock block;
  block.Fill(static_cast<unsigned char*>(out), count);
}

std::string Encoded(std::string_view bytes, int variant) {
  std::string out(sodium_base64_encoded_len(bytes.size(), variant), '\0');
  sodium_bin2base64(out.data(), out.size(), Bytes(bytes), bytes.size(), variant);
  out.pop_back();  // the terminating zero
  return out;
}

Result<std::string> Decoded(std::string_view text, int variant, const char* fault) {
  std::string out(text.size() / 4 * 3 + 3, '\0');
  size_t length = 0;
  if (sodium_base642bin(Bytes(out), out.size(), text.data(), text.size(), nullptr, &length, nullptr,
                        variant) != 0) {
    return {Code::kInvalidArgument, fault};
  }
  out.resize(length);
  return out;
}

}  // namespace

std::string HmacSha256(std::string_view key, std::string_view message) {
  EnsureSodium();
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, Bytes(key), key.size());
  crypto_auth_hmacsha256_update(&state, Bytes(message), message.size());
  std::string out(crypto_auth_hmacsha256_BYTES, '\0');
  crypto_auth_hmacsha256_final(&state, Bytes(out));
  return out;
}

// OpenSSL uses the processor's instructions for it, which libsodium does not: a fifth of the time.
std::string Sha256(std::string_view message) {
  static const EVP_MD* const kind = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  static thread_local const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(
      EVP_MD_CTX_new(), EVP_MD_CTX_free);
  std::string out(crypto_hash_sha256_BYTES, '\0');
  DISPATCH_CHECK(EVP_DigestInit_ex2(context.get(), kind, nullptr) == 1 &&
                 EVP_DigestUpdate(context.get(), message.data(), message.size()) == 1 &&
                 EVP_DigestFinal_ex(context.get(), Bytes(out), nullptr) == 1);
  return out;
}

bool EqualConstantTime(std::string_view a, std::string_view b) {
  return a.size() == b.size() && (a.empty() || sodium_memcmp(a.data(), b.data(), a.size()) == 0);
}

std::string RandomBytes(size_t count) {
  std::string out(count, '\0');
  FillRandom(out.data(), count);
  return out;
}

uint64_t RandomU64() {
  uint64_t value;
  FillRandom(&value, sizeof(value));
  return value;
}

std::string HexEncode(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out(bytes.size() * 2, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) {
    auto c = static_cast<unsigned char>(bytes[i]);
    out[2 * i] = kDigits[c >> 4];
    out[2 * i + 1] = kDigits[c & 15];
  }
  return out;
}

Result<std::string> HexDecode(std::string_view text) {
  std::string out(text.size() / 2, '\0');
  size_t length = 0;
  if (text.size() % 2 != 0 ||
      sodium_hex2bin(Bytes(out), out.size(), text.data(), text.size(), nullptr, &length, nullptr) !=
          0 ||
      length != out.size()) {
    return {Code::kInvalidArgument, "not hexadecimal"};
  }
  return out;
}

std::string Base64Encode(std::string_view bytes) {
  return Encoded(bytes, sodium_base64_VARIANT_ORIGINAL);
}

Result<std::string> Base64Decode(std::string_view text) {
  return Decoded(text, sodium_base64_VARIANT_ORIGINAL, "not base64 (RFC 4648, section 4)");
}

std::string Base64UrlEncode(std::string_view bytes) {
  return Encoded(bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

Result<std::string> Base64UrlDecode(std::string_view text) {
  return Decoded(text, sodium_base64_VARIANT_URLSAFE_NO_PADDING,
                 "not base64url (RFC 4648, section 5)");
}

std::string RandomAlphanumeric(size_t count) {
  static constexpr std::string_view kLetters =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string out;
  out.reserve(count);
  while (out.size() < count) {
    unsigned char byte;
    FillRandom(&byte, 1);
    // 248 = 4 * 62: what is above would make some letters likelier.
    if (byte < 248) out += kLetters[byte % 62];
  }
  return out;
}

Result<std::vector<std::string>> ReadKeyRing(const std::string& path) {
  constexpr size_t kMostBytes = 8 * 66;  // lines, with their ends
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return {
        Code::kInvalidArgument,
        fmt::format("key file {}: {}; make one with `openssl rand -hex 32 > {} && chmod 600 {}`",
                    path, std::strerror(errno), path, path)};
  }
  struct stat info{};
  char text[kMostBytes + 1];
  ssize_t size = fstat(fd, &info) == 0 ? read(fd, text, sizeof(text)) : -1;
  close(fd);
  if (size < 0) return {Code::kInvalidArgument, fmt::format("key file {} cannot be read", path)};
  if (!S_ISREG(info.st_mode) || (info.st_mode & 077) != 0) {
    return {Code::kInvalidArgument,
            fmt::format("key file {} is open to others: `chmod 600 {}`", path, path)};
  }
  std::vector<std::string> keys;
  bool good = static_cast<size_t>(size) <= kMostBytes;
  std::string_view rest(text, static_cast<size_t>(size));
  while (good && !rest.empty()) {
    std::string_view line = rest.substr(0, rest.find_first_of("\r\n"));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.empty()) continue;
    auto key = HexDecode(line);
    good = key.ok() && key->size() == 32;
    if (good) keys.push_back(std::move(*key));
  }
  sodium_memzero(text, sizeof(text));
  if (good && !keys.empty()) return keys;
  return {Code::kInvalidArgument,
          fmt::format("key file {} must hold 64 hexadecimal characters (32 bytes) a key", path)};
}

Result<std::string> ReadKeyFile(const std::string& path) {
  ASSIGN_OR_RETURN(auto keys, ReadKeyRing(path));
  if (keys.size() == 1) return std::move(keys[0]);
  return {Code::kInvalidArgument,
          fmt::format("key file {} must hold one key of 64 hexadecimal characters", path)};
}

}  // namespace dispatch::crypto
