#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "common/event_loop.h"
#include "function-manager/src/domain/runner.h"
#include "function-manager/src/runtime/network_options.h"

namespace dispatch {

/// Settings of ProcessRunner.
struct ProcessRunnerOptions {
  /// The language workers (function-manager/runtimes, built): an absolute path.
  std::string runtimes_dir;
  /// Without it functions run as the service's own user and see all that it sees: for development.
  bool sandbox = true;
  std::string bwrap = "/usr/bin/bwrap";
  std::string python = "/usr/bin/python3";
  std::string node = "/usr/bin/node";
  std::string java = "/usr/bin/java";
  std::string pwsh = "/usr/bin/pwsh";
  /// As root, each worker has a user of its own, from this one on; none of them may exist.
  uint32_t first_uid = 2'000'000'000;
  /// What functions with `network` reach.
  NetworkOptions network;

  int max_workers = 32;       // of all versions together
  size_t max_queue = 100;     // runs of one version that wait for a worker
  size_t log_bytes = 262144;  // of one run, both streams; what is more is dropped (logs_cut)
  size_t answer_bytes = 8 * 1024 * 1024;
  std::chrono::milliseconds idle{300'000};  // a worker with nothing to do ends
  std::chrono::milliseconds start{30'000};  // until the handler is loaded
  std::chrono::milliseconds longest = kLongestRun;
};

/// What this instance has of workers.
struct ProcessRunnerStats {
  int workers = 0;  // processes, those that start or end included
  int busy = 0;
  size_t waiting = 0;    // runs
  uint64_t started = 0;  // workers, since the begin
};

/// Runs each function in processes of its own (decision 0017): workers of its language that load
/// the handler once and then serve one run at a time over a socket pair, each in a bubblewrap
/// sandbox. Started when a run needs one, kept while runs come, ended when idle, retired, or needed
/// by another version. A worker that breaks its protocol, overruns a deadline or dies takes only
/// its own run along. See function-manager/README.md, Runtime.
///
/// Lives on `loop`'s thread, which must be the one that constructs it and must outlive it: the
/// kernel ends all workers when that thread ends. No process of it is left after its end.
class ProcessRunner : public Runner {
 public:
  /// Tries the sandbox once (some 20 ms). Where it cannot run, Prove answers kUnavailable and Run
  /// SystemError, both with the reason.
  ProcessRunner(EventLoop& loop, ProcessRunnerOptions options);
  ~ProcessRunner() override;

  /// Why no function can run here.
  Status Usable() const;
  ProcessRunnerStats stats() const;

  void Prove(VersionPtr version, std::function<void(Status)> done) override;
  void Run(VersionPtr version, RunInput input, std::function<void(RunOutcome)> done) override;
  void Retire(const Uuid& version) override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dispatch
