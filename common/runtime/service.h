#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/config.h"
#include "common/event_loop.h"
#include "common/span.h"

namespace dispatch {

/// What all four services do alike: configuration, logging, the admin port (`/healthz`, `/readyz`
/// with the reasons for "no", `/metrics`), the export of traces, signals. SIGTERM runs the stop
/// steps in reverse order of registration, each given what is left of the drain time; a second
/// SIGTERM halves nothing but ends the waiting: steps still run, with no time left.
class Service {
 public:
  Service(std::string name, std::string summary, std::vector<Config::Setting> settings);
  ~Service();

  /// Parses the configuration. Returns an exit code when main should return at once (--help: 0,
  /// bad configuration: 2), else -1.
  int Start(int argc, const char* const* argv);

  /// The port of the admin server, once started.
  uint16_t admin_port() const;

  EventLoop& loop();
  const Config& config() const;
  /// By the settings otlp-endpoint and traces-sample-ratio. What has ended is exported until the
  /// last stop step, and in it.
  Tracing tracing() const;

  /// The service is ready when every check returns an empty string; else the text says why not.
  void AddReadyCheck(std::string name, std::function<std::string()> check);
  /// `step(deadline, done)`: stop, then run `done`.
  void AddStopStep(std::string name,
                   std::function<void(SteadyTime deadline, std::function<void()> done)> step);
  /// Ends the process with `message` in the log and exit code 1: for what only an operator can
  /// mend.
  void Fail(const std::string& message);

  /// Runs the loop until the stop steps are done. Returns the exit code.
  int Run();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dispatch
