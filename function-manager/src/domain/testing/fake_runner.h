#pragma once

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "function-manager/src/domain/runner.h"

namespace dispatch::testing {

/// A Runner that proves as it is told: at once with `proof`, or (`hold`) when Release is called.
class FakeRunner : public Runner {
 public:
  void Prove(VersionPtr version, std::function<void(Status)> done) override {
    asked.push_back(version);
    if (hold) {
      held.push_back(std::move(done));
    } else {
      done(proof);
    }
  }
  void Run(VersionPtr, RunInput input, std::function<void(RunOutcome)> done) override {
    RunOutcome outcome;
    outcome.payload = std::move(input.payload);
    done(std::move(outcome));
  }
  void Retire(const Uuid& version) override { retired.insert(version); }

  void Release() {
    for (auto& done : std::exchange(held, {})) done(proof);
  }

  Status proof;
  bool hold = false;
  std::vector<VersionPtr> asked;
  std::vector<std::function<void(Status)>> held;
  std::set<Uuid> retired;
};

}  // namespace dispatch::testing
