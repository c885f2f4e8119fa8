#pragma once

#include <memory>
#include <vector>

#include "common/pg/pool.h"
#include "event-manager/src/domain/match_store.h"

namespace dispatch {

/// MatchStore over the tables `checkpoints` and `cursors`.
class PgMatchStore : public MatchStore {
 public:
  explicit PgMatchStore(pg::Pool& pool) : pool_(pool) {}

  void Claim(std::vector<PartitionId> partitions,
             std::function<void(Result<std::vector<PartitionState>>)> done) override;
  void Save(std::vector<PartitionSave> saves,
            std::function<void(Result<std::vector<PartitionId>>)> done) override;
  void ReadMatched(std::vector<Uuid> topics,
                   std::function<void(Result<std::vector<PartitionMatched>>)> done) override;

 private:
  pg::Pool& pool_;
};

}  // namespace dispatch
