#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "common/result.h"

namespace dispatch {

/// A 128-bit UUID (RFC 9562).
struct Uuid {
  std::array<uint8_t, 16> bytes{};

  bool is_nil() const { return *this == Uuid{}; }
  auto operator<=>(const Uuid&) const = default;

  /// Lower-case, with dashes.
  std::string ToString() const;
  /// The 16 bytes as a string, for keys and wire formats.
  std::string ToBytes() const;
  static Result<Uuid> Parse(std::string_view text);
  static Result<Uuid> FromBytes(std::string_view bytes);
  /// Version 7: 48 bits of milliseconds, then random bits (section 5.7).
  static Uuid V7(WallTime now);
  /// Version 4.
  static Uuid Random();
};

}  // namespace dispatch

template <>
struct std::hash<dispatch::Uuid> {
  size_t operator()(const dispatch::Uuid& id) const noexcept {
    uint64_t low = 0;
    for (int i = 8; i < 16; ++i) low = low << 8 | id.bytes[i];
    return low;
  }
};
