#pragma once

#include <vector>

#include "common/pg/pool.h"
#include "function-manager/src/domain/invoke_store.h"

namespace dispatch {

/// InvokeStore over the tables `checkpoints`, `retries` and `trials`, and the redrives of dead
/// letters.
class PgInvokeStore : public InvokeStore {
 public:
  explicit PgInvokeStore(pg::Pool& pool) : pool_(pool) {}

  void Claim(std::vector<int32_t> partitions,
             std::function<void(Result<std::vector<InvokeClaim>>)> done) override;
  void Lived(std::vector<Epoch> lost, std::function<void(Status)> done) override;
  void Save(std::vector<InvokeSave> saves, std::function<void(Result<SaveResult>)> done) override;
  void LoadDue(int32_t partition, int64_t from_ms, int64_t until_ms, Room room,
               std::function<void(Result<Due>)> done) override;
  void LoadStale(int32_t partition, const Uuid& subscription, int32_t generation, size_t limit,
                 std::function<void(Result<std::vector<RetryRow>>)> done) override;
  void LoadChosen(std::vector<int32_t> partitions, int64_t now_ms,
                  std::function<void(Result<Chosen>)> done) override;
  void NoteTrial(std::optional<TrialNote> begin,
                 std::vector<std::pair<int32_t, schema::DeliveryId>> survived,
                 std::function<void(Status)> done) override;
  void LoadKeys(int32_t partition, std::vector<KeyFrom> keys, size_t each, size_t bytes,
                std::function<void(Result<OfKeys>)> done) override;

 private:
  pg::Pool& pool_;
};

}  // namespace dispatch
