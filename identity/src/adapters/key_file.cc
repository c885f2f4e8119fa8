#include "identity/src/adapters/key_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

namespace dispatch::identity {

namespace {

constexpr size_t kMaxFile = 1024;

struct Descriptor {
  explicit Descriptor(int opened) : fd(opened) {}
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  const int fd;
};

Error CannotWrite(const std::string& path, const char* what) {
  return {Code::kUnavailable,
          fmt::format("cannot write the first API key to {}: {}: {}; its directory must exist and "
                      "be writable (setting bootstrap-key-file)",
                      path, what, strerror(errno))};
}

Error Unusable(const std::string& path, std::string_view reason) {
  return {Code::kInvalidArgument,
          fmt::format("the file {} (setting bootstrap-key-file) {}", path, reason)};
}

// Nothing when there is no such file.
Result<std::optional<auth::KeyText>> ReadKey(const std::string& path) {
  Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd < 0) {
    if (errno == ENOENT) return std::optional<auth::KeyText>();
    return Unusable(path, fmt::format("cannot be read: {}", strerror(errno)));
  }
  struct stat info{};
  if (fstat(file.fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return Unusable(path, "is not a regular file");
  }
  if ((info.st_mode & 077) != 0) {
    return Unusable(path, "can be read by others: give it mode 0600, or remove it");
  }
  std::string text(kMaxFile, '\0');
  ssize_t count = read(file.fd, text.data(), text.size());
  text.resize(count < 0 ? 0 : static_cast<size_t>(count));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  auto key = auth::KeyText::Parse(text);
  if (!key.ok()) {
    return Unusable(path, "exists and holds no API key: remove it, or name another file");
  }
  return std::optional(std::move(*key));
}

bool WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t count = write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    text.remove_prefix(static_cast<size_t>(count));
  }
  return fsync(fd) == 0;
}

void SyncDirectory(const std::string& path) {
  auto parent = std::filesystem::path(path).parent_path();
  Descriptor directory(open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY));
  if (directory.fd >= 0) (void)fsync(directory.fd);
}

}  // namespace

Result<auth::KeyText> EnsureKeyFile(const std::string& path) {
  ASSIGN_OR_RETURN(auto present, ReadKey(path));
  if (present) return std::move(*present);
  auth::KeyText key = auth::KeyText::Random();
  std::string draft = path + ".XXXXXX";
  Descriptor file(mkostemp(draft.data(), O_CLOEXEC));  // mode 0600
  if (file.fd < 0) return CannotWrite(path, "open");
  bool written = WriteAll(file.fd, key.ToString() + "\n");
  // Unlike a rename, a link never replaces what somebody else put there meanwhile.
  bool linked = written && link(draft.c_str(), path.c_str()) == 0;
  int failure = errno;
  unlink(draft.c_str());
  if (linked) {
    SyncDirectory(path);
    return key;
  }
  if (written && failure == EEXIST) {
    ASSIGN_OR_RETURN(present, ReadKey(path));
    if (present) return std::move(*present);
  }
  errno = failure;
  return CannotWrite(path, written ? "link" : "write");
}

}  // namespace dispatch::identity
