#include "broker-adapters/memory/group.h"

#include <algorithm>

#include "broker-adapters/memory/cluster.h"

namespace dispatch::broker::memory {

Group::MemberId Group::Join(const std::string& client, const std::string& instance,
                            std::set<std::string> topics, std::function<void()> nudge) {
  if (!instance.empty()) {  // static membership: the newcomer takes the place at once
    for (auto& [other, member] : members_) {
      if (member.instance != instance) continue;
      Expel(other);
      break;
    }
  }
  MemberId id = next_id_++;
  Member& member = members_[id];
  member.client = client;
  member.instance = instance;
  member.topics = std::move(topics);
  member.nudge = std::move(nudge);
  member.joined = cluster_.loop.Steady();
  Watch(id, member);
  Retarget();
  return id;
}

bool Group::HasInstance(const std::string& instance) const {
  return std::any_of(members_.begin(), members_.end(),
                     [&](const auto& item) { return item.second.instance == instance; });
}

void Group::Subscribe(MemberId id, std::set<std::string> topics) {
  auto it = members_.find(id);
  if (it == members_.end()) return;
  it->second.topics = std::move(topics);
  Retarget();
}

void Group::Leave(MemberId id) {
  if (members_.contains(id)) Expel(id);
}

void Group::Crash(MemberId id) {
  auto it = members_.find(id);
  if (it == members_.end()) return;
  it->second.crashed = true;
  it->second.nudge = nullptr;
  Watch(id, it->second);
}

void Group::Sync(MemberId id, const std::set<TopicPartition>& owned, Partitions& revoke,
                 Partitions& assign) {
  Member& member = members_.at(id);
  bool freed = false;
  for (auto it = member.owned.begin(); it != member.owned.end();) {
    if (owned.contains(*it)) {
      ++it;
      continue;
    }
    owners_.erase(*it);
    it = member.owned.erase(it);
    freed = true;
  }
  if (freed) {
    FinishDraining();
    NudgeAll();
  }
  for (const TopicPartition& tp : member.owned) {
    if (!member.target.contains(tp)) revoke.push_back(tp);
  }
  if (!revoke.empty()) return;
  for (const TopicPartition& tp : member.target) {
    if (owners_.contains(tp)) continue;
    owners_[tp] = id;
    member.owned.insert(tp);
    assign.push_back(tp);
  }
}

// A healthy member's heartbeats come three a session.
Duration Group::BeatAge(const Member& member) const {
  Duration interval = std::max(cluster_.session_timeout / 3, Duration(1));
  return (cluster_.loop.Steady() - member.joined) % interval;
}

Duration Group::Age(MemberId id) const {
  auto it = members_.find(id);
  if (it == members_.end()) return Duration::max();
  const Member& member = it->second;
  return member.silent ? cluster_.loop.Steady() - member.last_beat : BeatAge(member);
}

// Starts or stops the session's end for a member that was silenced or came back.
void Group::Watch(MemberId id, Member& member) {
  bool silent = member.crashed || !cluster_.Reachable(member.client);
  if (silent && !member.silent) member.last_beat = cluster_.loop.Steady() - BeatAge(member);
  member.silent = silent;
  cluster_.loop.Cancel(member.expiry);
  member.expiry = kNoTimer;
  // While the coordinator is down nobody's session ends; it starts anew when it is back.
  if (!silent || cluster_.down) return;
  Duration left = member.last_beat + cluster_.session_timeout - cluster_.loop.Steady();
  if (left <= Duration::zero()) left = cluster_.session_timeout;
  member.expiry = cluster_.loop.After(left, [this, id, alive = std::weak_ptr(alive_)] {
    if (!alive.expired() && members_.contains(id)) Expel(id);
  });
}

void Group::ReachabilityChanged() {
  for (auto& [id, member] : members_) Watch(id, member);
}

void Group::Expel(MemberId id) {
  Member& member = members_.at(id);
  cluster_.loop.Cancel(member.expiry);
  auto nudge = std::move(member.nudge);
  for (const TopicPartition& tp : member.owned) owners_.erase(tp);
  members_.erase(id);
  FinishDraining();
  Retarget();
  if (nudge) nudge();
}

Group::Partitions Group::Subscribed() const {
  std::set<std::string> names;
  for (auto& [id, member] : members_) names.insert(member.topics.begin(), member.topics.end());
  Partitions all;
  for (const std::string& name : names) {
    const Topic* topic = cluster_.FindTopic(name);
    if (topic == nullptr) continue;
    for (size_t p = 0; p < topic->partitions.size(); ++p) {
      all.push_back({name, static_cast<int32_t>(p)});
    }
  }
  return all;
}

// Sticky and even: each member keeps what it has up to its share; the rest goes to those with
// least.
void Group::Retarget() {
  if (members_.empty()) return;
  Partitions all = Subscribed();
  size_t share = (all.size() + members_.size() - 1) / members_.size();
  std::map<TopicPartition, Member*> before;
  std::vector<Member*> order;
  for (auto& [id, member] : members_) {
    for (const TopicPartition& tp : member.target) before[tp] = &member;
    member.target.clear();
    order.push_back(&member);
  }
  if (draining_) return NudgeAll();
  std::rotate(order.begin(), order.begin() + static_cast<ptrdiff_t>(rotation_ % order.size()),
              order.end());
  Partitions open;
  size_t full_shares =
      all.size() % members_.size() == 0 ? members_.size() : all.size() % members_.size();
  for (const TopicPartition& tp : all) {
    auto it = before.find(tp);
    Member* keeper = it == before.end() ? nullptr : it->second;
    if (keeper != nullptr && keeper->topics.contains(tp.topic)) {
      // Only so many members may hold the larger share.
      size_t has = keeper->target.size();
      if (has + 1 < share || (has + 1 == share && full_shares > 0)) {
        if (has + 1 == share) --full_shares;
        keeper->target.insert(tp);
        continue;
      }
    }
    open.push_back(tp);
  }
  for (const TopicPartition& tp : open) {
    Member* least = nullptr;
    for (Member* member : order) {
      if (!member->topics.contains(tp.topic)) continue;
      if (least == nullptr || member->target.size() < least->target.size()) least = member;
    }
    if (least != nullptr) least->target.insert(tp);
  }
  NudgeAll();
}

void Group::FinishDraining() {
  if (!draining_ || !owners_.empty()) return;
  draining_ = false;
  Retarget();
}

void Group::Rebalance() {
  ++rotation_;
  draining_ = !owners_.empty();
  for (auto& [id, member] : members_) member.target.clear();
  Retarget();
}

void Group::NudgeAll() {
  for (auto& [id, member] : members_) {
    if (member.nudge) member.nudge();
  }
}

void Group::Commit(MemberId id, const TopicPartition& tp, int64_t offset) {
  auto it = owners_.find(tp);
  if (it != owners_.end() && it->second == id) committed_[tp] = offset;
}

GroupInfo Group::Describe() const {
  GroupInfo info;
  info.state = members_.empty() ? "empty" : "stable";
  for (const auto& [id, member] : members_) {
    info.members.push_back({member.client, {member.owned.begin(), member.owned.end()}});
  }
  return info;
}

std::vector<GroupOffset> Group::Offsets() const {
  std::vector<GroupOffset> offsets;
  for (const auto& [tp, offset] : committed_) offsets.push_back({tp, offset});
  return offsets;
}

int64_t Group::Committed(const TopicPartition& tp) const {
  auto it = committed_.find(tp);
  return it == committed_.end() ? -1 : it->second;
}

}  // namespace dispatch::broker::memory
