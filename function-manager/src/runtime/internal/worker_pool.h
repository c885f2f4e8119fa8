#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "common/event_loop.h"
#include "function-manager/src/domain/runner.h"

namespace dispatch::runtime {

/// What is left of a worker for a moment after its end.
class Remains {
 public:
  virtual ~Remains() = default;
  /// Tries to remove it: false when that must be tried again.
  virtual bool Remove() = 0;
  /// Waits for that, at most a second.
  virtual bool Await() = 0;
};

/// One that runs a function, a run at a time: a process or a container. Owned by the pool, on its
/// loop. Calls nothing back inside a call of the pool's.
class PoolWorker {
 public:
  struct Events {
    /// The handler is loaded: it takes runs.
    std::function<void()> ready;
    /// It never will be: whose fault it is says the type.
    std::function<void(RunError)> failed;
    /// Answers Start. When it cannot serve any more, usable() is false.
    std::function<void(RunOutcome)> answered;
    /// It is gone. The last event; the worker may be destroyed in it.
    std::function<void()> ended;
  };

  virtual ~PoolWorker() = default;
  /// Requires usable() and that no run is under way.
  virtual void Start(const RunInput& input) = 0;
  /// Ends it; a run under way, or the start, is answered with `error` at once.
  virtual void Abort(RunError error) = 0;
  /// Ends one that has nothing to do.
  virtual void End() = 0;
  virtual bool usable() const = 0;
  virtual bool busy() const = 0;
  virtual std::unique_ptr<Remains> TakeRemains() { return nullptr; }
};

class WorkerMaker {
 public:
  virtual ~WorkerMaker() = default;
  /// Why no function can run here.
  virtual Status Usable() const = 0;
  /// `number`: the lowest that no other worker of the pool has. kUnprocessable when it is the
  /// version's fault. Nothing is called back before the next turn of the loop.
  virtual Result<std::unique_ptr<PoolWorker>> Make(const FunctionVersion& version, int number,
                                                   PoolWorker::Events events) = 0;
};

/// The workers of all versions: started when a run needs one, kept while runs come, ended when
/// idle, retired, or needed by another version. Fair between versions when there are no more to be
/// had: one that has none at all comes before the later runs of others. No organisation has more
/// than three quarters of them at work.
class WorkerPool : public Runner {
 public:
  struct Options {
    int max_workers;                    // of all versions together
    size_t max_queue;                   // runs of one version that wait for a worker
    std::chrono::milliseconds idle;     // a worker with nothing to do ends
    std::chrono::milliseconds start;    // until the handler is loaded
    std::chrono::milliseconds longest;  // a run, whatever its own timeout says
  };
  struct Stats {
    int workers = 0;  // those that start or end included
    int busy = 0;
    size_t waiting = 0;    // runs
    uint64_t started = 0;  // workers, since the begin
  };

  /// `maker` must outlive it.
  WorkerPool(EventLoop& loop, Options options, WorkerMaker& maker);
  ~WorkerPool() override;

  Stats stats() const;

  void Prove(VersionPtr version, std::function<void(Status)> done) override;
  void Run(VersionPtr version, RunInput input, std::function<void(RunOutcome)> done) override;
  void Retire(const Uuid& version) override;
  /// Ends all workers, with SystemError for what they do or what waits, and starts none any more.
  void Close(std::function<void()> closed);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dispatch::runtime
