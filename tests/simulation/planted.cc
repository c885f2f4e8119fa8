#include "tests/simulation/planted.h"

#include <algorithm>

namespace dispatch::simulation {

void PlantedMatchStore::Claim(std::vector<PartitionId> partitions,
                              std::function<void(Result<std::vector<PartitionState>>)> done) {
  sound_.Claim(std::move(partitions),
               [this, done = std::move(done)](Result<std::vector<PartitionState>> states) {
                 if (states.ok()) {
                   for (const auto& state : *states) epochs_[state.id] = state.epoch;
                 }
                 done(std::move(states));
               });
}

void PlantedMatchStore::Save(std::vector<PartitionSave> saves,
                             std::function<void(Result<std::vector<PartitionId>>)> done) {
  for (auto& save : saves) {
    switch (bug_) {
      case Bug::kMatchPositionAhead:
        ++save.position;
        break;
      case Bug::kMatchCompletedLost:
        save.checkpoint.completed.clear();
        break;
      case Bug::kMatchCountersLost:
        std::swap(save.checkpoint.counters, counters_[save.id]);
        break;
      case Bug::kMatchCursorsLost:
        save.changed.clear();
        break;
      case Bug::kMatchZombieWrites:
        save.epoch = epochs_[save.id];
        break;
      default:
        break;
    }
  }
  sound_.Save(std::move(saves), std::move(done));
}

void PlantedInvokeStore::Claim(std::vector<int32_t> partitions,
                               std::function<void(Result<std::vector<InvokeClaim>>)> done) {
  sound_.Claim(std::move(partitions),
               [this, done = std::move(done)](Result<std::vector<InvokeClaim>> claims) {
                 if (claims.ok()) {
                   for (const auto& claim : *claims) epochs_[claim.partition] = claim.epoch;
                 }
                 done(std::move(claims));
               });
}

void PlantedInvokeStore::Save(std::vector<InvokeSave> saves,
                              std::function<void(Result<SaveResult>)> done) {
  for (auto& save : saves) {
    switch (bug_) {
      case Bug::kInvokePositionAhead:
        ++save.position;
        break;
      case Bug::kInvokeMarksLost:
        save.checkpoint.marks.clear();
        break;
      case Bug::kInvokePartialsLost:
        save.checkpoint.partials.clear();
        break;
      case Bug::kInvokeZombieWrites:
        save.epoch = epochs_[save.partition];
        break;
      case Bug::kRowLost:
        std::erase_if(save.upserts, [this](const auto&) { return ++upserts_ % 10 == 0; });
        break;
      case Bug::kRowStays:
        save.deletes.clear();
        break;
      default:
        break;
    }
  }
  sound_.Save(std::move(saves), std::move(done));
}

void PlantedInvokeStore::LoadDue(int32_t partition, int64_t from_ms, int64_t until_ms, Room room,
                                 std::function<void(Result<Due>)> done) {
  sound_.LoadDue(partition, from_ms, until_ms, room,
                 [this, done = std::move(done)](Result<Due> due) {
                   if (due.ok() && bug_ == Bug::kRowNeverDue) {
                     std::erase_if(due->rows, [](const auto& row) { return row.due_ms % 8 == 0; });
                   }
                   done(std::move(due));
                 });
}

void PlantedInvokeStore::LoadKeys(int32_t partition, std::vector<KeyFrom> keys, size_t each,
                                  size_t bytes, std::function<void(Result<OfKeys>)> done) {
  sound_.LoadKeys(partition, std::move(keys), each, bytes,
                  [this, done = std::move(done)](Result<OfKeys> of_keys) {
                    if (of_keys.ok() && bug_ == Bug::kRowsOutOfOrder) {
                      auto& rows = of_keys->rows;
                      std::vector<int64_t> sequences;
                      for (const auto& row : rows) sequences.push_back(row.sequence);
                      std::reverse(sequences.begin(), sequences.end());
                      for (size_t i = 0; i < rows.size(); ++i) rows[i].sequence = sequences[i];
                    }
                    done(std::move(of_keys));
                  });
}

}  // namespace dispatch::simulation
