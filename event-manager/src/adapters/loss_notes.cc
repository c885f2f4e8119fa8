#include "event-manager/src/adapters/loss_notes.h"

#include <algorithm>

#include "broker-adapters/entities/entity_store.h"
#include "common/log.h"
#include "event-manager/src/domain/loss_reason.h"

namespace dispatch {

namespace {

// What comes together is written together.
constexpr Duration kGather = std::chrono::milliseconds(200);
constexpr Duration kRetry = std::chrono::seconds(1);

}  // namespace

LossNotes::~LossNotes() { loop_.Cancel(timer_); }

void LossNotes::Note(const schema::Subscription& subscription, const PartitionId& partition,
                     int64_t lost) {
  Loss& loss = waiting_[subscription.uuid];
  loss.org = subscription.org;
  loss.name = subscription.name;
  int64_t& count = loss.lost[partition.partition];
  count = std::max(count, lost);
  if (timer_ == kNoTimer && !writing_) Arm(kGather);
}

void LossNotes::Arm(Duration delay) {
  timer_ = loop_.After(delay, [this] {
    timer_ = kNoTimer;
    Write();
  });
}

void LossNotes::Write() {
  writing_ = true;
  auto losses = std::make_shared<std::map<Uuid, Loss>>(std::exchange(waiting_, {}));
  pool_.Run(
      [losses, now = loop_.Now()](pg::Transaction& tx) -> Status {
        EntityStore store(tx);
        for (const auto& [uuid, loss] : *losses) {
          auto stored = store.Lock(schema::kSubscriptionKind, loss.org, loss.name);
          if (!stored.ok() && stored.code() == Code::kNotFound) continue;
          RETURN_IF_ERROR(stored);
          bool same = stored->uuid == uuid;
          if (same && NoteLoss(stored->document, loss.lost, now)) {
            RETURN_IF_ERROR(store.Update(*stored, std::nullopt));
          }
        }
        return {};
      },
      [this, alive = std::weak_ptr(alive_), losses](const Status& status) {
        if (alive.expired()) return;
        writing_ = false;
        if (status.ok()) {
          committed_();
        } else {
          log::Warning("cannot note what retention took error=\"{}\"", status.message());
          for (auto& [uuid, loss] : *losses) {
            Loss& again = waiting_[uuid];
            again.org = loss.org;
            again.name = loss.name;
            for (const auto& [partition, count] : loss.lost) {
              again.lost[partition] = std::max(again.lost[partition], count);
            }
          }
        }
        if (!waiting_.empty()) Arm(status.ok() ? kGather : kRetry);
      });
}

}  // namespace dispatch
