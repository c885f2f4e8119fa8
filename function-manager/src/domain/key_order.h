#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "function-manager/src/domain/delivery.h"
#include "schema/messages.h"

namespace dispatch {

/// When a row of the retry store is due that waits behind another of its key: never by itself.
inline constexpr int64_t kNeverDue = std::numeric_limits<int64_t>::max();

/// The queues of `ordering: key` in one invocations partition: of each (subscription, partition
/// key) one delivery goes at a time, in the order of their records. What a queue cannot hold, and
/// all that waits behind a delivery in the retry store, is in the retry store too; those rows come
/// back lowest first, and nothing passes them. Only the first row of a key has a time when it is
/// due. Knows where deliveries are, not what happens to them. Pure; one owner.
class KeyOrder {
 public:
  struct Limits {
    size_t deliveries = 1'000;  // of a key in memory
    size_t bytes = 8 * 1024 * 1024;
  };
  struct Key {
    Uuid subscription;
    std::string key;
    bool operator==(const Key&) const = default;
  };

  KeyOrder() : KeyOrder(Limits{}) {}
  explicit KeyOrder(Limits limits) : limits_(limits) {}

  /// The first row of a key, as far as people want to know of it.
  struct Head {
    int64_t due_ms = kNeverDue;
    int64_t since_ms = 0;  // its first attempt
    int32_t attempts = 0;
    int32_t last_status = 0;
    std::string last_error;
    int32_t source_partition = 0;
    int64_t source_offset = 0;
  };
  /// At a claim: a key has rows in the retry store.
  void Restore(const Key& key, int64_t rows, int64_t first_sequence, Head first);

  enum class Place {
    kGo,     // it is first: its turn
    kWait,   // behind others in memory
    kSpill,  // behind rows, or one too many: it belongs into the retry store
  };
  /// A delivery came, from the log or (has_row) from the retry store, and is in memory from now on
  /// unless the answer is kSpill.
  Place Enter(const DeliveryPtr& delivery);
  /// The same for rows that were asked for, lowest first.
  void Loaded(const DeliveryPtr& delivery);
  /// It would be kSpill, but the retry store takes no more: it waits in memory.
  void Keep(const DeliveryPtr& delivery);
  /// It is a row now, and not in memory. `due_ms` is not kNeverDue when it is the first; not with
  /// RowsBefore.
  void Spilled(const Delivery& delivery, int64_t due_ms);
  /// A row came into the retry store out of turn, without a time, and no later one has a time any
  /// more: it goes before what is behind its place.
  void Returned(const Key& key, int64_t sequence);
  /// That did not happen after all.
  void NotReturned(const Key& key, int64_t sequence);
  /// Rows that came out of turn are to go before it.
  bool RowsBefore(const Delivery& delivery) const;
  /// It is settled.
  void Left(const Delivery& delivery);
  /// Whose turn it is now, if that is known and nobody of the key is on the way.
  DeliveryPtr Next(const Key& key);
  /// Those of a key that wait in memory, in order.
  std::vector<DeliveryPtr> Followers(const Key& key) const;

  /// Keys whose next delivery is a row that only we can ask for, with the lowest sequence that it
  /// can have; at most `limit`.
  std::vector<std::pair<Key, int64_t>> Wanting(size_t limit) const;
  /// Asked for, and the store has no rows of the key any more.
  void NoRows(const Key& key);

  /// Deliveries of a subscription that nobody knows yet, so that later ones do not pass them.
  void Hold(const Uuid& subscription) { ++held_[subscription]; }
  void Release(const Uuid& subscription);
  bool any_held() const { return !held_.empty(); }
  bool held(const Uuid& subscription) const { return held_.contains(subscription); }

  /// By subscription the keys whose first delivery failed, or is under way for longer than
  /// kNoAnswer, and others wait behind it. Looks at every key.
  std::unordered_map<Uuid, schema::Blocked> Blocking(SteadyTime now) const;
  static constexpr Duration kNoAnswer = std::chrono::seconds(5);

  size_t keys() const { return queues_.size(); }
  /// Keys with rows in the retry store.
  size_t blocked() const { return blocked_; }

  static Key KeyOf(const Delivery& delivery) { return {delivery.id.subscription, *delivery.key}; }

 private:
  struct Hash {
    size_t operator()(const Key& key) const {
      return std::hash<Uuid>()(key.subscription) ^ std::hash<std::string>()(key.key);
    }
  };
  struct Queue {
    std::map<int64_t, DeliveryPtr> memory;  // by sequence
    size_t bytes = 0;
    int64_t rows = 0;       // in the retry store and not in memory
    int64_t rows_from = 0;  // none of them is before, but those that came out of turn
    std::set<int64_t> returned;
    /// The first of them comes by itself; null: it does not.
    std::unique_ptr<const Head> due;
    int64_t going = -1;  // the sequence of the one whose turn it is
  };
  using Queues = std::unordered_map<Key, Queue, Hash>;

  void Insert(Queue& queue, const DeliveryPtr& delivery);
  void Erase(Queue& queue, const Delivery& delivery);
  void SetRows(Queue& queue, int64_t rows);
  static int64_t RowsFrom(const Queue& queue);
  static std::optional<schema::BlockingKey> FirstOf(const Queue& queue, SteadyTime now);

  Limits limits_;
  Queues queues_;
  size_t blocked_ = 0;
  std::unordered_set<Key, Hash> wanting_;
  std::unordered_map<Uuid, int32_t> held_;
};

}  // namespace dispatch
