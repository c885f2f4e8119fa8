#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "tests/simulation/world.h"

namespace dispatch::simulation_test {
namespace {

using simulation::World;

enum Duplicates { kOnce, kRepeats };  // kRepeats: a delivery may come again

/// What is let loose, and on how many seeds.
struct Case {
  const char* name;
  uint64_t seeds;
  Duplicates duplicates;
  World::Options options;
};

const Case kCases[] = {
    {"BreathesWithoutFaults",
     5,
     kOnce,
     {.crashes = false,
      .store_faults = false,
      .broker_faults = false,
      .endpoint_faults = false,
      .pauses = false}},
    {"PauseAndResumeAreExact",
     300,
     kOnce,
     {.crashes = false, .store_faults = false, .broker_faults = false, .endpoint_faults = false}},
    {"WhatStaysPausedHasAllFromBefore",
     100,
     kRepeats,
     {.event_managers = 2, .subscriptions = 6, .resumes = false, .rewinds = true}},
    {"FailingEndpointsAreRetried",
     200,
     kRepeats,
     {.crashes = false, .store_faults = false, .broker_faults = false}},
    {"HangingEndpointsFallBehindAndCatchUp",
     500,
     kOnce,
     {.crashes = false,
      .store_faults = false,
      .broker_faults = false,
      .endpoint_faults = false,
      .pauses = false,
      .hangs = true,
      .allowance = 6}},
    {"RewindsDeliverAgainFromTheirPlace",
     500,
     kOnce,
     {.crashes = false,
      .store_faults = false,
      .broker_faults = false,
      .endpoint_faults = false,
      .pauses = false,
      .rewinds = true,
      .hangs = true,
      .allowance = 6}},
    {"FallingBehindAndRewindsSurviveEveryFault",
     1500,
     kRepeats,
     {.event_managers = 2, .subscriptions = 6, .rewinds = true, .hangs = true, .allowance = 6}},
    {"SmallGrantsSurviveEveryFault",
     150,
     kRepeats,
     {.event_managers = 2,
      .subscriptions = 6,
      .rewinds = true,
      .hangs = true,
      .small_grants = true,
      .allowance = 6}},
    {"DelayedEventsComeOnceInTime",
     40,
     kOnce,
     {.crashes = false,
      .store_faults = false,
      .broker_faults = false,
      .endpoint_faults = false,
      .delays = true,
      .allowance = 40}},
    {"DelayedEventsSurviveEveryFault",
     40,
     kRepeats,
     {.event_managers = 2,
      .function_managers = 2,
      .events = 150,
      .subscriptions = 6,
      .rewinds = true,
      .hangs = true,
      .redrives = true,
      .replays = true,
      .delays = true,
      .allowance = 40}},
    {"RedrivesDeliverOnceWithoutFaults",
     100,
     kRepeats,
     {.subscriptions = 6,
      .crashes = false,
      .store_faults = false,
      .broker_faults = false,
      .pauses = false,
      .redrives = true}},
    {"RedrivesSurviveEveryFault",
     500,
     kRepeats,
     {.function_managers = 2, .subscriptions = 6, .rewinds = true, .redrives = true}},
    {"ReplaysDeliverTheirStretchOnce",
     500,
     kOnce,
     {.crashes = false,
      .store_faults = false,
      .broker_faults = false,
      .endpoint_faults = false,
      .replays = true}},
    {"ReplaysSurviveEveryFault",
     1500,
     kRepeats,
     {.event_managers = 2, .rewinds = true, .hangs = true, .replays = true, .allowance = 6}},
    {"WhatRetentionTakesIsCounted",
     500,
     kOnce,
     {.crashes = false,
      .store_faults = false,
      .broker_faults = false,
      .endpoint_faults = false,
      .truncations = true}},
    {"WhatRetentionTakesIsCountedOverEveryFault",
     1500,
     kRepeats,
     {.event_managers = 2, .subscriptions = 6, .hangs = true, .truncations = true, .allowance = 6}},
    {"PoisonIsQuarantined",
     100,
     kRepeats,
     {.crashes = false,
      .store_faults = false,
      .broker_faults = false,
      .endpoint_faults = false,
      .pauses = false,
      .poison = true}},
    {"PoisonIsQuarantinedAmongEveryFault",
     200,
     kRepeats,
     {.function_managers = 2, .subscriptions = 6, .poison = true}},
    {"ConservationSurvivesEveryFault", 1000, kRepeats, {.subscriptions = 6}},
    {"ConservationSurvivesEveryFaultWithTwoOfEach",
     1000,
     kRepeats,
     {.event_managers = 2, .function_managers = 2, .subscriptions = 6}},
    {"InstancesCutOffFromKafkaHarmNothing",
     500,
     kRepeats,
     {.event_managers = 2,
      .function_managers = 2,
      .subscriptions = 6,
      .isolation = true,
      .late = true,
      .hangs = true}},
    {"InstancesCutOffWhileSubscriptionsFallBehindHarmNothing",
     500,
     kRepeats,
     {.event_managers = 2,
      .function_managers = 2,
      .subscriptions = 6,
      .isolation = true,
      .late = true,
      .hangs = true,
      .allowance = 6}},
};

/// DISPATCH_SIMULATION_SEEDS says how many seeds each case runs, DISPATCH_SIMULATION_SEED picks
/// one.
std::pair<uint64_t, uint64_t> Seeds(uint64_t otherwise) {
  if (const char* one = std::getenv("DISPATCH_SIMULATION_SEED")) {
    uint64_t seed = std::strtoull(one, nullptr, 10);
    return {seed, seed};
  }
  const char* text = std::getenv("DISPATCH_SIMULATION_SEEDS");
  return {1, text == nullptr ? otherwise : std::strtoull(text, nullptr, 10)};
}

class SimulationTest : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Simulation, SimulationTest, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(SimulationTest, Holds) {
  World::Options options = GetParam().options;
  auto [first, last] = Seeds(GetParam().seeds);
  size_t redriven = 0;
  for (options.seed = first; options.seed <= last; ++options.seed) {
    SCOPED_TRACE("seed " + std::to_string(options.seed));
    World world(options);
    world.Run();
    auto faults = world.Check();
    for (size_t i = 0; i < faults.size() && i < 10; ++i) ADD_FAILURE() << faults[i];
    EXPECT_GT(world.delivered(), 0u);
    redriven += world.redriven();
    // Each delivery of it may end three that run it alone, and some that do not know it yet.
    EXPECT_LE(world.poisoned(), 8 * options.subscriptions);
    if (GetParam().duplicates == kOnce) {
      EXPECT_EQ(world.duplicates(), 0);
    }
    if (HasFailure()) return;
  }
  EXPECT_EQ(redriven > 0, options.redrives) << "the test tests nothing";
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
