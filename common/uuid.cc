#include "common/uuid.h"

#include <cstring>

#include "common/crypto.h"

namespace dispatch {

namespace {

// Where the dashes are in the text form.
constexpr bool IsDash(size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void FillRandom(Uuid& id) {
  uint64_t words[2] = {crypto::RandomU64(), crypto::RandomU64()};
  std::memcpy(id.bytes.data(), words, sizeof(words));
}

void Stamp(Uuid& id, int version) {
  id.bytes[6] = static_cast<uint8_t>((id.bytes[6] & 0x0f) | version << 4);
  id.bytes[8] = static_cast<uint8_t>((id.bytes[8] & 0x3f) | 0x80);
}

}  // namespace

std::string Uuid::ToString() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out(36, '-');
  size_t at = 0;
  for (uint8_t byte : bytes) {
    if (IsDash(at)) ++at;
    out[at++] = kDigits[byte >> 4];
    out[at++] = kDigits[byte & 15];
  }
  return out;
}

std::string Uuid::ToBytes() const {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Result<Uuid> Uuid::Parse(std::string_view text) {
  Uuid id;
  bool good = text.size() == 36;
  size_t digits = 0;
  for (size_t i = 0; good && i < text.size(); ++i) {
    if (IsDash(i)) {
      good = text[i] == '-';
      continue;
    }
    int value = HexValue(text[i]);
    good = value >= 0;
    id.bytes[digits / 2] = static_cast<uint8_t>(id.bytes[digits / 2] << 4 | (value & 15));
    ++digits;
  }
  if (!good) return {Code::kInvalidArgument, "not a UUID of the form 8-4-4-4-12"};
  return id;
}

Result<Uuid> Uuid::FromBytes(std::string_view bytes) {
  Uuid id;
  if (bytes.size() != id.bytes.size()) return {Code::kInvalidArgument, "a UUID has 16 bytes"};
  std::memcpy(id.bytes.data(), bytes.data(), bytes.size());
  return id;
}

Uuid Uuid::V7(WallTime now) {
  Uuid id;
  FillRandom(id);
  auto ms = static_cast<uint64_t>(ToMillis(now));
  for (int i = 0; i < 6; ++i) id.bytes[i] = static_cast<uint8_t>(ms >> (40 - 8 * i));
  Stamp(id, 7);
  return id;
}

Uuid Uuid::Random() {
  Uuid id;
  FillRandom(id);
  Stamp(id, 4);
  return id;
}

}  // namespace dispatch
