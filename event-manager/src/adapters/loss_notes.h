#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "common/clock.h"
#include "common/pg/pool.h"
#include "event-manager/src/domain/match_store.h"
#include "schema/objects.h"

namespace dispatch {

/// Writes into a subscription's `reason` what retention took before it was read for it, so that who
/// looks at the subscription is told; an update or a rewind clears it. Told the same twice it does
/// nothing: every owner of a partition tells again what it finds. Tries until it is written. One
/// owner.
class LossNotes {
 public:
  LossNotes(Loop& loop, pg::Pool& pool, std::function<void()> committed)
      : loop_(loop), pool_(pool), committed_(std::move(committed)) {}
  ~LossNotes();

  /// `lost`: offsets in all, of the subscription in the partition.
  void Note(const schema::Subscription& subscription, const PartitionId& partition, int64_t lost);

 private:
  struct Loss {
    std::string org;
    std::string name;
    std::map<int32_t, int64_t> lost;  // by partition
  };

  void Arm(Duration delay);
  void Write();

  Loop& loop_;
  pg::Pool& pool_;
  std::function<void()> committed_;
  std::map<Uuid, Loss> waiting_;
  bool writing_ = false;
  TimerId timer_ = kNoTimer;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
