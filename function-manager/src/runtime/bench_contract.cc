#include <algorithm>
#include <cstdio>

#include "function-manager/src/runtime/testing/runner_fixture.h"

namespace dispatch::runtime::bench_contract {
namespace {

/// Prints and judges nothing: --gtest_also_run_disabled_tests --gtest_filter='*Bench*'.
class Bench : public RunnerFixture {
 protected:
  void Measure(const std::function<std::shared_ptr<FunctionVersion>()>& make, const char* name) {
    auto in_ms = [this](SteadyTime since) {
      return static_cast<double>((loop_.Steady() - since).count()) / 1000;
    };
    (void)runner();
    std::vector<double> cold;
    for (int i = 0; i < 20; ++i) {
      auto version = make();
      SteadyTime began = loop_.Steady();
      EXPECT_TRUE(Run(version).cold);
      cold.push_back(in_ms(began));
      runner().Retire(version->id);
    }
    auto version = make();
    version->concurrency = 2;
    std::vector<double> warm;
    (void)Run(version);
    for (int i = 0; i < 3000; ++i) {
      SteadyTime began = loop_.Steady();
      (void)Run(version, json::object{{"n", i}});
      warm.push_back(in_ms(began));
    }
    constexpr int kRuns = 20'000;
    int done = 0;
    int asked = 0;
    std::function<void()> next = [&] {
      if (asked >= kRuns) return;
      runner().Run(version, RunInput{{}, json::object{{"n", asked++}}, 30s},
                   [&](RunOutcome outcome) {
                     EXPECT_FALSE(outcome.error);
                     ++done;
                     next();
                   });
    };
    SteadyTime began = loop_.Steady();
    for (int i = 0; i < 16; ++i) next();
    EXPECT_TRUE(loop_.RunUntil([&] { return done == kRuns; }, 120s));
    double rate = kRuns / in_ms(began) * 1000;
    auto at = [](std::vector<double>& values, double share) {
      std::sort(values.begin(), values.end());
      return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
    };
    std::printf(
        "%-8s cold p50 %.1f ms p99 %.1f ms; warm p50 %.3f ms p99 %.3f ms; "
        "two workers %.0f runs/s\n",
        name, at(cold, 0.5), at(cold, 0.99), at(warm, 0.5), at(warm, 0.99), rate);
  }
};

TEST_F(Bench, DISABLED_Python3) {
  Measure([this] { return Python("def handle(ctx, payload): return payload\n"); }, "python3");
}
TEST_F(Bench, DISABLED_Nodejs) {
  Measure([this] { return Node("module.exports = (context, payload) => payload;\n"); }, "nodejs");
}
TEST_F(Bench, DISABLED_Binary) {
  Measure(
      [this] {
        return Make("binary", "run", "#!/bin/sh\ncat >/dev/null; echo '{\"payload\":1}'\n");
      },
      "binary");
}

}  // namespace
}  // namespace dispatch::runtime::bench_contract
