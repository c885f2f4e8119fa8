#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/container/engine.h"
#include "common/container/log_frames.h"
#include "common/event_loop.h"
#include "common/http/client.h"
#include "function-manager/src/domain/container.h"
#include "function-manager/src/domain/function_answer.h"
#include "function-manager/src/runtime/container_runner.h"
#include "function-manager/src/runtime/internal/run_log.h"
#include "function-manager/src/runtime/internal/worker_pool.h"

namespace dispatch::runtime {

/// One container: makes it, waits until its server is healthy, gives it runs, removes it. What the
/// server writes is the run's log, unless its answer has one. Owned by the pool, on its loop.
class ContainerWorker : public PoolWorker {
 public:
  ContainerWorker(EventLoop& loop, container::Engine& engine, const ContainerRunnerOptions& options,
                  const FunctionVersion& version, Events events);
  ~ContainerWorker() override;

  void Start(const RunInput& input) override;
  void Abort(RunError error) override { Break(std::move(error)); }
  void End() override { Break({}); }
  bool usable() const override { return state_ == State::kIdle; }
  bool busy() const override { return state_ == State::kBusy; }

 private:
  enum class State { kStarting, kLoading, kIdle, kBusy, kEnding };

  void Create(bool pulled);
  void OnCreated(std::string id);
  void OnStarted();
  void AskHealth();
  container::LogFrames Frames();
  /// Runs the task when the output is being read, or cannot be.
  void Attach(std::function<void()> task);
  void Attached();
  void StartContainer();
  void Send(const RunInput& input);
  bool OnOutput(std::string_view data);
  void OnAnswer(uint64_t run, const http::Client::Outcome& answer);
  void Answer(RunOutcome outcome, bool has_logs);
  /// The answer that is there, with what came of the log.
  void Tell();
  /// The container ended, or does not answer any more: why, its engine knows.
  void Explain(const std::string& otherwise);
  void Break(RunError error);
  /// The how manieth time it is tried.
  void Remove(int time);
  /// `task` unless this is gone by then.
  template <typename Task>
  auto Guard(Task task);

  EventLoop& loop_;
  container::Engine& engine_;
  const ContainerRunnerOptions& options_;
  const FunctionVersion version_;
  Events events_;
  State state_ = State::kStarting;
  std::string id_;      // empty: not made yet
  bool asked_ = false;  // to make it
  std::unique_ptr<http::Client> server_;
  TimerId timer_ = kNoTimer;
  container::LogFrames frames_;
  std::unique_ptr<container::Output> output_;
  bool attached_ = false;
  std::function<void()> when_attached_;
  size_t unread_ = 0;  // bytes of output that are nobody's
  std::optional<RunLog> log_;
  std::optional<RunOutcome> answer_;  // while its log may still come
  uint64_t run_ = 0;
  SteadyTime began_{};
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace dispatch::runtime
