#include "common/http/internal/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>
#include <cstring>

namespace dispatch::http::internal {

namespace {

struct Prefix4 {
  uint32_t network;
  int bits;
};
// IANA's special-purpose registry: what is not globally reachable.
constexpr Prefix4 kNotPublic4[] = {
    {0x00000000, 8},   // "this" network
    {0x0a000000, 8},   // private
    {0x64400000, 10},  // shared with carriers
    {0x7f000000, 8},   // loopback
    {0xa9fe0000, 16},  // link-local, and the cloud's metadata
    {0xac100000, 12},  // private
    {0xc0000000, 24},  // protocol assignments
    {0xc0000200, 24},  // documentation
    {0xc0586300, 24},  // 6to4 relays
    {0xc0a80000, 16},  // private
    {0xc6120000, 15},  // benchmarks
    {0xc6336400, 24},  // documentation
    {0xcb007100, 24},  // documentation
    {0xe0000000, 4},   // multicast
    {0xf0000000, 4},   // reserved, and broadcast
};

// Link-local ones of most clouds; Azure's agent, Alibaba's and Oracle's own.
constexpr uint32_t kMetadata4[] = {0xa9fea9fe, 0xa9fea9fd, 0xa9feaa02, 0xa9feaa17,
                                   0xa83f8110, 0x646464c8, 0xc00000c0};
// fd00:ec2::/32 (Amazon), fd20:ce::254 (Google).
constexpr uint8_t kAmazon6[4] = {0xfd, 0x00, 0x0e, 0xc2};
constexpr uint8_t kGoogle6[16] = {0xfd, 0x20, 0x00, 0xce, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54};

bool IsPublic4(uint32_t address) {
  for (uint32_t metadata : kMetadata4) {
    if (address == metadata) return false;
  }
  for (const auto& prefix : kNotPublic4) {
    if ((address ^ prefix.network) >> (32 - prefix.bits) == 0) return false;
  }
  return true;
}

uint32_t Load32(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

bool IsPublic6(const uint8_t* a) {
  static constexpr uint8_t kZero[12] = {};
  static constexpr uint8_t kNat64[12] = {0x00, 0x64, 0xff, 0x9b};
  if (std::memcmp(a, kZero, 10) == 0 && a[10] == 0xff && a[11] == 0xff) {
    return IsPublic4(Load32(a + 12));  // IPv4-mapped
  }
  if (std::memcmp(a, kNat64, 12) == 0) return IsPublic4(Load32(a + 12));
  // Only 2000::/3 is global unicast; the rest is local, multicast, unspecified or unassigned.
  if (a[0] >> 5 != 1) return false;
  uint32_t head = Load32(a);
  if (head >> 16 == 0x2002) return IsPublic4(Load32(a + 2));  // 6to4
  if (head >> 9 == 0x20010000 >> 9) return false;             // 2001::/23, with Teredo
  if (head == 0x20010db8) return false;                       // documentation
  bool isatap = (a[8] & 0xfd) == 0 && a[9] == 0 && a[10] == 0x5e && a[11] == 0xfe;
  if (isatap) return IsPublic4(Load32(a + 12));
  if (head >> 12 == 0x3fff0000 >> 12) return false;  // documentation
  return true;
}

}  // namespace

uint16_t SocketAddress::port() const {
  // The port is at the same place in both.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
}

void SocketAddress::set_port(uint16_t port) {
  reinterpret_cast<sockaddr_in*>(&storage)->sin_port = htons(port);
}

std::string SocketAddress::Host() const {
  char text[INET6_ADDRSTRLEN] = "";
  const void* address =
      family() == AF_INET6
          ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr)
          : &reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr;
  inet_ntop(family(), address, text, sizeof(text));
  return text;
}

bool SocketAddress::IsPublic() const {
  if (family() == AF_INET) {
    return IsPublic4(ntohl(reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr.s_addr));
  }
  return family() == AF_INET6 &&
         IsPublic6(reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr.s6_addr);
}

std::optional<uint32_t> SocketAddress::Embedded4() const {
  if (family() == AF_INET) {
    return ntohl(reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr.s_addr);
  }
  const uint8_t* a = reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr.s6_addr;
  if (a[0] == 0x20 && a[1] == 0x02) return Load32(a + 2);  // 6to4
  static constexpr uint8_t kZero[10] = {};
  bool low = std::memcmp(a, kZero, 8) == 0;  // ::a.b.c.d, ::ffff:a.b.c.d, ::ffff:0:a.b.c.d
  bool nat64 = Load32(a) == 0x0064ff9b;      // both of its prefixes (RFC 6052, RFC 8215)
  // Of an interface (RFC 5214, ISATAP) too: fe80::5efe:a.b.c.d.
  bool isatap = (a[8] & 0xfd) == 0 && a[9] == 0 && a[10] == 0x5e && a[11] == 0xfe;
  if (low || nat64 || isatap) return Load32(a + 12);
  return std::nullopt;
}

bool SocketAddress::IsMetadata() const {
  if (auto v4 = Embedded4()) {
    for (uint32_t metadata : kMetadata4) {
      if (*v4 == metadata) return true;
    }
  }
  if (family() != AF_INET6) return false;
  const uint8_t* a = reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr.s6_addr;
  return std::memcmp(a, kAmazon6, sizeof(kAmazon6)) == 0 ||
         std::memcmp(a, kGoogle6, sizeof(kGoogle6)) == 0;
}

Result<SocketAddress> ParseAddress(std::string_view host, uint16_t port) {
  std::string text(host);
  SocketAddress address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    address.length = sizeof(sockaddr_in);
  } else if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    address.length = sizeof(sockaddr_in6);
  } else {
    return {Code::kInvalidArgument, fmt::format("'{}' is not a numeric address", text)};
  }
  address.set_port(port);
  return address;
}

Result<SocketAddress> ParseListenAddress(std::string_view text) {
  size_t colon = text.rfind(':');
  uint16_t port = 0;
  bool good = colon != text.npos;
  if (good) {
    std::string_view digits = text.substr(colon + 1);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    good = error == std::errc() && end == digits.data() + digits.size();
  }
  if (good) {
    std::string_view host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    if (host.empty()) host = "0.0.0.0";
    if (host == "localhost") host = "127.0.0.1";
    auto address = ParseAddress(host, port);
    if (address.ok()) return address;
  }
  return {Code::kInvalidArgument,
          fmt::format("'{}' is no address to listen at; write it as 127.0.0.1:8080", text)};
}

}  // namespace dispatch::http::internal
