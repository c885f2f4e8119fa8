#include "function-manager/src/runtime/process_runner.h"

#include "common/log.h"
#include "function-manager/src/runtime/internal/poller.h"
#include "function-manager/src/runtime/internal/sandbox.h"
#include "function-manager/src/runtime/internal/worker.h"
#include "function-manager/src/runtime/internal/worker_pool.h"

namespace dispatch {

using runtime::Poller;
using runtime::PoolWorker;
using runtime::Sandbox;
using runtime::Worker;
using runtime::WorkerPool;
using std::chrono::milliseconds;

namespace {

// Looks, a second apart, for what is left of a service that was killed just before.
constexpr int kTidies = 30;
constexpr milliseconds kTidy{1000};

}  // namespace

class ProcessRunner::Impl : public runtime::WorkerMaker {
 public:
  Impl(EventLoop& loop, ProcessRunnerOptions options)
      : loop_(loop), options_(std::move(options)), poller_(loop), sandbox_(options_) {
    usable_ = sandbox_.Probe();
    if (!usable_.ok()) {
      log::Warning("functions are refused reason=\"{}\"", usable_.message());
    } else {
      log::Info("functions run {}", sandbox_.Describe());
      if (!options_.sandbox) log::Warning("functions run without a sandbox: for development only");
    }
    Tidy(kTidies);
  }
  ~Impl() override { loop_.Cancel(tidy_); }

  WorkerPool& pool() { return pool_; }

  Status Usable() const override { return usable_; }
  Result<std::unique_ptr<PoolWorker>> Make(const FunctionVersion& version, int number,
                                           PoolWorker::Events events) override {
    ASSIGN_OR_RETURN(auto launch, sandbox_.Prepare(version, number));
    ASSIGN_OR_RETURN(auto worker, Worker::Make(loop_, poller_, options_, version, std::move(launch),
                                               std::move(events)));
    return std::unique_ptr<PoolWorker>(std::move(worker));
  }

 private:
  void Tidy(int more) {
    tidy_ = kNoTimer;
    sandbox_.Tidy();
    if (more > 0) tidy_ = loop_.After(kTidy, [this, more] { Tidy(more - 1); });
  }

  EventLoop& loop_;
  const ProcessRunnerOptions options_;
  Poller poller_;
  Sandbox sandbox_;
  Status usable_;
  TimerId tidy_ = kNoTimer;
  WorkerPool pool_{loop_,
                   {.max_workers = options_.max_workers,
                    .max_queue = options_.max_queue,
                    .idle = options_.idle,
                    .start = options_.start,
                    .longest = options_.longest},
                   *this};
};

ProcessRunner::ProcessRunner(EventLoop& loop, ProcessRunnerOptions options)
    : impl_(std::make_unique<Impl>(loop, std::move(options))) {}
ProcessRunner::~ProcessRunner() = default;

Status ProcessRunner::Usable() const { return impl_->Usable(); }
ProcessRunnerStats ProcessRunner::stats() const {
  auto stats = impl_->pool().stats();
  return {stats.workers, stats.busy, stats.waiting, stats.started};
}

void ProcessRunner::Prove(VersionPtr version, std::function<void(Status)> done) {
  impl_->pool().Prove(std::move(version), std::move(done));
}
void ProcessRunner::Run(VersionPtr version, RunInput input, std::function<void(RunOutcome)> done) {
  impl_->pool().Run(std::move(version), std::move(input), std::move(done));
}
void ProcessRunner::Retire(const Uuid& version) { impl_->pool().Retire(version); }

}  // namespace dispatch
