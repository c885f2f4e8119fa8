// What must hold when all is quiet: the world's truth against what endpoints and databases have.
#include <fmt/format.h>

#include <algorithm>

#include "broker-adapters/topics.h"
#include "tests/simulation/world.h"

namespace dispatch::simulation {

bool World::Matches(const Sub& sub, const Position& position) const {
  const auto& s = sub.subscription;
  if (position.offset < s.Boundary(position.partition)) return false;
  if (position.offset >= s.End(position.partition)) return false;
  auto it = events_.find(position);
  return it != events_.end() && (s.event_type.empty() || s.event_type == it->second.type);
}

bool World::Due(const Sub& sub, const Position& position) {
  const auto& s = sub.subscription;
  return !s.paused || position.offset < s.PauseBoundary(position.partition);
}

std::vector<schema::DeadLetter> World::DeadLetters() const {
  std::vector<schema::DeadLetter> letters;
  for (int32_t p = 0; p < cluster_.Partitions(broker::kDeadLettersTopic); ++p) {
    for (const auto& record : cluster_.Log({broker::kDeadLettersTopic, p})) {
      auto letter = schema::Decode<schema::DeadLetter>(*record.value);
      if (letter.ok()) letters.push_back(std::move(*letter));
    }
  }
  return letters;
}

std::set<std::tuple<Uuid, int32_t, World::Position>> World::DeadLettered() const {
  std::set<std::tuple<Uuid, int32_t, Position>> dead;
  for (const auto& letter : DeadLetters()) {
    if (!letter.id.replay.is_nil()) continue;  // of a redrive
    dead.insert(
        {letter.id.subscription, letter.id.generation, {letter.id.partition, letter.id.offset}});
  }
  return dead;
}

int64_t World::Expected(const Sub& sub) const {
  return std::count_if(events_.begin(), events_.end(), [&](const auto& event) {
    return Matches(sub, event.first) && Due(sub, event.first);
  });
}

std::vector<std::string> World::Check() const {
  std::vector<std::string> faults;
  auto dead = DeadLettered();
  for (size_t i = 0; i < subs_.size(); ++i) {
    const Sub& sub = subs_[i];
    const auto& s = sub.subscription;
    int64_t expected = 0;
    int64_t taken = 0;  // by retention
    for (const auto& [position, event] : events_) {
      bool matches = Matches(sub, position);
      schema::DeliveryId id{topic_.uuid, position.partition, position.offset,
                            s.uuid,      s.generation,       Uuid{}};
      bool delivered = successes_.contains({i, id.WebhookId()});
      bool buried = dead.contains({s.uuid, s.generation, position});
      bool due = matches && Due(sub, position);
      if (due) ++expected;
      auto earliest = earliest_.find(position.partition);
      bool gone = earliest != earliest_.end() && position.offset < earliest->second;
      if (due && !delivered && !buried && gone) {
        ++taken;
      } else if (due && !delivered && !buried) {
        faults.push_back(fmt::format("lost: {} partition {} offset {}", s.name, position.partition,
                                     position.offset));
      }
      if (!matches && (delivered || buried)) {
        faults.push_back(fmt::format("delivered without a match: {} partition {} offset {}", s.name,
                                     position.partition, position.offset));
      }
    }
    if (s.ordering == schema::Ordering::kKey) CheckOrder(i, dead, faults);
    auto counters = invoke_store_.Counters(s.uuid);
    int64_t matched = match_store_.Matched(s.uuid);
    // What older generations matched is known by its counters only.
    int64_t lost = match_store_.Lost(s.uuid);
    if (taken > lost) {
      faults.push_back(fmt::format("lost and not told: {} {} told {}", s.name, taken, lost));
    }
    if (!options_.truncations && lost > 0) {
      faults.push_back(fmt::format("told as lost, and nothing was: {} {}", s.name, lost));
    }
    // What a crashed owner had written since its last checkpoint, and retention took then, cannot
    // be counted as matched any more: it counts as lost, though it is on its way.
    bool rewritten = !(options_.truncations && options_.crashes);
    expected -= taken;
    bool more = s.generation > 1 || s.paused;
    bool wrong = more ? matched < expected : matched != expected;
    if (!rewritten) wrong = matched + lost < expected;
    bool differ = rewritten ? counters.received != matched : counters.received < matched;
    if (wrong || differ || counters.settled() != counters.received) {
      faults.push_back(fmt::format(
          "counters: {} expected {} matched {} received {} delivered {} dead {} cancelled {}",
          s.name, expected, matched, counters.received, counters.delivered, counters.dead_lettered,
          counters.cancelled));
    }
  }
  if (invoke_store_.Rows() != 0) faults.push_back("rows are left in the retry store");
  if (early_ != 0) faults.push_back(fmt::format("before their time: {} attempts", early_));
  CheckRedriven(faults);
  return faults;
}

// What was pending again was delivered, or is a dead letter again; unless a rewind cancelled it.
void World::CheckRedriven(std::vector<std::string>& faults) const {
  std::set<schema::DeliveryId> dead;
  for (const auto& letter : DeadLetters()) dead.insert(letter.id);
  if (invoke_store_.chosen() != 0) faults.push_back("letters that a redrive chose are left");
  for (const auto& [letter, row] : invoke_store_.returned()) {
    for (size_t i = 0; i < subs_.size(); ++i) {
      const auto& s = subs_[i].subscription;
      if (s.uuid != row.subscription || s.generation != row.generation) continue;
      if (successes_.contains({i, row.WebhookId()}) || dead.contains(row)) continue;
      faults.push_back(fmt::format("lost after a redrive: {} partition {} offset {}", s.name,
                                   row.partition, row.offset));
    }
  }
}

// First deliveries of a key follow the log, but for events that come later. One that was parked may
// come again after a crash, when others have passed it.
void World::CheckOrder(size_t index, const std::set<std::tuple<Uuid, int32_t, Position>>& dead,
                       std::vector<std::string>& faults) const {
  const auto& s = subs_[index].subscription;
  std::map<std::pair<int32_t, std::string>, int64_t> last;
  for (const auto& [position, event] : events_) {
    if (event.key.empty() || event.delayed || dead.contains({s.uuid, s.generation, position}))
      continue;
    schema::DeliveryId id{topic_.uuid, position.partition, position.offset,
                          s.uuid,      s.generation,       Uuid{}};
    auto it = successes_.find({index, id.WebhookId()});
    if (it == successes_.end()) continue;
    int64_t& before = last[{position.partition, event.key}];
    if (it->second.place < before) {
      faults.push_back(fmt::format("out of order: {} key {} partition {} offset {}", s.name,
                                   event.key, position.partition, position.offset));
    }
    before = it->second.place;
  }
}

}  // namespace dispatch::simulation
