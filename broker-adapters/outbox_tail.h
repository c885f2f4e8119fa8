#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "schema/messages.h"

namespace dispatch::broker {

/// What the relay learns from tailing its own topic. A record is *overwritten* when an older epoch,
/// or an older version, was written after a newer one: compaction would keep the wrong one, so the
/// present state of the key has to be published again. Pure.
class OutboxTail {
 public:
  struct Key {
    std::string kind;
    std::string org_name;  // "org/name"
    auto operator<=>(const Key&) const = default;
  };

  void Take(const schema::StateRecord& record);
  /// A null value: the key is gone.
  void TakeNull(const std::string& record_key);
  /// Not ours, yet the last of its key: compaction would keep it and drop what was true.
  void TakeForged(const std::string& record_key);

  const std::set<Key>& overwritten() const { return overwritten_; }
  /// Keys whose deletion was written before `before_ms` and is still the last word.
  std::vector<Key> DeletedBefore(int64_t before_ms) const;

 private:
  struct Last {
    int64_t version = 0;
    int64_t written_ms = 0;
    bool deleted = false;
  };
  int64_t epoch_ = 0;
  std::unordered_map<std::string, Last> last_;  // by the record's key
  std::set<Key> overwritten_;
};

}  // namespace dispatch::broker
