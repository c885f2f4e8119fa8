#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker-adapters/memory/cluster.h"

namespace dispatch::broker::memory {

/// Reads partitions from their logs as a client does, in polls of bounded size; what readers and
/// group consumers have in common. Records are taken from the log at the moment they are delivered,
/// so a paused or removed partition never has one under way.
class Fetcher : public Component, public std::enable_shared_from_this<Fetcher> {
 public:
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void OnFetched(std::vector<Record> records) = 0;
    virtual void OnFetchError(const TopicPartition& tp, const Error& error) = 0;
    virtual void OnFetchedAll(const TopicPartition& tp, int64_t next_offset) = 0;
  };

  Fetcher(ClusterPtr cluster, std::string client, Sink& sink, size_t max_bytes, std::string group);
  ~Fetcher() override;

  /// Adds or moves a partition.
  void Add(const TopicPartition& tp, int64_t offset);
  void Remove(const TopicPartition& tp);
  void Pause(const TopicPartition& tp);
  void Resume(const TopicPartition& tp);
  /// Nothing is called back from here on.
  void Close();

  /// The partition was deleted with its topic.
  void Forget(const Partition* partition);

  /// Something may be there to fetch.
  void Wake();
  void OnReachability() override { Wake(); }

 private:
  struct Slot {
    uint64_t serial = 0;  // tells a slot from a later one of the same partition
    int64_t position = 0;
    bool paused = false;
    bool failed = false;   // out of range: stands still
    bool missing = false;  // the lack of the topic was reported
    bool told_end = false;
    Partition* watched = nullptr;
  };
  struct Batch;

  void Poll();
  void Collect(Batch& batch);
  void CollectFrom(const TopicPartition& tp, Slot& slot, Batch& batch);
  int64_t Resolve(const TopicPartition& tp, const PartitionLog& log, int64_t offset) const;
  Slot* Find(const TopicPartition& tp, uint64_t serial);
  void Watch(const TopicPartition& tp, Slot& slot);
  void Unwatch(const TopicPartition& tp, Slot& slot);

  ClusterPtr cluster_;
  std::string client_;
  Sink* sink_;
  size_t max_bytes_;
  std::string group_;  // whose committed offsets count; empty for readers
  uint64_t id_;
  std::map<TopicPartition, Slot> slots_;
  uint64_t next_serial_ = 1;
  size_t turn_ = 0;
  bool scheduled_ = false;
};

}  // namespace dispatch::broker::memory
