#include "common/private_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace dispatch {

namespace {

Error Fault(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }

Result<std::string> Read(int fd, const std::string& path, size_t most_bytes) {
  struct stat status{};
  if (fstat(fd, &status) == 0 && (status.st_mode & 077) != 0) {
    return Fault(fmt::format("others may read {}: chmod 0600", path));
  }
  std::string text(most_bytes + 1, '\0');
  ssize_t size = read(fd, text.data(), text.size());
  if (size < 0) return Fault(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  if (static_cast<size_t>(size) > most_bytes) return Fault(fmt::format("{} is too large", path));
  text.resize(static_cast<size_t>(size));
  return text;
}

}  // namespace

Result<std::string> ReadPrivateFile(const std::string& path, size_t most_bytes) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Fault(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  auto text = Read(fd, path, most_bytes);
  close(fd);
  return text;
}

}  // namespace dispatch
