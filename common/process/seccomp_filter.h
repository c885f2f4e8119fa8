#pragma once

#include <string>

#include "common/process/spawn.h"
#include "common/result.h"

namespace dispatch {

/// Which system calls a function may make, as the bytes of a classic BPF program for bubblewrap's
/// --seccomp. Refused (EPERM, or ENOSYS where libraries then use an older call): what looks into or
/// changes other processes, mounts, namespaces, the kernel, the clock, keys, io_uring (it would go
/// round this filter), memory that no limit of the process counts; sockets of other families than
/// UNIX and, with `network`, IP and netlink. kUnavailable on a processor that it was not written
/// for.
Result<std::string> SeccompProgram(bool network);

/// The program in a file to read from its begin: one for each sandbox, since it is read once.
Result<Fd> SeccompFile(const std::string& program);

}  // namespace dispatch
