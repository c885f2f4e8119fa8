#include "common/container/spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace dispatch::container {

namespace {

constexpr size_t kMaxReference = 255;
constexpr int64_t kNanoCpusOfMilli = 1'000'000;
constexpr int kOpenFiles = 1024;

}  // namespace

Status CheckImageReference(const std::string& reference) {
  auto letter = [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  bool good = !reference.empty() && reference.size() <= kMaxReference && letter(reference[0]) &&
              reference.find("..") == std::string::npos &&
              reference.find("//") == std::string::npos &&
              std::all_of(reference.begin(), reference.end(), [&](unsigned char c) {
                return letter(c) || std::string_view("._-/:@").find(c) != std::string_view::npos;
              });
  if (good) return OkStatus();
  return {Code::kUnprocessable,
          fmt::format("'{}' is no reference of an image (registry/name:tag, name@sha256:...)",
                      reference.substr(0, kMaxReference))};
}

json::object HostConfig(const Limits& limits) {
  json::object tmpfs{{"/tmp", fmt::format("rw,nosuid,nodev,mode=1777,size={}", limits.tmp_bytes)}};
  json::array ulimits{{{"Name", "nofile"}, {"Soft", kOpenFiles}, {"Hard", kOpenFiles}},
                      {{"Name", "core"}, {"Soft", 0}, {"Hard", 0}}};
  // What /tmp holds counts as memory.
  int64_t memory = limits.memory_bytes + limits.tmp_bytes;
  return {{"Memory", memory},
          {"MemorySwap", memory},
          {"NanoCpus", limits.cpu_millis * kNanoCpusOfMilli},
          {"PidsLimit", limits.processes},
          {"ReadonlyRootfs", true},
          {"CapDrop", json::array{"ALL"}},
          {"SecurityOpt", json::array{"no-new-privileges"}},
          {"NetworkMode", limits.network ? "bridge" : "none"},
          {"Tmpfs", std::move(tmpfs)},
          {"Ulimits", std::move(ulimits)},
          {"LogConfig", {{"Type", "none"}}},
          {"RestartPolicy", {{"Name", "no"}}}};
}

}  // namespace dispatch::container
