#include "function-manager/src/runtime/internal/worker_pool.h"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <vector>

namespace dispatch::runtime {

using std::chrono::milliseconds;
using VersionPtr = Runner::VersionPtr;

namespace {

constexpr milliseconds kSweep{1000};

constexpr char kStopping[] = "the service stops: try again";

RunOutcome Failure(std::string type, std::string message) {
  RunOutcome outcome;
  outcome.error = RunError{std::move(type), std::move(message), {}};
  return outcome;
}

}  // namespace

struct WorkerPool::Impl {
  Impl(EventLoop& loop, Options options, WorkerMaker& maker)
      : loop_(loop),
        options_(options),
        most_of_org_(std::max(1, options.max_workers * 3 / 4)),
        maker_(maker) {}

  ~Impl() {
    loop_.Cancel(sweep_);
    for (auto& [id, pool] : pools_) {
      for (auto& job : pool.queue) loop_.Cancel(job.timer);
    }
    for (auto& [key, slot] : workers_) slot.worker->End();
    for (auto& [key, slot] : workers_) {
      loop_.Cancel(slot.timer);
      auto remains = slot.worker->TakeRemains();
      slot.worker.reset();
      if (remains != nullptr) graves_.push_back(std::move(remains));
    }
    for (auto& grave : graves_) (void)grave->Await();
  }

  WorkerPool::Stats stats() const {
    WorkerPool::Stats stats;
    stats.workers = static_cast<int>(workers_.size());
    stats.started = started_;
    for (const auto& [key, slot] : workers_) stats.busy += slot.worker->busy();
    for (const auto& [id, pool] : pools_) stats.waiting += pool.queue.size();
    return stats;
  }

  void Prove(VersionPtr version, std::function<void(Status)> done) {
    if (Status status = maker_.Usable(); !status.ok()) {
      return Later([done = std::move(done), status] { done(status); });
    }
    Job job;
    job.proved = std::move(done);
    Enqueue(std::move(version), std::move(job));
  }

  void Run(VersionPtr version, RunInput input, std::function<void(RunOutcome)> done) {
    auto refuse = [&](std::string type, std::string message) {
      Later([done = std::move(done), type = std::move(type), message = std::move(message)] {
        done(Failure(type, message));
      });
    };
    if (Status status = maker_.Usable(); !status.ok()) {
      return refuse("SystemError", status.message());
    }
    auto it = pools_.find(version->id);
    if (it != pools_.end() && it->second.queue.size() >= options_.max_queue) {
      return refuse("SystemError", "too many runs wait for the function " + version->name +
                                       ": try again later, or raise its concurrency");
    }
    Job job;
    job.done = std::move(done);
    milliseconds limit = options_.longest;
    if (input.timeout > milliseconds(0)) limit = std::min(limit, input.timeout);
    job.deadline = loop_.Steady() + limit;
    job.input = std::move(input);
    Enqueue(std::move(version), std::move(job));
  }

  void Close(std::function<void()> closed) {
    closing_ = true;
    closed_ = std::move(closed);
    std::vector<uint64_t> keys;
    for (auto& [id, pool] : pools_) {
      for (auto& job : std::exchange(pool.queue, {})) Refuse(std::move(job));
    }
    for (auto& [key, slot] : workers_) keys.push_back(key);
    for (uint64_t key : keys) workers_.at(key).worker->Abort({"SystemError", kStopping, {}});
    if (workers_.empty()) Later(std::exchange(closed_, nullptr));
  }

  void Retire(const Uuid& version) {
    auto it = pools_.find(version);
    if (it == pools_.end()) return;
    it->second.retired = true;
    EndIdle(it->second);
  }

 private:
  struct Job {
    uint64_t id = 0;
    RunInput input;
    std::function<void(RunOutcome)> done;  // of a run
    std::function<void(Status)> proved;    // of a proof
    SteadyTime deadline = SteadyTime::max();
    SteadyTime asked{};
    TimerId timer = kNoTimer;
    bool cold = false;
  };

  struct Pool {
    VersionPtr version;
    std::deque<Job> queue;
    std::vector<uint64_t> workers;  // keys into workers_, those that end included
    bool retired = false;
    bool wants_room = false;  // in rooms_
  };

  struct Slot {
    std::unique_ptr<PoolWorker> worker;
    Uuid version;
    int number = 0;  // the lowest free one: its user
    bool loading = true;
    bool fresh = true;  // served nothing yet
    std::optional<Job> job;
    TimerId timer = kNoTimer;  // of the start, then of the run
    SteadyTime idle_since{};

    bool idle() const { return worker->usable() && !loading; }
  };

  /// Runs `task` in a later turn, unless this is gone by then: callers hear nothing inside a call.
  void Later(std::function<void()> task) {
    loop_.Post([alive = std::weak_ptr<int>(alive_), task = std::move(task)] {
      if (!alive.expired()) task();
    });
  }

  void Answer(Job job, RunOutcome outcome) {
    loop_.Cancel(job.timer);
    outcome.cold = job.cold;
    Later([done = std::move(job.done), outcome = std::make_shared<RunOutcome>(std::move(outcome))] {
      done(std::move(*outcome));
    });
  }

  void Enqueue(VersionPtr version, Job job) {
    if (closing_) return Refuse(std::move(job));
    Pool& pool = pools_[version->id];
    if (pool.version == nullptr) pool.version = std::move(version);
    pool.retired = false;
    job.id = ++last_job_;
    job.asked = loop_.Steady();
    Uuid id = pool.version->id;
    if (job.done && job.deadline != SteadyTime::max()) {
      job.timer = loop_.After(job.deadline - job.asked,
                              [this, id, number = job.id] { OnQueueDeadline(id, number); });
    }
    pool.queue.push_back(std::move(job));
    Schedule(pool);
    Forget(id);
  }

  void Refuse(Job job) {
    if (job.proved) {
      return Later([done = std::move(job.proved)] { done({Code::kUnavailable, kStopping}); });
    }
    Answer(std::move(job), Failure("SystemError", kStopping));
  }

  void OnQueueDeadline(const Uuid& version, uint64_t job_id) {
    auto it = pools_.find(version);
    if (it == pools_.end()) return;
    auto& queue = it->second.queue;
    auto job =
        std::find_if(queue.begin(), queue.end(), [&](const Job& j) { return j.id == job_id; });
    if (job == queue.end()) return;
    Job late = std::move(*job);
    queue.erase(job);
    Answer(
        std::move(late),
        Failure("FunctionError", "Did not invoke, already exceeded timeout: no worker was free"));
    Forget(version);
  }

  /// Gives the waiting jobs of a pool to its idle workers, and starts workers for the others.
  void Schedule(Pool& pool) {
    while (!pool.queue.empty()) {
      if (HasItsShare(pool)) return AwaitRoom(pool);
      if (uint64_t key = LastIdle(pool); key != 0) {
        Give(pool, key);
        continue;
      }
      size_t loading = 0;
      for (uint64_t key : pool.workers) loading += workers_.at(key).loading;
      bool full = static_cast<int>(pool.workers.size()) >= std::max(pool.version->concurrency, 1);
      if (full || loading >= pool.queue.size()) return;
      if (static_cast<int>(workers_.size()) >= options_.max_workers) {
        AwaitRoom(pool);
        return MakeRoom();
      }
      StartWorker(pool);
    }
  }

  void AwaitRoom(Pool& pool) {
    if (!std::exchange(pool.wants_room, true)) rooms_.push_back(pool.version->id);
  }

  /// Whether as many workers of its organisation are at work, or begin or end, as may be. Idle ones
  /// are in nobody's way.
  bool HasItsShare(const Pool& pool) const {
    int count = 0;
    for (const auto& [key, slot] : workers_) {
      count += !slot.idle() && pools_.at(slot.version).version->org == pool.version->org;
    }
    return count >= most_of_org_;
  }

  /// The one that was used last, so that those which are not needed come to their end.
  uint64_t LastIdle(const Pool& pool) const {
    uint64_t best = 0;
    for (uint64_t key : pool.workers) {
      const Slot& slot = workers_.at(key);
      if (slot.idle() && (best == 0 || slot.idle_since > workers_.at(best).idle_since)) {
        best = key;
      }
    }
    return best;
  }

  void Give(Pool& pool, uint64_t key) {
    Job job = std::move(pool.queue.front());
    pool.queue.pop_front();
    loop_.Cancel(std::exchange(job.timer, kNoTimer));
    Slot& slot = workers_.at(key);
    if (job.proved) {
      return Later([done = std::move(job.proved)] { done(OkStatus()); });
    }
    job.cold = std::exchange(slot.fresh, false);
    if (job.deadline != SteadyTime::max()) {
      slot.timer = loop_.After(job.deadline - loop_.Steady(), [this, key] {
        Slot& late = workers_.at(key);
        late.timer = kNoTimer;
        late.worker->Abort({"FunctionError", "Function execution exceeded the timeout", {}});
      });
    }
    slot.job = std::move(job);
    slot.worker->Start(slot.job->input);
  }

  void StartWorker(Pool& pool) {
    std::vector<bool> used(static_cast<size_t>(options_.max_workers));
    for (const auto& [key, slot] : workers_) used[static_cast<size_t>(slot.number)] = true;
    int number = static_cast<int>(std::find(used.begin(), used.end(), false) - used.begin());
    uint64_t key = ++last_worker_;
    auto worker =
        maker_.Make(*pool.version, number,
                    {.ready = [this, key] { OnLoaded(key); },
                     .failed = [this, key](RunError e) { OnFailed(key, std::move(e)); },
                     .answered = [this, key](RunOutcome o) { OnAnswer(key, std::move(o)); },
                     .ended = [this, key] { OnEnded(key); }});
    if (!worker.ok()) return FailHead(pool, worker.status());
    ++started_;
    Slot& slot = workers_[key];
    slot.worker = std::move(*worker);
    slot.version = pool.version->id;
    slot.number = number;
    slot.timer = loop_.After(options_.start, [this, key] {
      workers_.at(key).timer = kNoTimer;
      workers_.at(key).worker->Abort(
          {"FunctionError", "The function was not loaded in time: loading it takes too long", {}});
    });
    pool.workers.push_back(key);
    Sweep();
  }

  /// No worker can be had for the first of the queue.
  void FailHead(Pool& pool, const Status& status) {
    if (pool.queue.empty()) return;
    Job job = std::move(pool.queue.front());
    pool.queue.pop_front();
    if (job.proved) return Later([done = std::move(job.proved), status] { done(status); });
    bool ours = status.code() != Code::kUnprocessable;
    Answer(std::move(job), Failure(ours ? "SystemError" : "FunctionError", status.message()));
  }

  void OnLoaded(uint64_t key) {
    Slot& slot = workers_.at(key);
    loop_.Cancel(std::exchange(slot.timer, kNoTimer));
    slot.loading = false;
    Idle(key);
  }

  void OnFailed(uint64_t key, RunError error) {
    Slot& slot = workers_.at(key);
    loop_.Cancel(std::exchange(slot.timer, kNoTimer));
    slot.loading = false;
    Pool& pool = pools_.at(slot.version);
    if (pool.queue.empty()) return;
    Job job = std::move(pool.queue.front());
    pool.queue.pop_front();
    if (job.proved) {
      Code code = error.type == "SystemError" ? Code::kUnavailable : Code::kUnprocessable;
      std::string words = error.message;
      for (const auto& line : error.stacktrace) words += "\n" + line;
      return Later([done = std::move(job.proved), status = Status(code, words)] { done(status); });
    }
    job.cold = true;
    RunOutcome outcome;
    outcome.error = std::move(error);
    Answer(std::move(job), std::move(outcome));
  }

  void OnAnswer(uint64_t key, RunOutcome outcome) {
    Slot& slot = workers_.at(key);
    loop_.Cancel(std::exchange(slot.timer, kNoTimer));
    Job job = std::move(*slot.job);
    slot.job.reset();
    Answer(std::move(job), std::move(outcome));
    if (slot.worker->usable()) Idle(key);
  }

  void OnEnded(uint64_t key) {
    auto it = workers_.find(key);
    Slot slot = std::move(it->second);
    workers_.erase(it);
    loop_.Cancel(slot.timer);
    if (auto remains = slot.worker->TakeRemains(); remains != nullptr && !remains->Remove()) {
      graves_.push_back(std::move(remains));
    }
    dead_.push_back(std::move(slot.worker));  // it is in one of its own functions now
    Later([this] { dead_.clear(); });
    Pool& pool = pools_.at(slot.version);
    std::erase(pool.workers, key);
    if (closing_ && workers_.empty() && closed_) Later(std::exchange(closed_, nullptr));
    GiveRoom();
    if (auto own = pools_.find(slot.version); own != pools_.end()) Schedule(own->second);
    Forget(slot.version);
  }

  /// What becomes of a worker that has nothing to do.
  void Idle(uint64_t key) {
    Slot& slot = workers_.at(key);
    Pool& pool = pools_.at(slot.version);
    slot.idle_since = loop_.Steady();
    if (OthersStarve(pool)) return slot.worker->End();
    GiveRoom();
    if (!slot.idle()) return;
    if (!pool.queue.empty()) return Schedule(pool);
    if (pool.retired) return slot.worker->End();
    if (!rooms_.empty()) MakeRoom();
  }

  /// Whether a version with no worker at all waits longer than the head of this one's queue.
  bool OthersStarve(const Pool& pool) {
    if (static_cast<int>(workers_.size()) < options_.max_workers || EndingWorkers() > 0)
      return false;
    for (const Uuid& id : rooms_) {
      auto it = pools_.find(id);
      if (it == pools_.end() || it->second.queue.empty() || !it->second.workers.empty()) continue;
      if (HasItsShare(it->second)) continue;
      if (pool.queue.empty() || it->second.queue.front().asked < pool.queue.front().asked)
        return true;
    }
    return false;
  }

  size_t EndingWorkers() const {
    size_t count = 0;
    for (const auto& [key, slot] : workers_) {
      count += !slot.loading && !slot.job && !slot.worker->usable();
    }
    return count;
  }

  /// Those who wait for a place no more: their runs went past their deadlines.
  void DropRooms() {
    std::erase_if(rooms_, [this](const Uuid& id) {
      auto it = pools_.find(id);
      if (it == pools_.end()) return true;
      if (!it->second.queue.empty()) return false;
      it->second.wants_room = false;
      return true;
    });
  }

  /// Ends the worker that has been idle longest, for those who wait for a place.
  void MakeRoom() {
    DropRooms();
    auto held = std::count_if(rooms_.begin(), rooms_.end(),
                              [this](const Uuid& id) { return HasItsShare(pools_.at(id)); });
    if (EndingWorkers() + static_cast<size_t>(held) >= rooms_.size()) return;
    Slot* oldest = nullptr;
    for (auto& [key, slot] : workers_) {
      const Pool& pool = pools_.at(slot.version);
      if (!slot.idle() || (!pool.queue.empty() && !HasItsShare(pool))) continue;
      if (oldest == nullptr || slot.idle_since < oldest->idle_since) oldest = &slot;
    }
    if (oldest != nullptr) oldest->worker->End();
  }

  /// To those who wait and can go on now, in their order.
  void GiveRoom() {
    DropRooms();
    for (size_t next = 0; next < rooms_.size();) {
      Pool& pool = pools_.at(rooms_[next]);
      if (!CanGoOn(pool)) {
        ++next;
        continue;
      }
      rooms_.erase(rooms_.begin() + static_cast<ptrdiff_t>(next));
      pool.wants_room = false;
      Schedule(pool);  // where it cannot go on, it waits behind the others
    }
  }

  bool CanGoOn(const Pool& pool) const {
    bool place = static_cast<int>(workers_.size()) < options_.max_workers || LastIdle(pool) != 0;
    return place && !HasItsShare(pool);
  }

  void EndIdle(Pool& pool) {
    if (!pool.queue.empty()) return;
    for (uint64_t key : pool.workers) {
      Slot& slot = workers_.at(key);
      if (slot.idle()) slot.worker->End();
    }
  }

  void Forget(const Uuid& version) {
    auto it = pools_.find(version);
    if (it != pools_.end() && it->second.workers.empty() && it->second.queue.empty())
      pools_.erase(it);
  }

  /// True when nothing is left of sandboxes that ended.
  bool Bury() {
    std::erase_if(graves_, [](const auto& remains) { return remains->Remove(); });
    return graves_.empty();
  }

  void Sweep() {
    if (sweep_ != kNoTimer) return;
    sweep_ = loop_.After(
        std::min<Duration>(kSweep, std::max<Duration>(options_.idle / 2, milliseconds(5))), [this] {
          sweep_ = kNoTimer;
          SteadyTime now = loop_.Steady();
          for (auto& [key, slot] : workers_) {
            if (slot.idle() && now - slot.idle_since >= options_.idle) {
              slot.worker->End();
            }
          }
          bool buried = Bury();
          if (!workers_.empty() || !buried) Sweep();
        });
  }

  EventLoop& loop_;
  const Options options_;
  const int most_of_org_;  // workers at work: the others have the rest
  WorkerMaker& maker_;
  std::unordered_map<Uuid, Pool> pools_;
  std::unordered_map<uint64_t, Slot> workers_;
  std::deque<Uuid> rooms_;  // versions that wait for a place, in order
  std::vector<std::unique_ptr<PoolWorker>> dead_;
  std::vector<std::unique_ptr<Remains>> graves_;
  TimerId sweep_ = kNoTimer;
  uint64_t last_worker_ = 0;
  uint64_t last_job_ = 0;
  uint64_t started_ = 0;
  bool closing_ = false;
  std::function<void()> closed_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

WorkerPool::WorkerPool(EventLoop& loop, Options options, WorkerMaker& maker)
    : impl_(std::make_unique<Impl>(loop, options, maker)) {}
WorkerPool::~WorkerPool() = default;

WorkerPool::Stats WorkerPool::stats() const { return impl_->stats(); }

void WorkerPool::Prove(VersionPtr version, std::function<void(Status)> done) {
  impl_->Prove(std::move(version), std::move(done));
}
void WorkerPool::Run(VersionPtr version, RunInput input, std::function<void(RunOutcome)> done) {
  impl_->Run(std::move(version), std::move(input), std::move(done));
}
void WorkerPool::Close(std::function<void()> closed) { impl_->Close(std::move(closed)); }
void WorkerPool::Retire(const Uuid& version) { impl_->Retire(version); }

}  // namespace dispatch::runtime
