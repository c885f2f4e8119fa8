#include "common/container/network_namespace.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/check.h"

namespace dispatch::container {
namespace {

constexpr char kOwn[] = "/proc/thread-self/ns/net";
constexpr int kBacklog = 64;

Fd Open(const std::string& path) { return Fd(open(path.c_str(), O_RDONLY | O_CLOEXEC)); }

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool Same(const Fd& a, const Fd& b) {
  struct stat of_a{};
  struct stat of_b{};
  return fstat(a.get(), &of_a) == 0 && fstat(b.get(), &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
         of_a.st_ino == of_b.st_ino;
}

}  // namespace

Status NetworkNamespace::Allowed() {
  Fd own = Open(kOwn);
  if (own && setns(own.get(), CLONE_NEWNET) == 0) return OkStatus();
  return {
      Code::kUnavailable,
      fmt::format("containers are reached through their network namespaces, which this process may "
                  "not enter ({}): run it as root on the engine's machine",
                  std::strerror(errno))};
}

Result<std::shared_ptr<NetworkNamespace>> NetworkNamespace::Of(pid_t pid) {
  Fd fd = Open(fmt::format("/proc/{}/ns/net", pid));
  Fd own = Open(kOwn);
  if (!fd || !own) {
    return {Code::kUnavailable, fmt::format("the network of process {} cannot be entered: {}", pid,
                                            std::strerror(errno))};
  }
  if (Same(fd, own)) {
    return {Code::kInternal, fmt::format("process {} is in the network of this service", pid)};
  }
  return std::shared_ptr<NetworkNamespace>(new NetworkNamespace(std::move(fd)));
}

Result<Fd> NetworkNamespace::MakeSocket() const {
  Fd own = Open(kOwn);
  if (!own || setns(fd_.get(), CLONE_NEWNET) != 0) {
    return {Code::kUnavailable,
            fmt::format("a network cannot be entered: {}", std::strerror(errno))};
  }
  Fd made(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  int error = errno;
  // A thread of the service that stayed there would be lost.
  DISPATCH_CHECK(setns(own.get(), CLONE_NEWNET) == 0);
  if (!made) return {Code::kUnavailable, std::strerror(error)};
  return made;
}

Result<Fd> NetworkNamespace::Listen(uint16_t port) const {
  ASSIGN_OR_RETURN(Fd made, MakeSocket());
  sockaddr_in address = Loopback(port);
  int one = 1;
  setsockopt(made.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  if (bind(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(made.get(), kBacklog) != 0) {
    return {
        errno == EADDRINUSE ? Code::kConflict : Code::kUnavailable,
        fmt::format("cannot listen at port {} in the container: {}", port, std::strerror(errno))};
  }
  return made;
}

Result<int> NetworkNamespace::Dial(uint16_t port) const {
  ASSIGN_OR_RETURN(Fd made, MakeSocket());
  sockaddr_in address = Loopback(port);
  if (connect(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 &&
      errno != EINPROGRESS) {
    return {Code::kUnavailable, std::strerror(errno)};
  }
  return made.Release();
}

}  // namespace dispatch::container
