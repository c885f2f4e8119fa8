#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "function-manager/src/domain/key_order.h"
#include "schema/messages.h"

namespace dispatch {

/// A delivery that waits in the retry store: everything that another attempt needs.
struct RetryRow {
  schema::DeliveryId id;
  std::string org;
  std::string topic;
  int64_t source_timestamp_ms = 0;
  int32_t attempts = 0;  // made so far
  int64_t first_attempt_ms = 0;
  int64_t due_ms = 0;
  int32_t last_status = 0;
  std::string last_error;
  std::shared_ptr<const schema::EventData> event;
  int64_t sequence = 0;
  std::optional<std::string> key;  // ordered: behind those of this key with a lower sequence
  bool fresh = false;              // no row of this delivery is known
  int64_t deliver_at_ms = 0;       // its event's time, when it is to be delivered later
};

struct InvokeClaim {
  int32_t partition = 0;
  int64_t epoch = 0;  // ours, raised by the claim
  std::optional<int64_t> position;
  schema::InvokeCheckpoint checkpoint;
  /// Rows of one second: with the source timestamp of the first, or of events that are to be
  /// delivered later, with the first of their times.
  struct Waiting {
    Uuid subscription;
    int64_t rows = 0;
    int64_t first_ms = 0;
    bool delayed = false;
  };
  std::vector<Waiting> waiting;  // what the shard of the retry store holds
  struct Blocked {
    Uuid subscription;
    std::string key;
    int64_t rows = 0;
    int64_t first_sequence = 0;
    KeyOrder::Head first;
  };
  std::vector<Blocked> blocked;  // and of it, the keys
  /// The owner before us did not give the partition back; so many in a row did not.
  int32_t unclean_starts = 0;
  struct Trial {
    schema::DeliveryId id;
    int32_t crashes = 0;  // while it ran alone
  };
  std::vector<Trial> trials;
};

/// A dead letter that a redrive has chosen: its delivery is to be pending again.
struct ChosenLetter {
  int32_t partition = 0;  // whose books counted it
  schema::DeliveryId id;
  Uuid redrive;
  std::string org;
  std::string topic;
  int64_t source_timestamp_ms = 0;
  int64_t sequence = 0;
  std::shared_ptr<const schema::EventData> event;
};

/// What an owner saves of one partition: checkpoint and retry store in one transaction, so that
/// every delivery is pending in exactly one of them after any crash.
struct InvokeSave {
  int32_t partition = 0;
  int64_t epoch = 0;
  int64_t position = 0;
  schema::InvokeCheckpoint checkpoint;
  std::vector<RetryRow> upserts;
  std::vector<schema::DeliveryId> deletes;
  /// Dead letters that are pending again, in a row among `upserts`. The letter is removed with the
  /// same transaction; with an ordering key no later row of it keeps a time when it is due.
  struct Return {
    schema::DeliveryId letter;
    Uuid redrive;
    schema::DeliveryId row;
    std::optional<std::string> key;
    int64_t sequence = 0;
  };
  std::vector<Return> returns;
  bool clean = false;  // we give the partition back
  bool calm = false;   // we have had it for long enough that its starts count no more
  /// Settled ones that had crashed while they ran alone.
  std::vector<schema::DeliveryId> tried;
};

/// Durable state of invocations partitions; the retry store has one shard for each. Callbacks on
/// the owner's loop, never inside the call.
class InvokeStore {
 public:
  virtual ~InvokeStore() = default;
  virtual void Claim(std::vector<int32_t> partitions,
                     std::function<void(Result<std::vector<InvokeClaim>>)> done) = 0;
  struct Epoch {
    int32_t partition = 0;
    int64_t epoch = 0;
  };
  /// Others took these partitions from us, and what was under way did not end the process: for the
  /// owner after us that is no unclean start, nor one in a row if it has claimed already.
  virtual void Lived(std::vector<Epoch> lost, std::function<void(Status)> done) = 0;
  struct SaveResult {
    std::vector<int32_t> fenced;  // their epoch is not the newest any more: not saved
    /// Fresh rows that were there already, by partition: another copy of the delivery had one.
    std::vector<std::pair<int32_t, schema::DeliveryId>> merged;
    /// Rows of returns whose letters the redrive has not chosen any more, by partition. When there
    /// are any, nothing at all was saved.
    std::vector<std::pair<int32_t, schema::DeliveryId>> gone;
  };
  virtual void Save(std::vector<InvokeSave> saves,
                    std::function<void(Result<SaveResult>)> done) = 0;
  /// How much is loaded at once: rows, and bytes of their events; one row at least.
  struct Room {
    size_t rows = 0;
    size_t bytes = 0;
  };
  struct Due {
    std::vector<RetryRow> rows;
    bool all = true;  // those that were asked for; else some did not fit
  };
  /// Rows of a shard with from_ms <= due < until_ms, by due time.
  virtual void LoadDue(int32_t partition, int64_t from_ms, int64_t until_ms, Room room,
                       std::function<void(Result<Due>)> done) = 0;
  /// At most `limit` rows without a key of a subscription in a shard, of generations before
  /// `generation`, whenever they are due.
  virtual void LoadStale(int32_t partition, const Uuid& subscription, int32_t generation,
                         size_t limit, std::function<void(Result<std::vector<RetryRow>>)> done) = 0;
  struct Chosen {
    std::vector<ChosenLetter> letters;
    bool more = false;  // a redrive is under way: ask again soon
  };
  /// Chooses letters for the redrives, as their rates allow, and answers those chosen (by anyone)
  /// of the partitions whose deliveries are not in the retry store; a bounded number.
  virtual void LoadChosen(std::vector<int32_t> partitions, int64_t now_ms,
                          std::function<void(Result<Chosen>)> done) = 0;
  /// Notes that a delivery of the partition runs alone from now on (nothing: none does), with the
  /// crashes that it has if it ends us; and strikes out those that ran well, by partition.
  /// kConflict when the epoch is not the newest.
  struct TrialNote {
    int32_t partition = 0;
    int64_t epoch = 0;
    InvokeClaim::Trial trial;
  };
  virtual void NoteTrial(std::optional<TrialNote> begin,
                         std::vector<std::pair<int32_t, schema::DeliveryId>> survived,
                         std::function<void(Status)> done) = 0;
  struct KeyFrom {
    Uuid subscription;
    std::string key;
    int64_t sequence = 0;
  };
  struct OfKeys {
    std::vector<RetryRow> rows;
    size_t keys = 0;  // so many of those asked for are answered; the others did not fit
  };
  /// Of each key at most `each` rows from a sequence on, by sequence, whenever they are due; in all
  /// so many bytes of events, and one row at least.
  virtual void LoadKeys(int32_t partition, std::vector<KeyFrom> keys, size_t each, size_t bytes,
                        std::function<void(Result<OfKeys>)> done) = 0;
};

}  // namespace dispatch
