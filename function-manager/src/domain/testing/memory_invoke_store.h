#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "function-manager/src/domain/invoke_store.h"
#include "function-manager/src/domain/key_order.h"

namespace dispatch::testing {

/// An InvokeStore that outlives the engines which use it. Answers after `latency()`; while down it
/// fails with kUnavailable and writes nothing; while mute it does what it is asked for, and its
/// answer is kUnavailable.
class MemoryInvokeStore : public InvokeStore {
 public:
  MemoryInvokeStore(Loop& loop, std::function<Duration()> latency)
      : loop_(loop), latency_(std::move(latency)) {}

  void set_down(bool down) { down_ = down; }
  void set_mute(bool mute) { mute_ = mute; }

  void Claim(std::vector<int32_t> partitions,
             std::function<void(Result<std::vector<InvokeClaim>>)> done) override {
    loop_.After(latency_(), [this, partitions = std::move(partitions), done = std::move(done)] {
      if (down_) return done(Error{Code::kUnavailable, "the store is down"});
      std::vector<InvokeClaim> claims;
      for (int32_t partition : partitions) {
        Shard& shard = shards_[partition];
        ++shard.epoch;
        InvokeClaim claim{partition, shard.epoch, shard.position, shard.checkpoint, {}, {}, 0, {}};
        for (const auto& [id, row] : shard.rows) {
          bool delayed = row.deliver_at_ms != 0;
          claim.waiting.push_back(
              {id.subscription, 1, delayed ? row.deliver_at_ms : row.source_timestamp_ms, delayed});
        }
        claim.blocked = Blocked(shard);
        shard.unclean_starts = shard.clean ? 0 : shard.unclean_starts + 1;
        shard.clean = false;
        claim.unclean_starts = shard.unclean_starts;
        for (const auto& [id, crashes] : shard.trials) claim.trials.push_back({id, crashes});
        claims.push_back(std::move(claim));
      }
      Answer<std::vector<InvokeClaim>>(done, std::move(claims), Duration::zero());
    });
  }

  void Lived(std::vector<Epoch> lost, std::function<void(Status)> done) override {
    loop_.After(latency_(), [this, lost = std::move(lost), done = std::move(done)] {
      if (down_) return done({Code::kUnavailable, "the store is down"});
      for (const auto& [partition, epoch] : lost) {
        Shard& shard = shards_[partition];
        if (shard.epoch == epoch) shard.clean = true;
        if (shard.epoch == epoch + 1 && shard.unclean_starts > 0) --shard.unclean_starts;
      }
      done(OkStatus());
    });
  }

  void Save(std::vector<InvokeSave> saves, std::function<void(Result<SaveResult>)> done) override {
    loop_.After(latency_(), [this, saves = std::move(saves), done = std::move(done)] {
      if (down_) return done(Error{Code::kUnavailable, "the store is down"});
      SaveResult result;
      for (const auto& save : saves) {
        if (shards_[save.partition].epoch != save.epoch) continue;
        for (const auto& r : save.returns) {
          auto it = chosen_.find(r.letter);
          bool there = it != chosen_.end() && it->second.redrive == r.redrive;
          if (!there && !returned_.contains(r.letter))
            result.gone.emplace_back(save.partition, r.row);
        }
      }
      if (!result.gone.empty()) {
        return Answer<SaveResult>(done, std::move(result), latency_());
      }
      for (const auto& save : saves) {
        Shard& shard = shards_[save.partition];
        if (shard.epoch != save.epoch) {
          result.fenced.push_back(save.partition);
          continue;
        }
        shard.position = save.position;
        shard.checkpoint = save.checkpoint;
        for (const auto& row : save.upserts) {
          bool there = !shard.rows.insert_or_assign(row.id, row).second;
          if (there && row.fresh) result.merged.emplace_back(save.partition, row.id);
        }
        for (const auto& id : save.deletes) shard.rows.erase(id);
        for (const auto& id : save.tried) shard.trials.erase(id);
        shard.clean = save.clean;
        if (save.calm) shard.unclean_starts = 0;
        for (const auto& r : save.returns) {
          chosen_.erase(r.letter);
          returned_[r.letter] = r.row;
          for (auto& [id, row] : shard.rows) {
            bool behind = r.key && id.subscription == r.row.subscription && row.key == r.key;
            if (behind && row.sequence > r.sequence) row.due_ms = kNeverDue;
          }
        }
      }
      Answer<SaveResult>(done, std::move(result), latency_());
    });
  }

  void LoadDue(int32_t partition, int64_t from_ms, int64_t until_ms, Room room,
               std::function<void(Result<Due>)> done) override {
    loop_.After(latency_(), [this, partition, from_ms, until_ms, room, done = std::move(done)] {
      if (down_) return done(Error{Code::kUnavailable, "the store is down"});
      Due due;
      auto& rows = due.rows;
      for (const auto& [id, row] : shards_[partition].rows) {
        if (row.due_ms >= from_ms && row.due_ms < until_ms) rows.push_back(row);
      }
      std::sort(rows.begin(), rows.end(), [](const RetryRow& a, const RetryRow& b) {
        return std::tie(a.due_ms, a.id) < std::tie(b.due_ms, b.id);
      });
      size_t fit = FittingRows(rows, room.bytes, room.rows);
      due.all = fit == rows.size();
      rows.resize(fit);
      Answer<Due>(done, std::move(due), latency_());
    });
  }

  void LoadStale(int32_t partition, const Uuid& subscription, int32_t generation, size_t limit,
                 std::function<void(Result<std::vector<RetryRow>>)> done) override {
    loop_.After(
        latency_(), [this, partition, subscription, generation, limit, done = std::move(done)] {
          if (down_) return done(Error{Code::kUnavailable, "the store is down"});
          std::vector<RetryRow> rows;
          for (const auto& [id, row] : shards_[partition].rows) {
            bool stale = id.subscription == subscription && id.generation < generation && !row.key;
            if (stale && rows.size() < limit) rows.push_back(row);
          }
          Answer<std::vector<RetryRow>>(done, std::move(rows), latency_());
        });
  }

  void LoadChosen(std::vector<int32_t> partitions, int64_t,
                  std::function<void(Result<Chosen>)> done) override {
    loop_.After(latency_(), [this, partitions = std::move(partitions), done = std::move(done)] {
      if (down_) return done(Error{Code::kUnavailable, "the store is down"});
      Chosen chosen;
      chosen.more = !chosen_.empty();
      for (const auto& [id, letter] : chosen_) {
        bool asked =
            std::find(partitions.begin(), partitions.end(), letter.partition) != partitions.end();
        if (asked && !shards_[letter.partition].rows.contains(id)) chosen.letters.push_back(letter);
      }
      Answer<Chosen>(done, std::move(chosen), latency_());
    });
  }

  void NoteTrial(std::optional<TrialNote> begin,
                 std::vector<std::pair<int32_t, schema::DeliveryId>> survived,
                 std::function<void(Status)> done) override {
    loop_.After(latency_(), [this, begin = std::move(begin), survived = std::move(survived),
                             done = std::move(done)] {
      if (down_) return done({Code::kUnavailable, "the store is down"});
      for (const auto& [partition, id] : survived) shards_[partition].trials.erase(id);
      Status status;
      if (begin && shards_[begin->partition].epoch == begin->epoch) {
        shards_[begin->partition].trials[begin->trial.id] = begin->trial.crashes;
      } else if (begin) {
        status = {Code::kConflict, "a newer epoch owns the partition"};
      }
      if (mute_) status = Unheard();
      loop_.After(latency_(), [done, status] { done(status); });
    });
  }

  /// A redrive chooses the letter, unless one has already.
  bool Choose(const ChosenLetter& letter) {
    return !returned_.contains(letter.id) && chosen_.emplace(letter.id, letter).second;
  }
  /// It is cancelled: what is not pending again stays a dead letter.
  void Release() { chosen_.clear(); }
  const std::map<schema::DeliveryId, schema::DeliveryId>& returned() const { return returned_; }
  size_t chosen() const { return chosen_.size(); }

  void LoadKeys(int32_t partition, std::vector<KeyFrom> keys, size_t each, size_t bytes,
                std::function<void(Result<OfKeys>)> done) override {
    loop_.After(
        latency_(), [this, partition, keys = std::move(keys), each, bytes, done = std::move(done)] {
          if (down_) return done(Error{Code::kUnavailable, "the store is down"});
          OfKeys found_all;
          auto& rows = found_all.rows;
          for (const auto& from : keys) {
            std::map<int64_t, RetryRow> found;
            for (const auto& [id, row] : shards_[partition].rows) {
              if (id.subscription != from.subscription || row.key != from.key) continue;
              if (row.sequence >= from.sequence) found.emplace(row.sequence, row);
            }
            size_t left = each;
            for (auto& [sequence, row] : found) {
              if (left-- == 0) break;
              rows.push_back(std::move(row));
            }
            ++found_all.keys;
            size_t fit = FittingRows(rows, bytes, rows.size());
            if (fit == rows.size()) continue;
            rows.resize(fit);
            const auto& last = rows.back();
            bool of_this = last.id.subscription == from.subscription && last.key == from.key;
            if (!of_this) --found_all.keys;
            break;
          }
          Answer<OfKeys>(done, std::move(found_all), latency_());
        });
  }

  schema::DeliveryCounters Counters(const Uuid& subscription) const {
    schema::DeliveryCounters total;
    for (const auto& [partition, shard] : shards_) {
      for (const auto& counted : shard.checkpoint.counters) {
        if (counted.subscription != subscription) continue;
        total.received += counted.counters.received;
        total.delivered += counted.counters.delivered;
        total.dead_lettered += counted.counters.dead_lettered;
        total.cancelled += counted.counters.cancelled;
      }
    }
    return total;
  }
  size_t Rows() const {
    size_t rows = 0;
    for (const auto& [partition, shard] : shards_) rows += shard.rows.size();
    return rows;
  }

 private:
  static Error Unheard() { return {Code::kUnavailable, "the store's answer is lost"}; }
  template <typename T>
  void Answer(std::function<void(Result<T>)> done, T answer, Duration latency) {
    if (mute_) {
      loop_.After(latency, [done = std::move(done)] { done(Unheard()); });
    } else if (latency == Duration::zero()) {
      done(std::move(answer));
    } else {
      loop_.After(latency, [done = std::move(done), answer = std::move(answer)]() mutable {
        done(std::move(answer));
      });
    }
  }
  static size_t FittingRows(const std::vector<RetryRow>& rows, size_t bytes, size_t limit) {
    size_t fit = 0;
    for (size_t sum = 0; fit < std::min(rows.size(), limit) && (fit == 0 || sum < bytes); ++fit) {
      sum += rows[fit].event->value ? rows[fit].event->value->size() : 0;
    }
    return fit;
  }
  struct Shard {
    int64_t epoch = 0;
    std::optional<int64_t> position;
    schema::InvokeCheckpoint checkpoint;
    std::map<schema::DeliveryId, RetryRow> rows;
    bool clean = true;
    int32_t unclean_starts = 0;
    std::map<schema::DeliveryId, int32_t> trials;
  };
  static std::vector<InvokeClaim::Blocked> Blocked(const Shard& shard) {
    std::map<std::pair<Uuid, std::string>, InvokeClaim::Blocked> keys;
    for (const auto& [id, row] : shard.rows) {
      if (!row.key) continue;
      auto& blocked = keys[{id.subscription, *row.key}];
      blocked.subscription = id.subscription;
      blocked.key = *row.key;
      if (blocked.rows++ == 0 || row.sequence < blocked.first_sequence) {
        blocked.first_sequence = row.sequence;
        blocked.first = {row.due_ms,     row.first_attempt_ms, row.attempts, row.last_status,
                         row.last_error, row.id.partition,     row.id.offset};
      }
    }
    std::vector<InvokeClaim::Blocked> all;
    for (auto& [key, blocked] : keys) all.push_back(std::move(blocked));
    return all;
  }

  Loop& loop_;
  std::function<Duration()> latency_;
  bool down_ = false;
  bool mute_ = false;
  std::map<int32_t, Shard> shards_;
  std::map<schema::DeliveryId, ChosenLetter> chosen_;
  std::map<schema::DeliveryId, schema::DeliveryId> returned_;  // letter -> row
};

}  // namespace dispatch::testing
