#include "function-manager/src/runtime/container_runner.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "common/log.h"
#include "common/uuid.h"
#include "function-manager/src/domain/languages.h"
#include "function-manager/src/runtime/internal/container_engine.h"
#include "function-manager/src/runtime/internal/container_worker.h"
#include "function-manager/src/runtime/internal/network_namespace.h"
#include "function-manager/src/runtime/internal/worker_pool.h"

namespace dispatch {

using runtime::ContainerEngine;
using runtime::ContainerWorker;
using runtime::NetworkNamespace;
using runtime::PoolWorker;
using runtime::WorkerPool;

namespace {

constexpr Duration kConnectAgain = std::chrono::seconds(2);

Status NoEngine() {
  return {Code::kUnprocessable,
          fmt::format("there is no process runtime for it (language must be one of {}), and no "
                      "container engine to run it with: set functions-engine-socket",
                      kRuntimeLanguages)};
}

bool IsContainer(const FunctionVersion& version) { return version.language == kContainerLanguage; }

}  // namespace

/// The engine, and whether it can be used: it is asked again and again until it answers, and what
/// an instance of this name left is removed before anything is started. What comes before the first
/// answer waits for it.
class ContainerRunner::Impl : public runtime::WorkerMaker {
 public:
  Impl(EventLoop& loop, ContainerRunnerOptions options)
      : loop_(loop), options_(std::move(options)), engine_(loop, options_.socket) {
    if (options_.socket.empty()) {
      usable_ = NoEngine();
    } else if (usable_ = NetworkNamespace::Allowed(); !usable_.ok()) {
      log::Warning("containers are refused reason=\"{}\"", usable_.message());
    } else {
      usable_ = {Code::kUnavailable, "the container engine was not asked yet"};
      asked_first_ = false;
      Connect();
    }
  }
  ~Impl() override { loop_.Cancel(timer_); }

  WorkerPool& pool() { return pool_; }
  ContainerEngine& engine() { return engine_; }

  Status Usable() const override { return usable_; }
  Result<std::unique_ptr<PoolWorker>> Make(const FunctionVersion& version, int /*number*/,
                                           PoolWorker::Events events) override {
    return std::unique_ptr<PoolWorker>(
        std::make_unique<ContainerWorker>(loop_, engine_, options_, version, std::move(events)));
  }

  void WhenAsked(std::function<void()> task) {
    if (asked_first_) return task();
    waiting_.push_back(std::move(task));
  }

  void Later(std::function<void()> task) {
    loop_.Post([alive = std::weak_ptr<int>(alive_), task = std::move(task)] {
      if (!alive.expired()) task();
    });
  }

 private:
  void Connect() {
    engine_.Connect([this](const Result<std::string>& what) {
      if (!what.ok()) return Connected(what.status());
      engine_.List(fmt::format("{}={}", kOwnerLabel, options_.owner),
                   [this, what = *what](Result<std::vector<std::string>> left) {
                     if (!left.ok()) return Connected(left.status());
                     if (!left->empty()) {
                       log::Info("containers of the instance before are removed count={}",
                                 left->size());
                     }
                     RemoveLeft(std::move(*left), what);
                   });
    });
  }

  void RemoveLeft(std::vector<std::string> ids, const std::string& what) {
    if (ids.empty()) {
      log::Info("functions run in containers engine=\"{}\" socket={}", what, options_.socket);
      return Connected(OkStatus());
    }
    std::string id = std::move(ids.back());
    ids.pop_back();
    engine_.Remove(id, [this, ids, what](const Status& removed) {
      if (!removed.ok()) return Connected(removed);
      RemoveLeft(ids, what);
    });
  }

  void Connected(const Status& status) {
    if (!status.ok()) {
      if (status.message() != usable_.message()) {
        log::Warning("containers are refused reason=\"{}\"", status.message());
      }
      timer_ = loop_.After(kConnectAgain, [this] {
        timer_ = kNoTimer;
        Connect();
      });
    }
    usable_ = status;
    asked_first_ = true;
    for (auto& task : std::exchange(waiting_, {})) task();
  }

  EventLoop& loop_;
  const ContainerRunnerOptions options_;
  ContainerEngine engine_;
  Status usable_;
  bool asked_first_ = true;
  std::vector<std::function<void()>> waiting_;  // as many as runs may be under way
  TimerId timer_ = kNoTimer;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  WorkerPool pool_{loop_,
                   {.max_workers = options_.max_containers,
                    .max_queue = options_.max_queue,
                    .idle = options_.idle,
                    .start = options_.start,
                    .longest = options_.longest},
                   *this};
};

ContainerRunner::ContainerRunner(EventLoop& loop, ContainerRunnerOptions options, Runner& others)
    : impl_(std::make_unique<Impl>(loop, std::move(options))), others_(others) {}
ContainerRunner::~ContainerRunner() = default;

void ContainerRunner::Prove(VersionPtr version, std::function<void(Status)> done) {
  if (!IsContainer(*version)) return others_.Prove(std::move(version), std::move(done));
  impl_->WhenAsked([this, version = std::move(version), done = std::move(done)] {
    impl_->pool().Prove(version, done);
  });
}

void ContainerRunner::Run(VersionPtr version, RunInput input,
                          std::function<void(RunOutcome)> done) {
  if (!IsContainer(*version)) {
    return others_.Run(std::move(version), std::move(input), std::move(done));
  }
  impl_->WhenAsked([this, version = std::move(version), input = std::move(input),
                    done = std::move(done)] { impl_->pool().Run(version, input, done); });
}

void ContainerRunner::Retire(const Uuid& version) {
  impl_->pool().Retire(version);
  others_.Retire(version);
}

void ContainerRunner::Find(const std::string& reference,
                           std::function<void(Result<std::string>)> done) {
  impl_->WhenAsked([this, reference, done = std::move(done)] {
    if (Status status = impl_->Usable(); !status.ok()) {
      return impl_->Later([done, status] { done(status.error()); });
    }
    impl_->Later([this, reference, done] { impl_->engine().Image(reference, done); });
  });
}

void ContainerRunner::Close(std::function<void()> closed) {
  impl_->pool().Close(std::move(closed));
}

Result<std::string> ContainerOwner(const std::string& directory) {
  namespace fs = std::filesystem;
  fs::path path = fs::path(directory) / "container-owner";
  std::string owner;
  std::ifstream(path) >> owner;
  if (Uuid::Parse(owner).ok()) return owner;
  std::error_code ignored;
  fs::create_directories(directory, ignored);
  owner = Uuid::Random().ToString();
  fs::path made = path;
  made += ".new";
  std::ofstream file(made);
  file << owner << "\n";
  file.close();
  std::error_code error;
  if (file) fs::rename(made, path, error);
  if (file && !error) return owner;
  return {Code::kUnavailable, fmt::format("cannot write {}", path.string())};
}

}  // namespace dispatch
