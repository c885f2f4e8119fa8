#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/result.h"
#include "function-manager/src/runtime/network_options.h"

namespace dispatch {

/// A language's own tool (pip, npm, mvn), run once.
struct ToolRun {
  std::vector<std::string> words;        // the program first, a path below /usr
  std::string directory;                 // the tool's /build; it writes nowhere else
  std::vector<std::string> environment;  // NAME=value, besides what all tools get
  std::chrono::seconds limit{600};
  int64_t memory_bytes = int64_t{2} << 30;
  int64_t disk_bytes = int64_t{1} << 30;    // what the directory may grow to
  int processes = 256;                      // threads count
  size_t output = 8 * 1024;                 // the end of what it says is kept
  const std::atomic<bool>* stop = nullptr;  // ends it when it becomes true
  /// Told the end of what it said, in whole lines, when that is more: at most each second, and when
  /// it ended. On the thread that runs it.
  std::function<void(std::string said)> heard = {};
};

/// Settings of Tools.
struct ToolOptions {
  std::string runtimes_dir;  // for the helper of the network (runtimes/egress)
  NetworkOptions network;
  std::string bwrap = "/usr/bin/bwrap";
  std::string python = "/usr/bin/python3";
  /// As root each tool that runs has a user of its own, from this one on; none of them may exist.
  uint32_t first_uid = 1'999'999'000;
};

/// The program's place among the system's (/usr/local/bin, /usr/bin, /usr/sbin); empty: it is not
/// installed there.
std::string FindTool(const std::string& name);

/// Runs tools that run code of strangers (decision 0020): a bubblewrap sandbox with a user and
/// processes of its own, the system's /usr and the tools' system-wide settings read-only, its
/// directory, a small /tmp, the network as Egress has it, and of this process' environment only
/// what configures tools (IsForTools). Thread-safe.
class Tools {
 public:
  explicit Tools(ToolOptions options);
  ~Tools();

  /// Waits for its end: call on a thread that lives as long as the process, with which it dies. No
  /// process of it is left then, and all that it made is this process' own, of plain modes, without
  /// pipes and sockets. kUnprocessable with the end of its output when it fails or goes beyond a
  /// limit, kUnavailable when it cannot be run here and now.
  Status Run(const ToolRun& run);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether an entry of the environment is for tools: indexes, proxies, certificates, languages.
bool IsForTools(std::string_view entry);

}  // namespace dispatch
