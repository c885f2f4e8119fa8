#include "function-manager/src/domain/container.h"

#include <fmt/format.h>

#include <algorithm>

namespace dispatch {

namespace {

constexpr size_t kMaxReference = 255;
constexpr size_t kHeader = 8;
// Threads of the server and of its language's machine, which count as processes.
constexpr int kServerProcesses = 32;
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

json::object ContainerSpec(const FunctionVersion& version, const std::string& owner) {
  json::object tmpfs{
      {"/tmp", fmt::format("rw,nosuid,nodev,mode=1777,size={}", version.file_bytes)}};
  json::array limits{{{"Name", "nofile"}, {"Soft", kOpenFiles}, {"Hard", kOpenFiles}},
                     {{"Name", "core"}, {"Soft", 0}, {"Hard", 0}}};
  int64_t memory = version.memory_bytes + version.file_bytes;
  json::object host{{"Memory", memory},
                    {"MemorySwap", memory},
                    {"NanoCpus", version.cpu_millis * kNanoCpusOfMilli},
                    {"PidsLimit", version.processes + kServerProcesses},
                    {"ReadonlyRootfs", true},
                    {"CapDrop", json::array{"ALL"}},
                    {"SecurityOpt", json::array{"no-new-privileges"}},
                    {"NetworkMode", version.network ? "bridge" : "none"},
                    {"Tmpfs", std::move(tmpfs)},
                    {"Ulimits", std::move(limits)},
                    {"LogConfig", {{"Type", "none"}}},
                    {"RestartPolicy", {{"Name", "no"}}}};
  if (!version.source.empty()) {
    host["Binds"] = json::array{version.source + ":/function:ro"};
  }
  return {{"Image", version.image},
          {"Env", json::array{fmt::format("PORT={}", kContainerPort), "SERVERS=1",
                              "HANDLER=" + version.handler, "HOME=/tmp", "TMPDIR=/tmp"}},
          {"Labels",
           {{kOwnerLabel, owner},
            {"io.dispatch.function", version.org + "/" + version.name},
            {"io.dispatch.version", version.id.ToString()}}},
          {"AttachStdout", true},
          {"AttachStderr", true},
          {"HostConfig", std::move(host)}};
}

bool LogFrames::Append(std::string_view data) {
  while (!data.empty()) {
    if (left_ == 0) {
      size_t more = std::min(kHeader - header_.size(), data.size());
      header_ += data.substr(0, more);
      data.remove_prefix(more);
      if (header_.size() < kHeader) return true;
      auto byte = [&](size_t i) { return static_cast<uint8_t>(header_[i]); };
      if (byte(0) > 2 || byte(1) != 0 || byte(2) != 0 || byte(3) != 0) return false;
      err_ = byte(0) == 2;
      for (size_t i = 4; i < kHeader; ++i) left_ = left_ << 8 | byte(i);
      header_.clear();
      continue;
    }
    std::string_view text = data.substr(0, left_);
    piece_(err_, text);
    left_ -= text.size();
    data.remove_prefix(text.size());
  }
  return true;
}

}  // namespace dispatch
