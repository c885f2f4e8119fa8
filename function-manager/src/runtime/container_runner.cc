#include "function-manager/src/runtime/container_runner.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "common/container/connection.h"
#include "common/container/spec.h"
#include "common/uuid.h"
#include "function-manager/src/domain/languages.h"
#include "function-manager/src/runtime/internal/container_worker.h"
#include "function-manager/src/runtime/internal/worker_pool.h"

namespace dispatch {

using runtime::ContainerWorker;
using runtime::PoolWorker;
using runtime::WorkerPool;

namespace {

Status NoEngine() {
  return {Code::kUnprocessable,
          fmt::format("there is no process runtime for it (language must be one of {}), and no "
                      "container engine to run it with: set functions-engine-socket",
                      kRuntimeLanguages)};
}

bool IsContainer(const FunctionVersion& version) { return version.language == kContainerLanguage; }

}  // namespace

class ContainerRunner::Impl : public runtime::WorkerMaker {
 public:
  Impl(EventLoop& loop, ContainerRunnerOptions options)
      : loop_(loop), options_(std::move(options)) {}

  WorkerPool& pool() { return pool_; }
  container::Engine& engine() { return connection_.engine(); }

  Status Usable() const override { return connection_.usable(); }
  Result<std::unique_ptr<PoolWorker>> Make(const FunctionVersion& version, int /*number*/,
                                           PoolWorker::Events events) override {
    return std::unique_ptr<PoolWorker>(
        std::make_unique<ContainerWorker>(loop_, engine(), options_, version, std::move(events)));
  }

  // As many wait as runs may be under way.
  void WhenAsked(std::function<void()> task) { connection_.WhenAsked(std::move(task)); }

  void Later(std::function<void()> task) {
    loop_.Post([alive = std::weak_ptr<int>(alive_), task = std::move(task)] {
      if (!alive.expired()) task();
    });
  }

 private:
  EventLoop& loop_;
  const ContainerRunnerOptions options_;
  container::Connection connection_{
      loop_,
      {.socket = options_.socket,
       .registry_file = options_.registry_file,
       .none = NoEngine(),
       .what = "functions",
       .label = fmt::format("{}={}", container::kOwnerLabel, options_.owner)}};
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
