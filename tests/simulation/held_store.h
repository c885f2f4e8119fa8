#pragma once

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "event-manager/src/domain/match_store.h"
#include "function-manager/src/domain/invoke_store.h"

namespace dispatch::simulation {

/// The way of one instance to its database. While it is held, what is asked stays on the way, and
/// arrives when it is let go: after a cut that the connection outlived, or of a process that slept.
class Hold {
 public:
  void set_held(bool held) {
    held_ = held;
    if (held_) return;
    for (auto& call : std::exchange(waiting_, {})) call();
  }
  void Pass(std::function<void()> call) { held_ ? waiting_.push_back(std::move(call)) : call(); }

 private:
  bool held_ = false;
  std::vector<std::function<void()>> waiting_;
};

class HeldMatchStore : public MatchStore {
 public:
  explicit HeldMatchStore(MatchStore& store) : store_(store) {}
  Hold& hold() { return hold_; }

  void Claim(std::vector<PartitionId> partitions,
             std::function<void(Result<std::vector<PartitionState>>)> done) override {
    hold_.Pass([this, partitions = std::move(partitions), done = std::move(done)] {
      store_.Claim(partitions, done);
    });
  }
  void Save(std::vector<PartitionSave> saves,
            std::function<void(Result<std::vector<PartitionId>>)> done) override {
    hold_.Pass(
        [this, saves = std::move(saves), done = std::move(done)] { store_.Save(saves, done); });
  }
  void ReadMatched(std::vector<Uuid> topics,
                   std::function<void(Result<std::vector<PartitionMatched>>)> done) override {
    store_.ReadMatched(std::move(topics), std::move(done));
  }

 private:
  MatchStore& store_;
  Hold hold_;
};

class HeldInvokeStore : public InvokeStore {
 public:
  explicit HeldInvokeStore(InvokeStore& store) : store_(store) {}
  Hold& hold() { return hold_; }

  void Claim(std::vector<int32_t> partitions,
             std::function<void(Result<std::vector<InvokeClaim>>)> done) override {
    hold_.Pass([this, partitions = std::move(partitions), done = std::move(done)] {
      store_.Claim(partitions, done);
    });
  }
  void Save(std::vector<InvokeSave> saves, std::function<void(Result<SaveResult>)> done) override {
    hold_.Pass(
        [this, saves = std::move(saves), done = std::move(done)] { store_.Save(saves, done); });
  }
  void Lived(std::vector<Epoch> lost, std::function<void(Status)> done) override {
    hold_.Pass(
        [this, lost = std::move(lost), done = std::move(done)] { store_.Lived(lost, done); });
  }
  void LoadDue(int32_t partition, int64_t from_ms, int64_t until_ms, Room room,
               std::function<void(Result<Due>)> done) override {
    hold_.Pass([this, partition, from_ms, until_ms, room, done = std::move(done)] {
      store_.LoadDue(partition, from_ms, until_ms, room, done);
    });
  }
  void LoadStale(int32_t partition, const Uuid& subscription, int32_t generation, size_t limit,
                 std::function<void(Result<std::vector<RetryRow>>)> done) override {
    hold_.Pass([this, partition, subscription, generation, limit, done = std::move(done)] {
      store_.LoadStale(partition, subscription, generation, limit, done);
    });
  }
  void LoadChosen(std::vector<int32_t> partitions, int64_t now_ms,
                  std::function<void(Result<Chosen>)> done) override {
    hold_.Pass([this, partitions = std::move(partitions), now_ms, done = std::move(done)] {
      store_.LoadChosen(partitions, now_ms, done);
    });
  }
  void NoteTrial(std::optional<TrialNote> begin,
                 std::vector<std::pair<int32_t, schema::DeliveryId>> survived,
                 std::function<void(Status)> done) override {
    hold_.Pass([this, begin = std::move(begin), survived = std::move(survived),
                done = std::move(done)] { store_.NoteTrial(begin, survived, done); });
  }
  void LoadKeys(int32_t partition, std::vector<KeyFrom> keys, size_t each, size_t bytes,
                std::function<void(Result<OfKeys>)> done) override {
    hold_.Pass([this, partition, keys = std::move(keys), each, bytes, done = std::move(done)] {
      store_.LoadKeys(partition, keys, each, bytes, done);
    });
  }

 private:
  InvokeStore& store_;
  Hold hold_;
};

}  // namespace dispatch::simulation
