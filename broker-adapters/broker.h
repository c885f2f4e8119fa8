#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "broker-adapters/types.h"
#include "common/clock.h"
#include "common/result.h"

namespace dispatch::broker {

/// Writes records, acks=all and idempotent. Callbacks come on the owner's loop, in the order of
/// Produce per partition, never inside Produce.
class Producer {
 public:
  using Delivered = std::function<void(Result<Position>)>;
  virtual ~Producer() = default;

  /// Queues one record. Fails at once with kResourceExhausted when the queue is full, kNotFound for
  /// a topic known not to exist, kTooLarge; then `delivered` is never called. Else it is called
  /// exactly once: with the position, or kDeadlineExceeded, kUnavailable, kTooLarge, kNotFound.
  /// After the producer's end nothing is called back.
  virtual Status Produce(ProduceRecord record, Delivered delivered) = 0;

  /// Records queued and not yet reported.
  virtual size_t in_flight() const = 0;
};

struct ProducerOptions {
  /// How long a record waits for others of its partition. 0: while earlier ones are under way, up
  /// to 5 ms and 64 records, so that batches grow with the load and nothing waits without it.
  std::chrono::microseconds linger{0};
  /// 0: never gives up, and never writes a record after one that was left out: when that cannot be
  /// kept, all that is queued fails with kUnavailable, and so does every later Produce: build a new
  /// producer (GaplessProducer does). With a timeout the producer mends itself.
  std::chrono::milliseconds delivery_timeout{10'000};
  size_t max_queue_records = 100'000;
  size_t max_queue_bytes = 64 * 1024 * 1024;
  int64_t max_message_bytes = 2 * 1024 * 1024;
  /// 0: as many as fit. Kafka refuses a batch as a whole: where a topic's max.message.bytes is
  /// below a batch's million bytes, only a batch of one tells which record is too large.
  int max_batch_records = 0;
  std::string compression = "none";
  /// Writes on the connections of all shared producers of its Broker: for little traffic. Linger,
  /// batches, compression and the largest message are the defaults then. What its end leaves with
  /// the client may still be written, within delivery_timeout, which has to be above 0 and is per
  /// topic: that of who wrote to it first.
  bool shared = false;
};

/// A member of a consumer group. The owner decides where each partition starts and commits what it
/// settled; nothing is committed or stored by itself.
class GroupConsumer {
 public:
  /// Told on the owner's loop. `generation` rises with every assignment of this member; completions
  /// that carry an older one are to be ignored.
  class Listener {
   public:
    virtual ~Listener() = default;
    /// Newly assigned. Call `consumer.Start` for each of them, when the owner has loaded where it
    /// stands (before that nothing is fetched and the rebalance does not finish).
    virtual void OnAssigned(const std::vector<TopicPartition>& partitions, uint64_t generation) = 0;
    /// About to be taken away in good order: finish up, then call `release` (once, within 10 s:
    /// then they are let go of without it, and whoever fences writes by epoch is still safe). No
    /// records of these partitions come after this call.
    virtual void OnRevoked(const std::vector<TopicPartition>& partitions,
                           std::function<void()> release) = 0;
    /// Taken away already: somebody else may own them. Write nothing.
    virtual void OnLost(const std::vector<TopicPartition>& partitions) = 0;
    /// Records of one poll, in offset order per partition.
    virtual void OnRecords(std::vector<Record> records) = 0;
    /// The position asked for is not in the log any more (kOutOfRange), the topic is gone
    /// (kNotFound)... For kOutOfRange the partition stands still until Seek.
    virtual void OnPartitionError(const TopicPartition& partition, const Error& error) = 0;
  };

  virtual ~GroupConsumer() = default;
  /// The whole list of topics; replaces the one before.
  virtual void Subscribe(std::vector<std::string> topics) = 0;
  /// Starts fetching an assigned partition at `offset` (or kEarliest, kLatest, kCommitted). Ignored
  /// for a generation that is over. Once a partition.
  virtual void Start(const TopicPartition& partition, int64_t offset, uint64_t generation) = 0;
  virtual void Seek(const TopicPartition& partition, int64_t offset) = 0;
  /// Stops and restarts fetching; no record of a paused partition is delivered, none is skipped.
  virtual void Pause(const TopicPartition& partition) = 0;
  virtual void Resume(const TopicPartition& partition) = 0;
  /// Commits next offsets to read, with metadata. Best effort: it serves operators and tools.
  virtual void Commit(const std::vector<std::pair<TopicPartition, int64_t>>& offsets) = 0;
  /// How long ago the group coordinator last confirmed this member, from CLOCK_BOOTTIME. Above the
  /// session timeout the member may have been replaced.
  virtual Duration membership_age() const = 0;
  /// Leaves the group (OnRevoked comes first), then calls `closed`.
  virtual void Close(std::function<void()> closed) = 0;
};

/// Reads partitions that it is told to, in no group.
class Reader {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnRecords(std::vector<Record> records) = 0;
    virtual void OnPartitionError(const TopicPartition& partition, const Error& error) = 0;
    /// Everything up to the log's end was delivered; comes again after new records.
    virtual void OnEnd(const TopicPartition& /*partition*/, int64_t /*next_offset*/) {}
  };

  virtual ~Reader() = default;
  /// Adds a partition at `offset` (or kEarliest, kLatest), or moves one that was added.
  virtual void Add(const TopicPartition& partition, int64_t offset) = 0;
  virtual void Remove(const TopicPartition& partition) = 0;
  virtual void Pause(const TopicPartition& partition) = 0;
  virtual void Resume(const TopicPartition& partition) = 0;
};

struct TopicSpec {
  std::string name;
  int32_t partitions = 1;
  int16_t replication_factor = 1;
  std::vector<std::pair<std::string, std::string>> config;  // cleanup.policy, retention.ms, ...
};

struct TopicInfo {
  std::string name;
  int32_t partitions = 0;
};

struct Offsets {
  int64_t earliest = 0;
  int64_t latest = 0;
};

/// The members of a consumer group as its coordinator knows them. A group that nobody joined has
/// none.
struct GroupInfo {
  struct Member {
    std::string client_id;
    std::vector<TopicPartition> partitions;
  };
  std::string state = {};  // as GroupSummary's; empty: nobody knows the group
  std::vector<Member> members = {};
};

/// A consumer group of the cluster, whoever's it is.
struct GroupSummary {
  std::string name;
  std::string state;  // "stable", "empty", "rebalancing", "dead" or "unknown"
};

/// What a group committed: the next offset to read.
struct GroupOffset {
  TopicPartition partition;
  int64_t committed = 0;
};

/// Topic administration. Callbacks on the owner's loop. Unreachable brokers: kUnavailable.
class Admin {
 public:
  template <typename T>
  using Done = std::function<void(Result<T>)>;
  using DoneStatus = std::function<void(Status)>;
  virtual ~Admin() = default;

  /// kAlreadyExists when the topic exists (Kafka also refuses names that differ by . and _ only).
  /// Calls back when every partition has a leader.
  virtual void CreateTopic(TopicSpec spec, DoneStatus done) = 0;
  virtual void DeleteTopic(std::string name, DoneStatus done) = 0;
  virtual void GrowTopic(std::string name, int32_t partitions, DoneStatus done) = 0;
  virtual void ConfigureTopic(std::string name,
                              std::vector<std::pair<std::string, std::string>> config,
                              DoneStatus done) = 0;
  virtual void DescribeTopic(std::string name, Done<TopicInfo> done) = 0;
  virtual void ListTopics(Done<std::vector<TopicInfo>> done) = 0;
  /// For each partition of a topic, in partition order.
  virtual void ListOffsets(std::string topic, Done<std::vector<Offsets>> done) = 0;
  /// For each partition the first offset whose record is at `timestamp_ms` or later, or the end.
  virtual void OffsetsForTime(std::string topic, int64_t timestamp_ms,
                              Done<std::vector<int64_t>> done) = 0;
  virtual void DescribeGroup(std::string group, Done<GroupInfo> done) = 0;
  /// All groups that consume or have committed something, by name.
  virtual void ListGroups(Done<std::vector<GroupSummary>> done) = 0;
  /// By topic and partition, where something is committed. None for a group that nobody knows.
  virtual void ListGroupOffsets(std::string group, Done<std::vector<GroupOffset>> done) = 0;
};

constexpr Duration kNameContested = std::chrono::seconds(60);

struct GroupOptions {
  std::string group;
  /// Static membership; empty: as the broker was told, or dynamic. A member that is fenced twice
  /// within kNameContested goes on without it: another process bears the same name.
  std::string instance_id;
  std::string client_id;
  /// Bound on what is fetched ahead and not yet given to the listener.
  size_t max_prefetch_bytes = 8 * 1024 * 1024;
  /// How long a fetch waits for records, and a resumed partition until it is asked for.
  std::chrono::milliseconds fetch_wait{100};
};

/// A connection to one Kafka cluster, of one owner (an event loop). Everything that it makes
/// belongs to that loop and may be destroyed at any time, also with callbacks under way.
class Broker {
 public:
  virtual ~Broker() = default;
  virtual std::unique_ptr<Producer> NewProducer(ProducerOptions options) = 0;
  virtual std::unique_ptr<GroupConsumer> NewGroupConsumer(GroupOptions options,
                                                          GroupConsumer::Listener& listener) = 0;
  virtual std::unique_ptr<Reader> NewReader(std::string client_id, Reader::Listener& listener,
                                            size_t max_prefetch_bytes = 4 * 1024 * 1024) = 0;
  /// A reader of few topics that are read to their ends and then followed, on the connections of
  /// all such readers. One that reads what another reads already gets further connections.
  virtual std::unique_ptr<Reader> NewSharedReader(Reader::Listener& listener) = 0;
  virtual Admin& admin() = 0;

  /// Expires with the broker: for helpers that come back to it from a timer.
  std::weak_ptr<const void> alive() const { return alive_; }

 private:
  std::shared_ptr<const void> alive_ = std::make_shared<char>();
};

}  // namespace dispatch::broker
