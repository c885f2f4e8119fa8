#include "event-manager/src/domain/match_index.h"

namespace dispatch {

Result<std::shared_ptr<const CompiledSubscription>> CompiledSubscription::Compile(
    schema::Subscription s) {
  auto filter = Filter::ParseAll(s.filters);
  if (!filter.ok()) return filter.error();
  auto compiled = std::make_shared<CompiledSubscription>();
  if (!s.filter_boundaries.empty()) {
    auto old = Filter::ParseAll(s.previous_filters);
    if (!old.ok()) return old.error();
    auto previous = std::make_shared<CompiledSubscription>();
    previous->subscription = s;
    previous->subscription.event_type = s.previous_event_type;
    previous->filter = std::move(*old);
    previous->is_previous = true;
    compiled->previous = std::move(previous);
  }
  compiled->subscription = std::move(s);
  compiled->filter = std::move(*filter);
  return std::shared_ptr<const CompiledSubscription>(std::move(compiled));
}

const std::string* MatchIndex::TypeOf(const CompiledSubscription& entry) {
  if (!entry.subscription.event_type.empty()) return &entry.subscription.event_type;
  return entry.filter.RequiredType();
}

void MatchIndex::Put(Entry entry) {
  Remove(entry->subscription.uuid);
  Insert(entry.get());
  if (entry->previous != nullptr) Insert(entry->previous.get());
  Uuid id = entry->subscription.uuid;
  all_.emplace(id, std::move(entry));
}

void MatchIndex::Insert(const CompiledSubscription* entry) {
  const std::string* type = TypeOf(*entry);
  (type != nullptr ? by_type_[*type] : any_type_).push_back(entry);
}

void MatchIndex::Erase(const CompiledSubscription* entry) {
  const std::string* type = TypeOf(*entry);
  if (type == nullptr) {
    std::erase(any_type_, entry);
    return;
  }
  auto bucket = by_type_.find(*type);
  std::erase(bucket->second, entry);
  if (bucket->second.empty()) by_type_.erase(bucket);
}

void MatchIndex::Remove(const Uuid& subscription) {
  auto it = all_.find(subscription);
  if (it == all_.end()) return;
  Erase(it->second.get());
  if (it->second->previous != nullptr) Erase(it->second->previous.get());
  all_.erase(it);
}

const MatchIndex::Entry* MatchIndex::Find(const Uuid& subscription) const {
  auto it = all_.find(subscription);
  return it == all_.end() ? nullptr : &it->second;
}

void MatchIndex::Match(const cloudevents::Event& event,
                       std::vector<const CompiledSubscription*>* out) const {
  if (const std::string* type = event.Find("type")) {
    if (auto it = by_type_.find(*type); it != by_type_.end()) {
      for (const auto* entry : it->second) {
        if (entry->filter.Matches(event)) out->push_back(entry);
      }
    }
  }
  for (const auto* entry : any_type_) {
    if (entry->filter.Matches(event)) out->push_back(entry);
  }
}

}  // namespace dispatch
