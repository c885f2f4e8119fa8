#pragma once

#include <cstdint>
#include <map>
#include <tuple>
#include <unordered_set>
#include <vector>

#include "schema/messages.h"

namespace dispatch {

/// Tells repeats from news in one invocations partition (DESIGN section 3.3). A stream's source
/// offsets only rise there, so one mark a stream and source partition is enough: what is below it
/// is a repeat; at the mark itself repeats are told per target, because the target list may have
/// changed between two writings. Pure; one owner.
class Intake {
 public:
  using Mark = schema::InvokeCheckpoint::Mark;

  /// For each target of the record: true when it is new.
  std::vector<bool> Accept(const schema::Invocation& invocation, int64_t now_ms);

  /// Forgets marks of streams that are not live and were silent since `before_ms`.
  void Expire(int64_t before_ms);

  std::vector<Mark> Snapshot() const;
  void Restore(std::vector<Mark> marks);

 private:
  using Key = std::tuple<Uuid, Uuid, int32_t>;  // stream, topic, source partition
  struct Entry {
    Mark mark;  // without its targets, which are in `targets`
    std::unordered_set<Uuid> targets;
  };
  std::map<Key, Entry> marks_;
};

}  // namespace dispatch
