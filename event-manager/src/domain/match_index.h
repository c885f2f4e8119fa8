#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/result.h"
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
    return (offset < subscription.FilterBoundary(partition)) == is_previous;
  }

  /// kUnprocessable when a filter does not compile.
  static Result<std::shared_ptr<const CompiledSubscription>> Compile(schema::Subscription s);
};

/// The subscriptions of one topic, arranged so that an event is held against those that may match:
/// one hash look-up for exact types, and a list of the rest. One owner.
class MatchIndex {
 public:
  using Entry = std::shared_ptr<const CompiledSubscription>;

  void Put(Entry entry);
  void Remove(const Uuid& subscription);
  const Entry* Find(const Uuid& subscription) const;
  size_t size() const { return all_.size(); }
  const std::unordered_map<Uuid, Entry>& all() const { return all_; }

  /// Appends every subscription whose type and filters hold.
  void Match(const cloudevents::Event& event, std::vector<const CompiledSubscription*>* out) const;

 private:
  static const std::string* TypeOf(const CompiledSubscription& entry);
  void Insert(const CompiledSubscription* entry);
  void Erase(const CompiledSubscription* entry);

  std::unordered_map<Uuid, Entry> all_;
  std::unordered_map<std::string, std::vector<const CompiledSubscription*>> by_type_;
  std::vector<const CompiledSubscription*> any_type_;
};

}  // namespace dispatch
