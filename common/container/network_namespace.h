#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>

#include "common/process/spawn.h"
#include "common/result.h"

namespace dispatch::container {

/// The network of another process, to connect to servers in it that nobody else reaches, and to
/// listen to what it alone sends. Needs
/// CAP_SYS_ADMIN. To be used on one thread.
class NetworkNamespace {
 public:
  /// Whether this process may enter any: kUnavailable with the remedy.
  static Status Allowed();
  /// kUnavailable when the process is gone; kInternal when its network is this process's own.
  static Result<std::shared_ptr<NetworkNamespace>> Of(pid_t pid);

  /// A stream socket in it that does not block, whose connect to a port of its 127.0.0.1 was begun.
  Result<int> Dial(uint16_t port) const;
  /// A stream socket that does not block and listens at a port of its 127.0.0.1. kConflict when the
  /// port is taken.
  Result<Fd> Listen(uint16_t port) const;

 private:
  /// A socket of it: a socket stays where it was made.
  Result<Fd> MakeSocket() const;
  explicit NetworkNamespace(Fd fd) : fd_(std::move(fd)) {}

  Fd fd_;
};

}  // namespace dispatch::container
