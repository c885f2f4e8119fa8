#include "event-manager/src/domain/match_index.h"

#include <utility>

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

bool CompiledSubscription::Matches(const EventView& event, cesql::ErrorSet* errors) const {
  if (!subscription.event_type.empty()) {
    const std::string* type = event.Attribute("type");
    if (type == nullptr || *type != subscription.event_type) return false;
  }
  return filter.Matches(event, errors);
}

Covers CompiledSubscription::Covers() const {
  dispatch::Covers covers = filter.Covers();
  if (subscription.event_type.empty()) return covers;
  dispatch::Covers type = {{{AccessKey::Kind::kExact, "type", subscription.event_type}}};
  return CoversOfAll({std::move(type), std::move(covers)});
}

void MatchIndex::Put(Entry entry) {
  Remove(entry->subscription.uuid);
  Insert(entry.get());
  if (entry->previous != nullptr) Insert(entry->previous.get());
  Uuid id = entry->subscription.uuid;
  all_.emplace(id, std::move(entry));
}

const Cover* MatchIndex::ChooseCover(const Covers& covers) const {
  // A value has many parts: one that is exact tells more, and data must be parsed.
  constexpr size_t kInexact = 4;
  const Cover* best = nullptr;
  size_t least = 0;
  for (const auto& cover : covers) {
    size_t cost = 0;
    for (const auto& key : cover) {
      size_t weight = key.kind == AccessKey::Kind::kExact ? 1 : kInexact;
      cost += (table_.Count(key) + 1) * weight;
    }
    if (best == nullptr || cost < least) {
      best = &cover;
      least = cost;
    }
  }
  return best;
}

void MatchIndex::Insert(const CompiledSubscription* entry) {
  auto placed = std::make_unique<Placed>();
  placed->entry = entry;
  Covers covers = entry->Covers();
  if (const Cover* cover = ChooseCover(covers)) placed->cover = *cover;
  for (const auto& key : placed->cover) table_.Insert(key, placed.get());
  if (placed->cover.empty()) rest_.push_back(placed.get());
  placed_.emplace(entry, std::move(placed));
}

void MatchIndex::Erase(const CompiledSubscription* entry) {
  auto it = placed_.find(entry);
  const Placed* placed = it->second.get();
  for (const auto& key : placed->cover) table_.Erase(key, placed);
  if (placed->cover.empty()) std::erase(rest_, placed);
  placed_.erase(it);
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

size_t MatchIndex::Match(const cloudevents::Event& event,
                         std::vector<const CompiledSubscription*>* out,
                         std::vector<Fault>* faults) const {
  EventView view(event);
  size_t looked_at = 0;
  ++lookups_;
  auto hold = [&](const std::vector<const Placed*>& candidates) {
    for (const Placed* placed : candidates) {
      if (placed->cover.size() > 1) {
        if (placed->seen == lookups_) continue;
        placed->seen = lookups_;
      }
      ++looked_at;
      cesql::ErrorSet errors;
      if (placed->entry->Matches(view, &errors)) out->push_back(placed->entry);
      if (faults != nullptr && !errors.empty()) faults->push_back({placed->entry, errors});
    }
  };
  table_.Lookup(view, hold);
  hold(rest_);
  return looked_at;
}

}  // namespace dispatch
