#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker-adapters/broker.h"
#include "broker-adapters/offset_tracker.h"
#include "function-manager/src/domain/delivery.h"
#include "function-manager/src/domain/intake.h"
#include "function-manager/src/domain/invoke_store.h"
#include "function-manager/src/domain/key_order.h"
#include "function-manager/src/domain/waiting_rows.h"

namespace dispatch {

/// The books of one owned partition of `dispatch.invocations`: which records are complete, which of
/// their targets are settled, the counters of each subscription, and what changes in the retry
/// store with the next checkpoint. All of it is saved in one transaction, so a delivery is always
/// pending in exactly one place. Knows nothing of sending. One owner; lives as long as the
/// assignment.
class InvocationPartition : public std::enable_shared_from_this<InvocationPartition> {
 public:
  enum class Outcome { kDelivered, kDeadLettered, kCancelled };

  /// `claimed_ms`: after an unclean start, what is older may have been under way.
  InvocationPartition(InvokeClaim claim, OffsetTracker::Limits limits, int64_t claimed_ms = 0);

  int32_t partition() const { return partition_; }
  int64_t epoch() const { return epoch_; }
  int64_t position() const { return tracker_.Position(); }
  const OffsetTracker& tracker() const { return tracker_; }

  /// Takes a record in and answers the deliveries that it brings: not repeats, not settled before.
  std::vector<DeliveryPtr> TakeIn(const broker::Record& record, schema::Invocation invocation,
                                  int64_t now_ms);
  /// A record without deliveries (a bad one) is done with.
  void Skip(const broker::Record& record);

  /// Takes a row of the retry store into memory; null when it is there already or changed
  /// meanwhile.
  DeliveryPtr TakeRow(RetryRow row);

  /// The delivery is terminal: counts it, completes its part of the record, deletes its row. The
  /// caller holds a DeliveryPtr: the partition lets go of its own.
  void Settle(Delivery& delivery, Outcome outcome);
  /// Puts the delivery into the retry store with the next checkpoint, due at `due_ms`, and
  /// completes its part of the record. `keep`: it stays in memory (an attempt is under way).
  void Spill(Delivery& delivery, int64_t due_ms, bool keep);
  /// The delivery of a dead letter is pending again, as `row`, which is in the retry store with the
  /// next checkpoint; with a key in its place there.
  void Return(const ChosenLetter& letter, RetryRow row);
  /// The letter of that row was not chosen any more: the save that had it did nothing.
  void ReturnFailed(const schema::DeliveryId& row);
  /// Returns that are not durable yet.
  bool returning() const { return !returns_.empty(); }
  /// Identities in memory, or changed in the retry store and not durable.
  std::set<schema::DeliveryId> Known() const;

  /// Lets go of a row in memory that is unchanged in the retry store.
  void Drop(Delivery& delivery);

  bool dirty() const { return dirty_; }
  void MarkDirty() { dirty_ = true; }
  InvokeSave Snapshot();
  /// The last snapshot is durable: answers the earliest due time of rows that left memory with it,
  /// if any did.
  std::optional<int64_t> Saved();
  /// A fresh row of the last snapshot was there already: the two copies are one delivery. Call
  /// before Saved.
  void Merged(const schema::DeliveryId& id);
  void SaveFailed();

  struct Pending {
    int64_t queued = 0;
    int64_t in_flight = 0;
    int64_t retrying = 0;
    int64_t scheduled = 0;  // before their time
    int64_t oldest_ms = 0;  // since when the oldest of the others waits; 0: none
    int64_t total() const { return queued + in_flight + retrying + scheduled; }
  };
  struct Account {
    schema::DeliveryCounters counters;
    WaitingRows rows;      // in the retry store, as of the next checkpoint
    int64_t taken_ms = 0;  // when something came for it last
    std::string last_failure;
    int64_t failing_since_ms = 0;  // 0: the last attempt went well
    int64_t last_success_ms = 0;
    bool changed = false;
    int64_t told = 0;  // settled, as progress told last
    int64_t untold() const { return counters.settled() - told; }
  };
  std::unordered_map<Uuid, Account>& accounts() { return accounts_; }
  /// Lets time pass for what is scheduled: call before CountPending, with what it is to count at.
  void Advance(int64_t now_ms);
  /// Counts what is pending of every subscription from the deliveries themselves.
  std::unordered_map<Uuid, Pending> CountPending() const;
  /// Everything in memory.
  const std::list<DeliveryPtr>& deliveries() const { return deliveries_; }
  size_t unsaved_rows() const { return changes_.size() + saving_.size(); }
  int64_t rows() const { return rows_; }
  size_t rows_in_memory() const { return with_row_.size(); }
  size_t row_bytes() const { return row_bytes_; }  // of their events

  KeyOrder& order() { return order_; }
  /// True once every `interval`, and whenever some delivery is held.
  bool TendNow(SteadyTime now, Duration interval) {
    if (!order_.any_held() && now - tended_ < interval) return false;
    tended_ = now;
    return true;
  }
  /// All that was taken in before the claim, and was not settled, has been read again.
  bool reread() const { return tracker_.next() >= reread_until_; }
  /// How often a delivery ended the process while it ran alone.
  int32_t CrashesOf(const schema::DeliveryId& id) const;
  /// It ran alone, and did not.
  void Survived(const schema::DeliveryId& id) { crashes_.erase(id); }
  /// Retention took what we were to read again.
  void PositionLost() { reread_until_ = 0; }

  // The wheel's view of the shard.
  void BeginLoad() { touched_.clear(); }
  bool active(const schema::DeliveryId& id) const;
  /// A row of the key was written after the last BeginLoad, or is yet to be.
  bool unsettled(const Uuid& subscription, const std::string& key) const;
  Intake& intake() { return intake_; }

  /// What came of an attempt of the subscription; `failure` is empty when it went well.
  void Attempted(const Uuid& subscription, std::string failure, int64_t now_ms);

 private:
  struct RecordState {
    std::vector<bool> settled;
    size_t left = 0;
  };
  using Change = std::optional<RetryRow>;  // nothing: the row is deleted

  void KeepWithRow(const DeliveryPtr& delivery);
  void ForgetWithRow(const schema::DeliveryId& id);
  void Insert(const DeliveryPtr& delivery);
  void Erase(Delivery& delivery);
  void CompletePart(Delivery& delivery);
  bool StillFresh(const schema::DeliveryId& id) const;
  void ChangeRow(const schema::DeliveryId& id, Change change);
  void RemoveRow(Account& account, const schema::DeliveryId& id);

  int32_t partition_;
  int64_t epoch_;
  OffsetTracker tracker_;
  int64_t taken_in_;
  int64_t reread_until_;
  int64_t suspect_before_ms_ = 0;
  std::map<schema::DeliveryId, int32_t> crashes_;
  std::vector<schema::DeliveryId> tried_;  // settled ones of them
  size_t tried_saving_ = 0;
  SteadyTime tended_{};
  KeyOrder order_;
  Intake intake_;
  std::unordered_map<int64_t, RecordState> records_;
  std::set<int64_t> partials_;  // records of which some targets are settled
  std::map<int64_t, std::string> restored_partials_;
  std::unordered_map<Uuid, Account> accounts_;
  std::list<DeliveryPtr> deliveries_;  // in the order in which they came
  std::map<schema::DeliveryId, DeliveryPtr> with_row_;
  size_t row_bytes_ = 0;
  int64_t rows_ = 0;
  std::map<schema::DeliveryId, Change> changes_;
  std::map<schema::DeliveryId, Change> saving_;
  std::map<schema::DeliveryId, InvokeSave::Return> returns_;  // by row; in changes_ or saving_ too
  // Changed or saved since the last BeginLoad, with the keys of what was written.
  std::map<schema::DeliveryId, std::optional<std::string>> touched_;
  bool dirty_ = false;
};

}  // namespace dispatch
