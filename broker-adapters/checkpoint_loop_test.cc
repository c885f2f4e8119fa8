#include "broker-adapters/checkpoint_loop.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "broker-adapters/testing/recording_consumer.h"
#include "common/testing/simulated_loop.h"

namespace dispatch::checkpoint_loop_test {
namespace {

using broker::CheckpointLoop;
using broker::TopicPartition;
using Commits = broker::testing::RecordingConsumer::Commits;
using Outcome = CheckpointLoop::Outcome;
using Part = CheckpointLoop::Part;
using std::chrono::milliseconds;

const TopicPartition kFirst{"t", 0};
const TopicPartition kSecond{"t", 1};

/// Partitions whose position is all their state, and a store that answers when it is told to.
struct World : CheckpointLoop::Host {
  World() { checkpoints.emplace(loop, consumer, *this, milliseconds(100)); }

  void Tend() override { ++tended; }
  std::vector<Part> Save(CheckpointLoop::Answered answered) override {
    EXPECT_EQ(answer, nullptr) << "two saves at a time";
    std::vector<Part> parts;
    for (const auto& [partition, position] : std::exchange(changed, {})) {
      parts.push_back({partition, 1, position});
    }
    if (parts.empty()) return parts;
    ++saves;
    answer = std::move(answered);
    return parts;
  }
  bool Saved(const Part& part, Outcome outcome) override {
    if (let_go == part.partition) return false;
    outcomes.emplace_back(part.position, outcome);
    return true;
  }
  void Answer(Result<std::vector<TopicPartition>> fenced) {
    ASSERT_NE(answer, nullptr);
    std::exchange(answer, nullptr)(std::move(fenced));
  }
  std::vector<std::pair<int64_t, Outcome>> TakeOutcomes() { return std::exchange(outcomes, {}); }

  testing::SimulatedLoop loop;
  broker::testing::RecordingConsumer consumer;
  std::map<TopicPartition, int64_t> changed;
  std::optional<TopicPartition> let_go;
  CheckpointLoop::Answered answer;
  std::vector<std::pair<int64_t, Outcome>> outcomes;
  int tended = 0;
  int saves = 0;
  std::optional<CheckpointLoop> checkpoints;
};

TEST(CheckpointLoop, Breathes) {
  World w;
  w.changed = {{kFirst, 3}, {kSecond, 5}};
  w.checkpoints->Start();
  EXPECT_EQ(w.tended, 1);
  EXPECT_EQ(w.saves, 1);
  EXPECT_TRUE(w.consumer.TakeCommits().empty()) << "nothing is durable yet";
  w.Answer(std::vector<TopicPartition>{});
  EXPECT_EQ(w.outcomes,
            (std::vector<std::pair<int64_t, Outcome>>{{3, Outcome::kSaved}, {5, Outcome::kSaved}}));
  EXPECT_EQ(w.consumer.TakeCommits(), (std::vector<Commits>{{{kFirst, 3}, {kSecond, 5}}}));
  w.loop.RunFor(milliseconds(1'000));
  EXPECT_EQ(w.tended, 11);
  EXPECT_EQ(w.saves, 1) << "nothing changed";
  w.changed = {{kFirst, 4}};
  w.loop.RunFor(milliseconds(100));
  EXPECT_EQ(w.saves, 2);
}

TEST(CheckpointLoop, SavesOneAtATime) {
  World w;
  w.changed = {{kFirst, 3}};
  w.checkpoints->Start();
  w.changed = {{kFirst, 4}};
  w.loop.RunFor(milliseconds(1'000));
  EXPECT_EQ(w.tended, 11);
  EXPECT_EQ(w.saves, 1);
  w.Answer(std::vector<TopicPartition>{});
  EXPECT_EQ(w.saves, 1) << "not before the interval";
  w.loop.RunFor(milliseconds(100));
  EXPECT_EQ(w.saves, 2);
  w.Answer(std::vector<TopicPartition>{});
  EXPECT_EQ(w.consumer.TakeCommits(), (std::vector<Commits>{{{kFirst, 3}}, {{kFirst, 4}}}));
}

TEST(CheckpointLoop, WhoAsksWhileASaveIsUnderWayIsToldAfterTheNext) {
  World w;
  w.changed = {{kFirst, 3}};
  std::vector<int> told;
  w.checkpoints->Save([&] { told.push_back(1); });
  w.changed = {{kFirst, 4}};
  w.checkpoints->Save([&] { told.push_back(2); });
  w.checkpoints->Save([&] { told.push_back(3); });
  EXPECT_EQ(w.saves, 1);
  w.Answer(std::vector<TopicPartition>{});
  EXPECT_EQ(w.saves, 2);
  EXPECT_EQ(told, (std::vector<int>{1})) << "the save that was answered does not hold 4";
  w.Answer(std::vector<TopicPartition>{});
  EXPECT_EQ(told, (std::vector<int>{1, 2, 3}));
  w.checkpoints->Save([&] { told.push_back(4); });
  EXPECT_EQ(told.size(), 4u) << "nothing is left to save";
}

TEST(CheckpointLoop, CommitsNothingThatIsNotDurableAndOurs) {
  World w;
  TopicPartition third{"t", 2};
  w.changed = {{kFirst, 3}, {kSecond, 5}, {third, 7}};
  w.let_go = third;
  w.checkpoints->Save([] {});
  w.Answer(std::vector<TopicPartition>{kFirst});
  EXPECT_EQ(w.TakeOutcomes(), (std::vector<std::pair<int64_t, Outcome>>{{3, Outcome::kFenced},
                                                                        {5, Outcome::kSaved}}));
  EXPECT_EQ(w.consumer.TakeCommits(), (std::vector<Commits>{{{kSecond, 5}}}));
}

TEST(CheckpointLoop, AFailureIsToldOfEachPartAndHoldsNobodyUp) {
  World w;
  w.changed = {{kFirst, 3}, {kSecond, 5}};
  bool told = false;
  w.checkpoints->Save([&] { told = true; });
  w.Answer(Error{Code::kUnavailable, "the database is away", true, {}});
  EXPECT_EQ(w.TakeOutcomes(), (std::vector<std::pair<int64_t, Outcome>>{{3, Outcome::kFailed},
                                                                        {5, Outcome::kFailed}}));
  EXPECT_TRUE(w.consumer.TakeCommits().empty());
  EXPECT_TRUE(told);
}

TEST(CheckpointLoop, SavesSoonOnceAndNotInsideTheCall) {
  World w;
  w.changed = {{kFirst, 3}};
  w.checkpoints->SaveSoon();
  w.checkpoints->SaveSoon();
  EXPECT_EQ(w.saves, 0);
  w.loop.RunReady();
  EXPECT_EQ(w.saves, 1);
  w.changed = {{kFirst, 4}};
  w.checkpoints->SaveSoon();
  w.loop.RunReady();
  EXPECT_EQ(w.saves, 1);
  w.Answer(std::vector<TopicPartition>{});
  EXPECT_EQ(w.saves, 2) << "it does not wait for the interval";
}

TEST(CheckpointLoop, AfterStopSavesWhenToldToOnly) {
  World w;
  w.checkpoints->Start();
  w.checkpoints->Stop();
  w.changed = {{kFirst, 3}};
  w.loop.RunFor(milliseconds(1'000));
  EXPECT_EQ(w.tended, 1);
  EXPECT_EQ(w.saves, 0);
  w.checkpoints->Save([] {});
  EXPECT_EQ(w.saves, 1);
}

TEST(CheckpointLoop, EndsWithASaveUnderWay) {
  World w;
  w.changed = {{kFirst, 3}};
  bool told = false;
  w.checkpoints->Save([&] { told = true; });
  w.checkpoints->SaveSoon();
  w.checkpoints.reset();
  w.Answer(std::vector<TopicPartition>{});
  w.loop.RunFor(milliseconds(1'000));
  EXPECT_FALSE(told);
  EXPECT_TRUE(w.outcomes.empty());
  EXPECT_TRUE(w.consumer.TakeCommits().empty());
}

}  // namespace
}  // namespace dispatch::checkpoint_loop_test
