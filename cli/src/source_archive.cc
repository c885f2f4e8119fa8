#include "cli/src/source_archive.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <vector>

#include "cli/src/arguments.h"
#include "cli/src/environment.h"
#include "common/crypto.h"

namespace dispatch::cli {

namespace {

namespace fs = std::filesystem;

constexpr size_t kBlock = 512;
constexpr size_t kMostUnpacked = size_t{32} << 20;
constexpr size_t kMostPacked = size_t{16} << 20;

Result<std::string> Header(const std::string& name, size_t size, bool directory, bool executable) {
  std::string block(kBlock, '\0');
  auto put = [&block](size_t at, std::string_view text) {
    text.copy(block.data() + at, text.size());
  };
  if (name.size() > 100) {
    // ustar: the part before a slash goes into the prefix.
    size_t slash = name.find('/', name.size() - 101);
    if (slash == std::string::npos || slash > 155) {
      return UsageError(fmt::format("the path {} is too long for a function's source", name));
    }
    put(345, name.substr(0, slash));
    put(0, name.substr(slash + 1));
  } else {
    put(0, name);
  }
  put(100, directory || executable ? "0000755" : "0000644");
  put(108, "0000000");
  put(116, "0000000");
  put(124, fmt::format("{:011o}", size));
  put(136, "00000000000");
  put(148, "        ");
  block[156] = directory ? '5' : '0';
  put(257, std::string_view("ustar\00000", 8));
  size_t sum = 0;
  for (unsigned char c : block) sum += c;
  put(148, fmt::format("{:06o}", sum));
  block[154] = '\0';
  return block;
}

Status Add(const fs::path& path, const std::string& name, std::string& tar) {
  std::error_code error;
  auto status = fs::symlink_status(path, error);
  bool directory = fs::is_directory(status);
  if (!directory && !fs::is_regular_file(status)) {
    return UsageError(fmt::format("{} is neither a file nor a directory", path.string()));
  }
  std::string bytes;
  if (!directory) {
    ASSIGN_OR_RETURN(bytes, ReadFile(path));
  }
  bool executable = (status.permissions() & fs::perms::owner_exec) != fs::perms::none;
  ASSIGN_OR_RETURN(std::string header,
                   Header(directory ? name + "/" : name, bytes.size(), directory, executable));
  tar += header + bytes;
  tar.resize((tar.size() + kBlock - 1) / kBlock * kBlock);
  if (tar.size() > kMostUnpacked) {
    return UsageError("a function's source is at most 32 MB: put dependencies into its image");
  }
  return {};
}

std::string Gzip(std::string& tar) {
  std::string out(compressBound(tar.size()) + 64, '\0');
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(tar.data());
  stream.avail_in = static_cast<uInt>(tar.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace

Result<std::string> SourceArchive(const fs::path& path) {
  std::error_code error;
  std::string tar;
  if (!fs::exists(path, error)) {
    return Error{Code::kNotFound, fmt::format("cannot read {}: it does not exist", path.string())};
  }
  if (fs::is_directory(path, error)) {
    std::vector<std::string> names;
    for (auto it = fs::recursive_directory_iterator(path, error);
         !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
      names.push_back(it->path().lexically_relative(path));
    }
    if (error) {
      return Error{Code::kNotFound,
                   fmt::format("cannot read {}: {}", path.string(), error.message())};
    }
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) RETURN_IF_ERROR(Add(path / name, "./" + name, tar));
  } else {
    // A link to one file is that file.
    fs::path file = fs::canonical(path, error);
    RETURN_IF_ERROR(Add(file, "./" + path.filename().string(), tar));
  }
  if (tar.empty()) return UsageError(fmt::format("{} holds nothing", path.string()));
  tar.append(2 * kBlock, '\0');
  std::string packed = Gzip(tar);
  if (packed.size() > kMostPacked) {
    return UsageError(
        fmt::format("{} is {} MiB compressed, a function's source at most 16: put "
                    "dependencies into its image",
                    path.string(), packed.size() >> 20));
  }
  return crypto::Base64Encode(packed);
}

}  // namespace dispatch::cli
