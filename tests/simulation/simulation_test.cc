#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/simulation/world.h"

namespace dispatch::simulation_test {
namespace {

using simulation::World;

/// DISPATCH_SIMULATION_SEEDS says how many seeds each test runs, DISPATCH_SIMULATION_SEED picks
/// one.
uint64_t Seeds(uint64_t otherwise) {
  const char* text = std::getenv("DISPATCH_SIMULATION_SEEDS");
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void RunSeeds(World::Options options, uint64_t count, bool duplicates_allowed) {
  uint64_t first = 1;
  if (const char* one = std::getenv("DISPATCH_SIMULATION_SEED")) {
    first = std::strtoull(one, nullptr, 10);
    count = 1;
  }
  size_t redriven = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    options.seed = seed;
    World world(options);
    world.Run();
    auto faults = world.Check();
    for (size_t i = 0; i < faults.size() && i < 10; ++i) {
      ADD_FAILURE() << "seed " << seed << ": " << faults[i];
    }
    EXPECT_GT(world.delivered(), 0u) << "seed " << seed;
    redriven += world.redriven();
    // Each delivery of it may end three that run it alone, and some that do not know it yet.
    EXPECT_LE(world.poisoned(), 8 * options.subscriptions) << "seed " << seed;
    if (!duplicates_allowed) {
      EXPECT_EQ(world.duplicates(), 0) << "seed " << seed;
    }
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_EQ(redriven > 0, options.redrives) << "the test tests nothing";
}

TEST(SimulationTest, BreathesWithoutFaults) {
  World::Options options;
  options.crashes = options.store_faults = options.broker_faults = false;
  options.endpoint_faults = options.pauses = false;
  RunSeeds(options, 5, false);
}

TEST(SimulationTest, PauseAndResumeAreExact) {
  World::Options options;
  options.crashes = options.store_faults = options.broker_faults = false;
  options.endpoint_faults = false;
  RunSeeds(options, Seeds(300), false);
}

TEST(SimulationTest, WhatStaysPausedHasAllFromBefore) {
  World::Options options;
  options.subscriptions = 6;
  options.event_managers = 2;
  options.rewinds = true;
  options.resumes = false;
  RunSeeds(options, Seeds(100), true);
}

TEST(SimulationTest, FailingEndpointsAreRetried) {
  World::Options options;
  options.crashes = options.store_faults = options.broker_faults = false;
  RunSeeds(options, Seeds(200), true);
}

TEST(SimulationTest, HangingEndpointsFallBehindAndCatchUp) {
  World::Options options;
  options.crashes = options.store_faults = options.broker_faults = false;
  options.endpoint_faults = options.pauses = false;
  options.hangs = true;
  options.allowance = 6;
  RunSeeds(options, Seeds(500), false);
}

TEST(SimulationTest, RewindsDeliverAgainFromTheirPlace) {
  World::Options options;
  options.crashes = options.store_faults = options.broker_faults = false;
  options.endpoint_faults = options.pauses = false;
  options.hangs = true;
  options.allowance = 6;
  options.rewinds = true;
  RunSeeds(options, Seeds(500), false);
}

TEST(SimulationTest, FallingBehindAndRewindsSurviveEveryFault) {
  World::Options options;
  options.subscriptions = 6;
  options.event_managers = 2;
  options.hangs = true;
  options.rewinds = true;
  options.allowance = 6;
  RunSeeds(options, Seeds(1500), true);
}

TEST(SimulationTest, SmallGrantsSurviveEveryFault) {
  World::Options options;
  options.subscriptions = 6;
  options.event_managers = 2;
  options.hangs = true;
  options.rewinds = true;
  options.allowance = 6;
  options.small_grants = true;
  RunSeeds(options, Seeds(150), true);
}

TEST(SimulationTest, DelayedEventsComeOnceInTime) {
  World::Options options;
  options.crashes = options.store_faults = options.broker_faults = false;
  options.endpoint_faults = false;
  options.delays = true;
  options.allowance = 40;
  RunSeeds(options, Seeds(40), false);
}

TEST(SimulationTest, DelayedEventsSurviveEveryFault) {
  World::Options options;
  options.event_managers = options.function_managers = 2;
  options.delays = options.rewinds = options.hangs = options.redrives = options.replays = true;
  options.events = 150;
  options.subscriptions = 6;
  options.allowance = 40;
  RunSeeds(options, Seeds(40), true);
}

TEST(SimulationTest, RedrivesDeliverOnceWithoutFaults) {
  World::Options options;
  options.subscriptions = 6;
  options.crashes = options.store_faults = options.broker_faults = options.pauses = false;
  options.redrives = true;
  RunSeeds(options, Seeds(100), true);
}

TEST(SimulationTest, RedrivesSurviveEveryFault) {
  World::Options options;
  options.subscriptions = 6;
  options.function_managers = 2;
  options.redrives = true;
  options.rewinds = true;
  RunSeeds(options, Seeds(500), true);
}

TEST(SimulationTest, ReplaysDeliverTheirStretchOnce) {
  World::Options options;
  options.crashes = options.store_faults = options.broker_faults = false;
  options.endpoint_faults = false;
  options.replays = true;
  RunSeeds(options, Seeds(500), false);
}

TEST(SimulationTest, ReplaysSurviveEveryFault) {
  World::Options options;
  options.event_managers = 2;
  options.hangs = true;
  options.rewinds = true;
  options.allowance = 6;
  options.replays = true;
  RunSeeds(options, Seeds(1500), true);
}

TEST(SimulationTest, WhatRetentionTakesIsCounted) {
  World::Options options;
  options.crashes = options.store_faults = options.broker_faults = false;
  options.endpoint_faults = false;
  options.truncations = true;
  RunSeeds(options, Seeds(500), false);
}

TEST(SimulationTest, WhatRetentionTakesIsCountedOverEveryFault) {
  World::Options options;
  options.subscriptions = 6;
  options.event_managers = 2;
  options.hangs = true;
  options.allowance = 6;
  options.truncations = true;
  RunSeeds(options, Seeds(1500), true);
}

TEST(SimulationTest, PoisonIsQuarantined) {
  World::Options options;
  options.crashes = options.store_faults = options.broker_faults = false;
  options.endpoint_faults = options.pauses = false;
  options.poison = true;
  RunSeeds(options, Seeds(100), true);
}

TEST(SimulationTest, PoisonIsQuarantinedAmongEveryFault) {
  World::Options options;
  options.subscriptions = 6;
  options.function_managers = 2;
  options.poison = true;
  RunSeeds(options, Seeds(200), true);
}

TEST(SimulationTest, ConservationSurvivesEveryFault) {
  World::Options options;
  options.subscriptions = 6;
  RunSeeds(options, Seeds(1000), true);
}

TEST(SimulationTest, ConservationSurvivesEveryFaultWithTwoOfEach) {
  World::Options options;
  options.subscriptions = 6;
  options.event_managers = 2;
  options.function_managers = 2;
  RunSeeds(options, Seeds(1000), true);
}

TEST(SimulationTest, InstancesCutOffFromKafkaHarmNothing) {
  World::Options options;
  options.subscriptions = 6;
  options.event_managers = 2;
  options.function_managers = 2;
  options.hangs = true;
  options.isolation = options.late = true;
  RunSeeds(options, Seeds(500), true);
}

TEST(SimulationTest, InstancesCutOffWhileSubscriptionsFallBehindHarmNothing) {
  World::Options options;
  options.subscriptions = 6;
  options.event_managers = 2;
  options.function_managers = 2;
  options.hangs = true;
  options.allowance = 6;
  options.isolation = options.late = true;
  RunSeeds(options, Seeds(500), true);
}

/// Checks that find no bug which is there are worth nothing.
class PlantedBugTest : public ::testing::TestWithParam<simulation::PlantedBug> {};
INSTANTIATE_TEST_SUITE_P(Simulation, PlantedBugTest, ::testing::ValuesIn(simulation::kPlantedBugs),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(PlantedBugTest, IsFound) {
  World::Options options;
  options.subscriptions = 6;
  options.event_managers = 2;
  options.function_managers = 2;
  options.hangs = true;
  options.isolation = options.late = true;
  options.planted = GetParam().bug;
  for (options.seed = 1; options.seed <= 500; ++options.seed) {
    World world(options);
    world.Run();
    if (!world.Check().empty()) return;
  }
  ADD_FAILURE() << "500 worlds with this bug, and all checks hold";
}

}  // namespace
}  // namespace dispatch::simulation_test
