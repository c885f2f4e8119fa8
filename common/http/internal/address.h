#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace dispatch::http::internal {

/// An IPv4 or IPv6 address with its port.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  int family() const { return storage.ss_family; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  uint16_t port() const;
  void set_port(uint16_t port);
  /// The address without the port.
  std::string Host() const;
  /// Whether it may be reached from the public Internet: no loopback, private, link-local, unique
  /// local, multicast, documentation or unspecified address, nor an IPv6 form that carries one.
  bool IsPublic() const;
  /// Whether a cloud's metadata service is there, in whatever form of IPv6 it is written: what
  /// hands out a machine's credentials is nobody's endpoint, not even where private addresses are
  /// allowed.
  bool IsMetadata() const;

 private:
  /// The IPv4 address that it is or that an IPv6 form carries (mapped, NAT64, 6to4, compatible).
  std::optional<uint32_t> Embedded4() const;
};

/// A numeric address; an IPv6 one without brackets.
Result<SocketAddress> ParseAddress(std::string_view host, uint16_t port);
/// "127.0.0.1:8080", "[::1]:8080" or ":8080" for every interface.
Result<SocketAddress> ParseListenAddress(std::string_view text);

}  // namespace dispatch::http::internal
