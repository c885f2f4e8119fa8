#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "broker-adapters/broker.h"
#include "common/clock.h"
#include "common/result.h"

namespace dispatch::broker {

/// Saves the durable state of the partitions that an instance owns (DESIGN section 3, checkpoint):
/// all that changed in one transaction, once an interval, one save at a time. What is durable is
/// then committed to the group, so that a commit never passes a checkpoint. One owner.
class CheckpointLoop {
 public:
  /// What a save holds of a partition.
  struct Part {
    TopicPartition partition;
    int64_t epoch = 0;
    int64_t position = 0;
  };
  enum class Outcome {
    kSaved,
    kFailed,  // to be saved again
    kFenced,  // somebody claimed the partition after us: it is not ours any more
  };
  /// The store's answer: the partitions that were fenced, or an error when nothing was saved.
  using Answered = std::function<void(Result<std::vector<TopicPartition>>)>;

  class Host {
   public:
    virtual ~Host() = default;
    /// Once an interval, before the save.
    virtual void Tend() = 0;
    /// Gives a snapshot of each partition that changed to the store, and tells which these are.
    /// `answered` comes later, once; with nothing to save, never.
    virtual std::vector<Part> Save(Answered answered) = 0;
    /// What came of the save. False, and nothing else, when the partition is not ours under that
    /// epoch any more.
    virtual bool Saved(const Part& part, Outcome outcome) = 0;
  };

  CheckpointLoop(Loop& loop, GroupConsumer& consumer, Host& host, Duration interval);
  ~CheckpointLoop();

  /// Tends and saves for the first time, and from then on once an interval.
  void Start() { Tick(); }
  /// Saves when told to only.
  void Stop();
  /// Saves what has changed by now, then runs `then`, also when that failed.
  void Save(std::function<void()> then);
  /// Saves without waiting for the interval, when the caller is done.
  void SaveSoon();

 private:
  void Tick();
  void Answer(const std::vector<Part>& parts, const Result<std::vector<TopicPartition>>& fenced);

  Loop& loop_;
  GroupConsumer& consumer_;
  Host& host_;
  Duration interval_;
  TimerId tick_ = kNoTimer;
  bool saving_ = false;
  bool posted_ = false;
  std::vector<std::function<void()>> after_;  // came while a save was under way
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch::broker
