#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <vector>

#include "common/result.h"

namespace dispatch {

/// A language's own tool (pip, npm, mvn), run once.
struct ToolRun {
  std::vector<std::string> words;   // the program first, found in PATH
  std::string directory;            // it works here, and writes nowhere else
  std::vector<std::string> hidden;  // directories that it does not see (keys)
  std::chrono::seconds limit{600};
  size_t output = 8 * 1024;                 // the end of what it says is kept
  const std::atomic<bool>* stop = nullptr;  // ends it when it becomes true
};

/// The program's place in PATH; empty: it is not installed.
std::string FindTool(const std::string& name);

/// Runs it in a bubblewrap sandbox: the file system read-only but for its directory, a /tmp of its
/// own, processes of its own, the network as it is, nothing of this process' environment but what
/// tools are configured by. Waits for its end: call on a thread that lives as long as the process,
/// with which it dies. kUnprocessable with the end of its output when it fails, kUnavailable when
/// it cannot be run here or takes too long.
Status RunTool(const ToolRun& run);

}  // namespace dispatch
