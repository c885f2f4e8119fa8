#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker-adapters/broker.h"
#include "broker-adapters/kafka/internal/connection.h"
#include "broker-adapters/kafka/internal/event_queue.h"

namespace dispatch::broker::kafka {

/// A consuming handle and where it stands in each partition: what readers and group consumers have
/// in common. It guards what librdkafka does not: a record is given on only at or after the
/// position asked for last, and never for a partition that is paused or not ours; a resume of a
/// partition that is not paused (which would skip records) never reaches librdkafka.
class Consumer : public std::enable_shared_from_this<Consumer> {
 public:
  virtual ~Consumer() = default;

  void Pause(const TopicPartition& tp);
  void Resume(const TopicPartition& tp);
  /// Ends the handle; nothing is called back after.
  void CloseHandle();

 protected:
  struct Part {
    int64_t next = 0;       // the offset expected, or kEarliest...
    bool assigned = false;  // librdkafka has it
    bool paused = false;
    bool dropped = false;  // records were dropped while paused: resume must go back
    bool failed = false;   // out of range: stands still
    bool muted = false;    // being revoked: nothing is delivered any more
    bool moving = false;   // a move waits until the rebalance under way is answered
    uint64_t generation = 0;
    bool started = false;
    int64_t told_end = -1;  // for readers
  };
  using Parts = std::map<TopicPartition, Part>;

  explicit Consumer(ConnectionPtr connection) : connection_(std::move(connection)) {}

  Status OpenHandle(Conf& conf);
  /// Lets go of the handle but keeps the parts, for another one to go on with.
  void DropHandle();
  /// Hands the partitions to librdkafka at their `next`.
  void Assign(const std::vector<TopicPartition>& partitions);
  /// Takes them from librdkafka; erases them here first.
  /// False: librdkafka refused, and waits for an answer it will not get.
  bool Unassign(const std::vector<TopicPartition>& partitions);
  /// Goes on reading at `offset`, whatever state the partition is in.
  void Move(const TopicPartition& tp, Part& part, int64_t offset);
  /// Does the moves that had to wait.
  void MoveWaiting();
  Part* Find(const TopicPartition& tp);
  /// Gives the records collected so far to Deliver.
  void Flush();
  void OnPartitionError(rd_kafka_event_t* event);

  virtual void Deliver(std::vector<Record> records) = 0;
  virtual void DeliverError(const TopicPartition& tp, const Error& error) = 0;
  /// Events other than records, errors of a partition and logs.
  virtual void OnOther(EventPtr event) = 0;
  virtual void OnEof(const TopicPartition&, Part&, int64_t) {}
  virtual void OnFatal() = 0;
  virtual void OnTurn() {}
  /// The handle's, whose events come to OnOther.
  rd_kafka_queue_t* queue() const { return events_->get(); }
  /// False while a rebalance event waits for its answer: librdkafka would take any assign or
  /// unassign for it.
  virtual bool MayMove() const { return true; }

  ConnectionPtr connection_;
  RkPtr rk_;
  Parts parts_;

 private:
  void OnEvent(EventPtr event);
  void OnMessage(const rd_kafka_message_t& message);
  Part* FindCached(const rd_kafka_message_t& message);
  void SetPaused(const TopicPartition& tp, bool paused);

  std::shared_ptr<EventQueue> events_;
  std::vector<Record> records_;
  // The partition of the message before, as neighbours share it.
  const rd_kafka_topic_t* cached_topic_ = nullptr;
  int32_t cached_partition_ = -1;
  Parts::value_type* cached_ = nullptr;
};

/// A list of partitions in librdkafka's form.
ListPtr MakeList(const std::vector<TopicPartition>& partitions);
std::vector<TopicPartition> FromList(const rd_kafka_topic_partition_list_t& list);

}  // namespace dispatch::broker::kafka
