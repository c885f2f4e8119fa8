#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/event_loop.h"
#include "function-manager/src/domain/runner.h"
#include "function-manager/src/runtime/internal/poller.h"
#include "function-manager/src/runtime/internal/run_log.h"
#include "function-manager/src/runtime/internal/sandbox.h"
#include "function-manager/src/runtime/internal/worker_pool.h"

namespace dispatch::runtime {

/// One worker process: starts it, speaks its protocol, collects what it writes, reaps it. Owned by
/// the runner, on its loop.
///
/// Protocol, on descriptor 3 of the worker: frames of 4 bytes of length (big-endian) and JSON. It
/// sends {"hello":true} before it touches the function's code, then {"ready":true} or
/// {"failed":{type,message,stacktrace}}; after that each request {"context","payload"} has one
/// answer
/// {"payload":...} or {"error":{type,message,stacktrace}}. It writes what the function wrote to
/// stdout and stderr before it answers.
class Worker : public PoolWorker {
 public:
  /// Calls nothing back before the next turn of the loop.
  static Result<std::unique_ptr<Worker>> Make(EventLoop& loop, Poller& poller,
                                              const ProcessRunnerOptions& options,
                                              const FunctionVersion& version, Launch launch,
                                              Events events);
  ~Worker() override;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void Start(const RunInput& input) override;
  void Abort(RunError error) override;
  void End() override;
  bool usable() const override { return state_ == State::kIdle; }
  bool busy() const override { return state_ == State::kBusy; }
  /// The control group: the last processes of the sandbox are gone a moment after `ended`.
  std::unique_ptr<Remains> TakeRemains() override;

  pid_t pid() const { return pid_; }

 private:
  enum class State { kStarting, kLoading, kIdle, kBusy, kEnding };

  Worker(EventLoop& loop, Poller& poller, const ProcessRunnerOptions& options, Events events);
  void OnSocket(uint32_t events);
  void ReadSocket();
  void WriteSocket();
  void OnFrame(std::string_view text);
  void OnClosed();
  void OnExit();
  void OnOutput(bool err);
  /// Reads what is there, bounded; false at the end of the stream.
  bool Drain(bool err);
  void Kill();
  void Break(RunError error);
  void Answer(RunOutcome outcome);
  void Unwatch();
  RunError ExitError(int status) const;

  EventLoop& loop_;
  Poller& poller_;
  const ProcessRunnerOptions& options_;
  Events events_;
  std::unique_ptr<Cgroup> cgroup_;
  std::unique_ptr<Egress::Gate> gate_;
  int64_t memory_bytes_ = 0;
  State state_ = State::kStarting;
  pid_t pid_ = -1;
  Fd pidfd_;
  Fd socket_;
  struct Stream {
    Fd fd;
    Poller::Token token = 0;
    TimerId paused = kNoTimer;
  } streams_[2];
  Poller::Token socket_token_ = 0;
  Poller::Token exit_token_ = 0;
  TimerId closing_ = kNoTimer;
  bool closed_ = false;  // it closed its end of the socket
  std::string in_;
  std::string out_;
  size_t sent_ = 0;
  std::optional<RunLog> log_;
  SteadyTime began_{};
};

}  // namespace dispatch::runtime
