#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "event-manager/src/domain/match_store.h"

namespace dispatch::testing {

/// A MatchStore that outlives the engines which use it, as the database outlives a crash. Answers
/// after `latency()`; while down it fails with kUnavailable and writes nothing; while mute it
/// writes, and its answer is kUnavailable.
class MemoryMatchStore : public MatchStore {
 public:
  MemoryMatchStore(Loop& loop, std::function<Duration()> latency)
      : loop_(loop), latency_(std::move(latency)) {}

  void set_down(bool down) { down_ = down; }
  void set_mute(bool mute) { mute_ = mute; }

  void Claim(std::vector<PartitionId> partitions,
             std::function<void(Result<std::vector<PartitionState>>)> done) override {
    loop_.After(latency_(), [this, partitions = std::move(partitions), done = std::move(done)] {
      if (down_) return done(Error{Code::kUnavailable, "the store is down"});
      std::vector<PartitionState> states;
      for (const auto& id : partitions) {
        Row& row = rows_[id];
        ++row.epoch;
        PartitionState state{id, row.epoch, row.position, {}, {}};
        state.checkpoint = row.checkpoint;
        for (const auto& [subscription, cursor] : row.cursors) state.cursors.push_back(cursor);
        states.push_back(std::move(state));
      }
      if (mute_) return done(Unheard());
      done(std::move(states));
    });
  }

  void Save(std::vector<PartitionSave> saves,
            std::function<void(Result<std::vector<PartitionId>>)> done) override {
    // Written first, answered later: a crash between the two is a checkpoint nobody was told of.
    loop_.After(latency_(), [this, saves = std::move(saves), done = std::move(done)] {
      if (down_) return done(Error{Code::kUnavailable, "the store is down"});
      std::vector<PartitionId> fenced;
      for (const auto& save : saves) {
        Row& row = rows_[save.id];
        if (row.epoch != save.epoch) {
          fenced.push_back(save.id);
          continue;
        }
        row.position = save.position;
        row.checkpoint = save.checkpoint;
        for (const auto& cursor : save.changed) row.cursors[cursor.subscription] = cursor;
        for (const auto& id : save.removed) row.cursors.erase(id);
      }
      loop_.After(latency_(), [done, fenced = std::move(fenced), mute = mute_] {
        mute ? done(Unheard()) : done(fenced);
      });
    });
  }

  void ReadMatched(std::vector<Uuid> topics,
                   std::function<void(Result<std::vector<PartitionMatched>>)> done) override {
    loop_.After(latency_(), [this, topics = std::move(topics), done = std::move(done)] {
      if (down_) return done(Error{Code::kUnavailable, "the store is down"});
      std::vector<PartitionMatched> all;
      for (const auto& [id, row] : rows_) {
        if (std::find(topics.begin(), topics.end(), id.topic) == topics.end()) continue;
        all.push_back({id, row.checkpoint.counters});
      }
      done(std::move(all));
    });
  }

  int64_t Matched(const Uuid& subscription) const {
    return Sum(subscription, &schema::MatchCheckpoint::Matched::matched);
  }
  int64_t Lost(const Uuid& subscription) const {
    return Sum(subscription, &schema::MatchCheckpoint::Matched::lost);
  }
  std::optional<int64_t> Position(const PartitionId& id) const {
    auto it = rows_.find(id);
    return it == rows_.end() ? std::nullopt : it->second.position;
  }

 private:
  static Error Unheard() { return {Code::kUnavailable, "the store's answer is lost"}; }
  int64_t Sum(const Uuid& subscription, int64_t schema::MatchCheckpoint::Matched::* what) const {
    int64_t total = 0;
    for (const auto& [id, row] : rows_) {
      for (const auto& counter : row.checkpoint.counters) {
        if (counter.subscription == subscription) total += counter.*what;
      }
    }
    return total;
  }
  struct Row {
    int64_t epoch = 0;
    std::optional<int64_t> position;
    schema::MatchCheckpoint checkpoint;
    std::map<Uuid, Cursor> cursors;
  };
  Loop& loop_;
  std::function<Duration()> latency_;
  bool down_ = false;
  bool mute_ = false;
  std::map<PartitionId, Row> rows_;
};

}  // namespace dispatch::testing
