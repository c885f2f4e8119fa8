#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "broker-adapters/memory/memory_broker.h"
#include "common/testing/simulated_loop.h"
#include "event-manager/src/domain/match_engine.h"
#include "event-manager/src/domain/testing/memory_match_store.h"
#include "function-manager/src/domain/invoker.h"
#include "function-manager/src/domain/testing/memory_invoke_store.h"
#include "tests/simulation/planted.h"

namespace dispatch::simulation {

/// The whole pipeline on simulated time: a Kafka cluster and two databases in memory, instances of
/// event-manager's and function-manager's engines that come and go, endpoints that fail, and the
/// ground truth that the checks hold against. Everything random comes from the seed.
class World {
 public:
  struct Options {
    uint64_t seed = 1;
    int event_managers = 1;
    int function_managers = 1;
    int events = 200;
    int subscriptions = 4;
    bool crashes = true;
    bool store_faults = true;
    bool broker_faults = true;
    bool isolation = false;  // of one instance, longer than its session or shorter
    bool late = false;       // half of those that are cut off reach their database late, too
    bool endpoint_faults = true;
    bool pauses = true;
    bool resumes = true;  // all at the end; else what is paused then stays so
    bool rewinds = false;
    bool hangs = false;          // of endpoints, for long
    bool redrives = false;       // of dead letters
    bool replays = false;        // of stretches, as subscriptions with an end
    bool truncations = false;    // retention takes what may be unread
    bool delays = false;         // events that are to be delivered later
    bool poison = false;         // an event that ends every function-manager that sends it
    bool small_grants = false;   // a reader is never far ahead of what checkpoints grant
    int64_t allowance = 10'000;  // deliveries of a subscription under way
    Bug planted = Bug::kNone;
  };

  explicit World(Options options);
  ~World();

  /// Runs the load with its faults, then heals everything and waits until nothing is pending.
  void Run();

  /// What does not hold, in words; empty when all does.
  std::vector<std::string> Check() const;

  int64_t duplicates() const { return duplicates_; }
  size_t delivered() const { return successes_.size(); }
  int crashes() const { return crashes_; }
  int poisoned() const { return poisoned_; }
  int delayed() const { return delayed_; }
  size_t redriven() const { return invoke_store_.returned().size(); }

 private:
  struct EventManager;
  struct FunctionManager;
  class Endpoints;

  struct Position {
    int32_t partition;
    int64_t offset;
    auto operator<=>(const Position&) const = default;
  };
  struct Sub {
    schema::Subscription subscription;
    bool fails_at_times = false;
    bool rejects = false;  // answers 400: everything is a dead letter
    SteadyTime hangs_until{};
    SteadyTime down_until{};
  };

  struct Event {
    std::string type;
    std::string key;
    bool delayed = false;
  };
  struct Success {
    int count = 0;
    int64_t place = 0;  // of the first, among all
  };

  void CheckRedriven(std::vector<std::string>& faults) const;
  void CheckOrder(size_t index, const std::set<std::tuple<Uuid, int32_t, Position>>& dead,
                  std::vector<std::string>& faults) const;
  bool Chance(double probability);
  Uuid NewUuid();
  Duration Between(Duration low, Duration high);
  void CreateSubscription(int index);
  void Publish();
  void Fault();
  void Isolate();
  void TogglePause();
  void Tell(size_t index);
  void StartEventManager(int index);
  void AwaitProgress(int index, const EventManager* manager);
  void Hang();
  void Rewind();
  void Redrive();
  void Truncate();
  void Replay();
  void RememberEvents();
  void StartFunctionManager(int index);
  void Poisoned(const FunctionManager* manager);
  void Heal();
  bool Quiet() const;
  int64_t Expected(const Sub& sub) const;
  bool Matches(const Sub& sub, const Position& position) const;
  /// Of what matches: all, or what was accepted before the pause.
  static bool Due(const Sub& sub, const Position& position);
  std::vector<schema::DeadLetter> DeadLetters() const;
  std::set<std::tuple<Uuid, int32_t, Position>> DeadLettered() const;

  Options options_;
  std::mt19937_64 random_;
  std::mt19937_64 outages_;  // of endpoints
  testing::SimulatedLoop loop_;
  broker::MemoryCluster cluster_;
  testing::MemoryMatchStore match_store_;
  testing::MemoryInvokeStore invoke_store_;
  PlantedMatchStore planted_match_store_;
  PlantedInvokeStore planted_invoke_store_;
  std::unique_ptr<broker::Broker> client_;
  std::unique_ptr<broker::Producer> publisher_;
  schema::Topic topic_;
  std::vector<Sub> subs_;
  std::map<Position, Event> events_;     // all that the log ever held
  std::map<int32_t, int64_t> earliest_;  // by partition: what is below was taken
  int published_ = 0;
  int answered_ = 0;
  std::map<std::pair<size_t, std::string>, Success> successes_;  // by subscription and webhook id
  int64_t places_ = 0;
  int64_t duplicates_ = 0;
  int crashes_ = 0;
  int poisoned_ = 0;
  int delayed_ = 0;
  int early_ = 0;  // attempts before an event's time
  std::vector<std::unique_ptr<EventManager>> event_managers_;
  std::vector<std::unique_ptr<FunctionManager>> function_managers_;
  std::unique_ptr<Endpoints> endpoints_;
  bool healed_ = false;
};

}  // namespace dispatch::simulation
