#include "function-manager/src/domain/archive.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>

namespace dispatch {

namespace {

constexpr size_t kBlock = 512;

Error Bad(std::string reason) {
  return {Code::kUnprocessable, "source " + reason, false, {{"source", std::move(reason)}}};
}

// A member's header costs a block, so the tar may be larger than the files in it.
Result<std::string> Inflate(std::string_view gzip, size_t most) {
  z_stream stream{};
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) return Error{Code::kInternal, "zlib failed"};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(gzip.data()));
  stream.avail_in = static_cast<uInt>(gzip.size());
  std::string out;
  int state = Z_OK;
  while (state == Z_OK) {
    size_t before = out.size();
    out.resize(std::min(most + 1, std::max<size_t>(before * 2, 64 * 1024)));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    stream.avail_out = static_cast<uInt>(out.size() - before);
    state = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
    if (out.size() > most) break;
  }
  inflateEnd(&stream);
  if (out.size() > most) return Bad(fmt::format("unpacks to more than {} bytes", most));
  if (state != Z_STREAM_END) return Bad("is no gzip data, or only a part of it");
  return out;
}

std::string_view Text(std::string_view block, size_t at, size_t size) {
  std::string_view field = block.substr(at, size);
  return field.substr(0, field.find('\0'));
}

std::optional<size_t> Octal(std::string_view field) {
  size_t start = field.find_first_not_of(' ');
  if (start == std::string_view::npos) return 0;
  field.remove_prefix(start);
  field = field.substr(0, field.find_first_of(std::string_view(" \0", 2)));
  if (field.empty()) return 0;
  size_t number = 0;
  auto [end, fault] = std::from_chars(field.data(), field.data() + field.size(), number, 8);
  if (fault != std::errc() || end != field.data() + field.size()) return std::nullopt;
  return number;
}

bool ChecksumHolds(std::string_view header) {
  auto stated = Octal(header.substr(148, 8));
  size_t sum = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(header[i]);
  }
  return stated && *stated == sum;
}

// "path=..." of a pax header: "LENGTH KEY=VALUE\n" each.
Result<std::string> PaxPath(std::string_view records) {
  std::string path;
  while (!records.empty()) {
    size_t length = 0;
    auto [end, fault] = std::from_chars(records.data(), records.data() + records.size(), length);
    size_t digits = static_cast<size_t>(end - records.data());
    if (fault != std::errc() || length > records.size() || length < digits + 2) {
      return Bad("has a pax header that cannot be read");
    }
    std::string_view record = records.substr(digits + 1, length - digits - 2);
    if (record.starts_with("path=")) path = record.substr(5);
    records.remove_prefix(length);
  }
  return path;
}

// "./a//b" is "a/b"; the archive's own root is "".
Result<std::string> SafePath(std::string_view name, const ArchiveLimits& limits) {
  if (name.starts_with('/')) return Bad(fmt::format("has the absolute path {}", name));
  if (name.size() > limits.path) return Bad(fmt::format("has a path over {} bytes", limits.path));
  std::string path;
  size_t depth = 0;
  while (!name.empty()) {
    std::string_view part = name.substr(0, name.find('/'));
    name.remove_prefix(std::min(name.size(), part.size() + 1));
    if (part.empty() || part == ".") continue;
    if (part == "..") return Bad("has a path that leads out of it (..)");
    bool plain = std::none_of(part.begin(), part.end(),
                              [](unsigned char c) { return c < 0x20 || c == 0x7f || c == '\\'; });
    if (!plain) return Bad("has a path with control characters or '\\'");
    if (++depth > limits.depth) return Bad(fmt::format("is over {} deep", limits.depth));
    path += (path.empty() ? "" : "/") + std::string(part);
  }
  return path;
}

class Reader {
 public:
  Reader(std::string_view tar, const ArchiveLimits& limits) : tar_(tar), limits_(limits) {}

  Result<std::vector<ArchiveMember>> Read() {
    while (tar_.size() >= kBlock) {
      std::string_view header = tar_.substr(0, kBlock);
      if (header.find_first_not_of('\0') == std::string_view::npos) break;
      RETURN_IF_ERROR(Member(header));
    }
    bool rest = tar_.find_first_not_of('\0') != std::string_view::npos && tar_.size() < kBlock;
    if (rest) return Bad("is cut off in a header");
    bool any = std::any_of(members_.begin(), members_.end(),
                           [](const ArchiveMember& member) { return !member.directory; });
    if (!any) return Bad("holds no file");
    RETURN_IF_ERROR(CheckParents());
    return std::move(members_);
  }

 private:
  Status Member(std::string_view header) {
    if (!ChecksumHolds(header)) return Bad("is no tar archive, or is damaged");
    auto size = Octal(header.substr(124, 12));
    auto mode = Octal(header.substr(100, 8));
    if (!size || !mode) return Bad("has a header that cannot be read");
    char type = header[156];
    std::string name(Text(header, 0, 100));
    std::string_view prefix = header.substr(257, 5) == "ustar" && header[262] == '\0'
                                  ? Text(header, 345, 155)
                                  : std::string_view();
    if (!prefix.empty()) name = std::string(prefix) + "/" + name;
    tar_.remove_prefix(kBlock);
    if (*size > tar_.size()) return Bad("is cut off in a file");
    std::string_view bytes = tar_.substr(0, *size);
    tar_.remove_prefix(std::min(tar_.size(), (*size + kBlock - 1) / kBlock * kBlock));
    if (type == 'L') {
      long_name_ = bytes.substr(0, bytes.find('\0'));
      return {};
    }
    if (type == 'x') {
      ASSIGN_OR_RETURN(long_name_, PaxPath(bytes));
      return {};
    }
    if (type == 'g') return {};
    if (!long_name_.empty()) name = std::exchange(long_name_, "");
    return Add(name, type, *mode, bytes);
  }

  Status Add(const std::string& name, char type, size_t mode, std::string_view bytes) {
    bool directory = type == '5';
    if (type != '0' && type != '\0' && !directory) {
      return Bad(fmt::format("has {}, which is neither a file nor a directory", name));
    }
    ASSIGN_OR_RETURN(auto path, SafePath(name, limits_));
    if (path.empty() && directory) return {};
    if (path.empty()) return Bad("has a file without a name");
    bytes_ += bytes.size();
    if (members_.size() >= limits_.members) {
      return Bad(fmt::format("has more than {} members", limits_.members));
    }
    if (bytes_ > limits_.bytes) {
      return Bad(fmt::format("unpacks to more than {} bytes", limits_.bytes));
    }
    auto [it, fresh] = kinds_.try_emplace(path, directory);
    if (!fresh && directory && it->second) return {};
    if (!fresh) return Bad(fmt::format("has {} twice", path));
    members_.push_back({path, directory, (mode & 0111) != 0 && !directory,
                        directory ? std::string() : std::string(bytes)});
    return {};
  }

  // No file stands where another's directory must be.
  Status CheckParents() const {
    for (const ArchiveMember& member : members_) {
      for (size_t slash = member.path.find('/'); slash != std::string::npos;
           slash = member.path.find('/', slash + 1)) {
        auto parent = kinds_.find(member.path.substr(0, slash));
        if (parent != kinds_.end() && !parent->second) {
          return Bad(fmt::format("has {} as a file and as a directory", parent->first));
        }
      }
    }
    return {};
  }

  std::string_view tar_;
  const ArchiveLimits limits_;
  std::string long_name_;
  size_t bytes_ = 0;
  std::map<std::string, bool> kinds_;  // path -> whether it is a directory
  std::vector<ArchiveMember> members_;
};

}  // namespace

Result<std::vector<ArchiveMember>> ReadArchive(std::string_view gzip, const ArchiveLimits& limits) {
  ASSIGN_OR_RETURN(auto tar, Inflate(gzip, limits.bytes + (limits.members + 2) * 2 * kBlock));
  return Reader(tar, limits).Read();
}

}  // namespace dispatch
