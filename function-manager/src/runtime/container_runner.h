#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "common/event_loop.h"
#include "function-manager/src/domain/container_images.h"
#include "function-manager/src/domain/runner.h"

namespace dispatch {

/// Settings of ContainerRunner.
struct ContainerRunnerOptions {
  std::string socket;         // the engine's; empty: there is none
  std::string registry_file;  // of credentials for pulls, as `docker login` writes it; empty: none
  /// The name under which this instance's containers are known again after a crash.
  std::string owner;

  int max_containers = 32;    // of all versions together
  size_t max_queue = 100;     // runs of one version that wait for a container
  size_t log_bytes = 262144;  // of one run, both streams
  size_t answer_bytes = 8 * 1024 * 1024;
  std::chrono::milliseconds idle{300'000};  // a container with nothing to do ends
  std::chrono::milliseconds start{60'000};  // until its server is healthy
  std::chrono::milliseconds longest = kLongestRun;
};

/// Runs functions whose language is `container` in containers of an OCI engine (decision 0021):
/// VMware's contract of a server at port 8080 (GET /healthz, POST / {context, payload}), one
/// request at a time each. The server is reached through the container's network namespace, so it
/// needs no network and publishes no port. Started when a run needs one, kept while runs come,
/// ended when idle or retired. What a killed instance left is removed at the next start. Versions
/// of other languages are `others`'. Lives on the loop.
class ContainerRunner : public Runner, public ContainerImages {
 public:
  ContainerRunner(EventLoop& loop, ContainerRunnerOptions options, Runner& others);
  ~ContainerRunner() override;

  void Prove(VersionPtr version, std::function<void(Status)> done) override;
  void Run(VersionPtr version, RunInput input, std::function<void(RunOutcome)> done) override;
  void Retire(const Uuid& version) override;
  void Find(const std::string& reference, std::function<void(Result<std::string>)> done) override;

  /// Ends all containers, and starts none any more.
  void Close(std::function<void()> closed);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
  Runner& others_;
};

/// The name of this instance, kept in a file of `directory`: made when it is not there.
Result<std::string> ContainerOwner(const std::string& directory);

}  // namespace dispatch
