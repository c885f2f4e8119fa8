#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/result.h"
#include "event-manager/src/domain/access_table.h"
#include "event-manager/src/domain/filter.h"
#include "schema/cloudevents.h"
#include "schema/objects.h"

namespace dispatch {

/// A subscription with its filters compiled, as matching needs it.
struct CompiledSubscription {
  schema::Subscription subscription;
  Filter filter;
  /// With the type and filters before their last change, for the offsets below the boundary of
  /// that.
  std::shared_ptr<const CompiledSubscription> previous;
  bool is_previous = false;

  /// Whether this form of the subscription is the one for an offset.
  bool Serves(int32_t partition, int64_t offset) const {
    return (offset < subscription.FilterBoundary(partition)) == is_previous &&
           offset < subscription.End(partition);
  }

  /// Whether the type and the filters hold.
  bool Matches(const EventView& event, cesql::ErrorSet* errors = nullptr) const;
  /// Of the type and the filters.
  dispatch::Covers Covers() const;

  /// kUnprocessable when a filter does not compile.
  static Result<std::shared_ptr<const CompiledSubscription>> Compile(schema::Subscription s);
};

/// The subscriptions of one topic, arranged so that an event is held against those that may match:
/// each is found by what events must have that it can match, under the cover that finds the fewest
/// others; those without a cover are held against every event. One owner.
class MatchIndex {
 public:
  using Entry = std::shared_ptr<const CompiledSubscription>;

  void Put(Entry entry);
  void Remove(const Uuid& subscription);
  const Entry* Find(const Uuid& subscription) const;
  size_t size() const { return all_.size(); }
  const std::unordered_map<Uuid, Entry>& all() const { return all_; }

  /// A subscription whose filters were evaluated with an error.
  struct Fault {
    const CompiledSubscription* subscription;
    cesql::ErrorSet errors;
  };

  /// Appends every subscription whose type and filters hold, each once, and to `faults`, if given,
  /// those whose CESQL ended with an error; what could not match, by the index, was not evaluated.
  /// Returns how many it had to look at.
  size_t Match(const cloudevents::Event& event, std::vector<const CompiledSubscription*>* out,
               std::vector<Fault>* faults = nullptr) const;

 private:
  struct Placed {
    const CompiledSubscription* entry;
    Cover cover;                // empty: in rest_
    mutable uint64_t seen = 0;  // the look-up that met it last, when it has several keys
  };

  const Cover* ChooseCover(const Covers& covers) const;
  void Insert(const CompiledSubscription* entry);
  void Erase(const CompiledSubscription* entry);

  std::unordered_map<Uuid, Entry> all_;
  std::unordered_map<const CompiledSubscription*, std::unique_ptr<Placed>> placed_;
  AccessTable<const Placed*> table_;
  std::vector<const Placed*> rest_;
  mutable uint64_t lookups_ = 0;
};

}  // namespace dispatch
