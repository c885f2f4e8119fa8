#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/http/client.h"

namespace dispatch::http {

Result<int> DialUnix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return {Code::kInvalidArgument, fmt::format("the path {} is too long for a socket", path)};
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return {Code::kUnavailable, std::strerror(errno)};
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    std::string why = std::strerror(errno);
    close(fd);
    return {Code::kUnavailable, fmt::format("cannot connect to {}: {}", path, why)};
  }
  return fd;
}

}  // namespace dispatch::http
