#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace dispatch {

struct ArchiveMember {
  std::string path;  // relative, without "." and ".."
  bool directory = false;
  bool executable = false;
  std::string bytes;
};

struct ArchiveLimits {
  size_t members = 2'000;
  size_t bytes = size_t{32} << 20;  // unpacked, in all
  size_t path = 255;
  size_t depth = 16;
};

/// Reads a tar archive under gzip, as VMware's CLI makes it: never closed, so that the end of the
/// bytes after the last file's is its end, padding and final blocks may be missing; names begin
/// with "./" or ".//". ustar, GNU long names and pax paths are read. kUnprocessable for anything
/// that is no such archive, has links or devices, names that are absolute or lead out (".."), the
/// same file twice, or is over the limits.
Result<std::vector<ArchiveMember>> ReadArchive(std::string_view gzip,
                                               const ArchiveLimits& limits = {});

}  // namespace dispatch
