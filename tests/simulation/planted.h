#pragma once

#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "event-manager/src/domain/match_store.h"
#include "function-manager/src/domain/catalog.h"
#include "function-manager/src/domain/invoke_store.h"

/// Bugs that the checks of the simulation must find, or the checks are worth nothing. Each is what
/// somebody might really get wrong in a store or in what an instance believes.
namespace dispatch::simulation {

enum class Bug {
  kNone,
  // event-manager's store
  kMatchPositionAhead,  // a checkpoint passes an event that is not written yet
  kMatchCompletedLost,  // what was written beyond the position is forgotten
  kMatchCountersLost,   // a checkpoint has the counters of the one before
  kMatchCursorsLost,    // changed cursors are not saved
  kMatchZombieWrites,   // a checkpoint of an older epoch is taken
  // function-manager's store
  kInvokePositionAhead,  // a checkpoint passes a delivery that is not settled
  kInvokeMarksLost,      // repeats after a crash of event-manager are not known as such
  kInvokePartialsLost,   // which targets of a record are settled is forgotten
  kInvokeZombieWrites,   // a checkpoint of an older epoch is taken
  kRowLost,              // now and then a delivery is not put into the retry store
  kRowStays,             // a settled delivery stays in the retry store
  kRowNeverDue,          // a row is not found when it is due
  kRowsOutOfOrder,       // the rows of a key come latest first
  // what an instance of function-manager believes
  kOrderForgotten,    // that a subscription is not ordered
  kUnknownIsDeleted,  // that a subscription it has not heard of is gone
  kFailureIsSuccess,  // that an endpoint which answered 503 took the event
};

struct PlantedBug {
  Bug bug;
  const char* name;
};

/// All but kNone.
inline constexpr PlantedBug kPlantedBugs[] = {
    {Bug::kMatchPositionAhead, "MatchPositionAhead"},
    {Bug::kMatchCompletedLost, "MatchCompletedLost"},
    {Bug::kMatchCountersLost, "MatchCountersLost"},
    {Bug::kMatchCursorsLost, "MatchCursorsLost"},
    {Bug::kMatchZombieWrites, "MatchZombieWrites"},
    {Bug::kInvokePositionAhead, "InvokePositionAhead"},
    {Bug::kInvokeMarksLost, "InvokeMarksLost"},
    {Bug::kInvokePartialsLost, "InvokePartialsLost"},
    {Bug::kInvokeZombieWrites, "InvokeZombieWrites"},
    {Bug::kRowLost, "RowLost"},
    {Bug::kRowStays, "RowStays"},
    {Bug::kRowNeverDue, "RowNeverDue"},
    {Bug::kRowsOutOfOrder, "RowsOutOfOrder"},
    {Bug::kOrderForgotten, "OrderForgotten"},
    {Bug::kUnknownIsDeleted, "UnknownIsDeleted"},
    {Bug::kFailureIsSuccess, "FailureIsSuccess"},
};

/// A MatchStore with a bug before a sound one.
class PlantedMatchStore : public MatchStore {
 public:
  PlantedMatchStore(MatchStore& sound, Bug bug) : sound_(sound), bug_(bug) {}

  void Claim(std::vector<PartitionId> partitions,
             std::function<void(Result<std::vector<PartitionState>>)> done) override;
  void Save(std::vector<PartitionSave> saves,
            std::function<void(Result<std::vector<PartitionId>>)> done) override;
  void ReadMatched(std::vector<Uuid> topics,
                   std::function<void(Result<std::vector<PartitionMatched>>)> done) override {
    sound_.ReadMatched(std::move(topics), std::move(done));
  }

 private:
  MatchStore& sound_;
  const Bug bug_;
  std::map<PartitionId, int64_t> epochs_;
  std::map<PartitionId, std::vector<schema::MatchCheckpoint::Matched>> counters_;
};

/// An InvokeStore with a bug before a sound one.
class PlantedInvokeStore : public InvokeStore {
 public:
  PlantedInvokeStore(InvokeStore& sound, Bug bug) : sound_(sound), bug_(bug) {}

  void Claim(std::vector<int32_t> partitions,
             std::function<void(Result<std::vector<InvokeClaim>>)> done) override;
  void Save(std::vector<InvokeSave> saves, std::function<void(Result<SaveResult>)> done) override;
  void Lived(std::vector<Epoch> lost, std::function<void(Status)> done) override {
    sound_.Lived(std::move(lost), std::move(done));
  }
  void LoadDue(int32_t partition, int64_t from_ms, int64_t until_ms, Room room,
               std::function<void(Result<Due>)> done) override;
  void LoadStale(int32_t partition, const Uuid& subscription, int32_t generation, size_t limit,
                 std::function<void(Result<std::vector<RetryRow>>)> done) override {
    sound_.LoadStale(partition, subscription, generation, limit, std::move(done));
  }
  void LoadChosen(std::vector<int32_t> partitions, int64_t now_ms,
                  std::function<void(Result<Chosen>)> done) override {
    sound_.LoadChosen(std::move(partitions), now_ms, std::move(done));
  }
  void NoteTrial(std::optional<TrialNote> begin,
                 std::vector<std::pair<int32_t, schema::DeliveryId>> survived,
                 std::function<void(Status)> done) override {
    sound_.NoteTrial(std::move(begin), std::move(survived), std::move(done));
  }
  void LoadKeys(int32_t partition, std::vector<KeyFrom> keys, size_t each, size_t bytes,
                std::function<void(Result<OfKeys>)> done) override;

 private:
  InvokeStore& sound_;
  const Bug bug_;
  std::map<int32_t, int64_t> epochs_;
  int upserts_ = 0;
};

}  // namespace dispatch::simulation
