#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace dispatch::crypto {

/// HMAC-SHA-256; 32 raw bytes.
std::string HmacSha256(std::string_view key, std::string_view message);
/// SHA-256; 32 raw bytes.
std::string Sha256(std::string_view message);
/// Compares in a time that depends on the lengths only.
bool EqualConstantTime(std::string_view a, std::string_view b);
/// From the kernel's generator.
std::string RandomBytes(size_t count);
uint64_t RandomU64();

std::string HexEncode(std::string_view bytes);
Result<std::string> HexDecode(std::string_view text);
std::string Base64Encode(std::string_view bytes);
Result<std::string> Base64Decode(std::string_view text);
/// Without padding (RFC 4648, section 5).
std::string Base64UrlEncode(std::string_view bytes);
Result<std::string> Base64UrlDecode(std::string_view text);
/// Characters 0-9 A-Z a-z, for identifiers and secrets that people copy.
std::string RandomAlphanumeric(size_t count);

/// An X25519 pair for sealed boxes: who has the public key can seal, who has both can open.
struct SealingKeys {
  std::string public_key;  // 32 raw bytes
  std::string secret_key;
};
/// The same pair for the same 32 bytes.
SealingKeys SealingKeysFrom(std::string_view seed);
/// kInvalidArgument when the key is none.
Result<std::string> Seal(std::string_view public_key, std::string_view text);
Result<std::string> OpenSealed(const SealingKeys& keys, std::string_view sealed);

/// AES-256-GCM under a 32-byte key: a random nonce (12 bytes), the ciphertext, the tag (16 bytes).
/// `bound` is authenticated with it and not in it.
std::string Encrypt(std::string_view key, std::string_view text, std::string_view bound);
/// kInvalidArgument for another key, other bound text, or changed bytes.
Result<std::string> Decrypt(std::string_view key, std::string_view box, std::string_view bound);

/// A key that services share: a file of 64 hexadecimal characters (32 bytes), mode 0600 or 0400.
Result<std::string> ReadKeyFile(const std::string& path);

}  // namespace dispatch::crypto
