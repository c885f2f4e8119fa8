#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker-adapters/kafka/internal/consumer.h"

namespace dispatch::broker::kafka {

/// What one Reader is told of, by each core that reads for it.
struct Port {
  Reader::Listener* listener;
};
using PortPtr = std::shared_ptr<Port>;

struct ReaderSettings {
  std::string client_id;
  size_t max_prefetch_bytes;
  // How often the logs' ends are asked for, to find a partition that stands still.
  Duration watch{5'000'000};
};

/// A handle that reads partitions, in no group, for one Reader or for several.
class ReaderCore : public Consumer {
 public:
  ReaderCore(ConnectionPtr connection, ReaderSettings settings);

  /// Opens the handle; once, before anything else.
  void Open();

  bool closed() const { return closed_; }
  bool Reads(const TopicPartition& tp) { return Find(tp) != nullptr; }
  bool ReadsFor(const TopicPartition& tp, const PortPtr& port) const { return OwnerOf(tp) == port; }

  /// From `offset` on, also when it is read already.
  void Add(const PortPtr& port, const TopicPartition& tp, int64_t offset);
  void Remove(const TopicPartition& tp);
  /// Closes with the last one.
  void Leave(const PortPtr& port);

 protected:
  void OnOther(EventPtr event) override;
  void OnTurn() override;

 private:
  using Batches = std::vector<std::pair<PortPtr, std::vector<Record>>>;

  void OpenAnew();
  PortPtr OwnerOf(const TopicPartition& tp) const;
  void Deliver(std::vector<Record> records) override;
  void DeliverError(const TopicPartition& tp, const Error& error) override;
  Batches ByOwner(std::vector<Record> records) const;
  std::vector<TopicPartition> WithoutEnd(const std::vector<Record>& records);
  bool IsAtEnd(const TopicPartition& tp, const Part& part) const;
  void OnEof(const TopicPartition& tp, Part& part, int64_t offset) override;
  void OnFatal() override;
  void AskForEnds();
  void OnEnds(rd_kafka_event_t* event);

  ReaderSettings settings_;
  std::map<TopicPartition, PortPtr> owners_;
  bool closed_ = false;
  SteadyTime asked_at_;
  std::map<TopicPartition, int64_t> asked_;  // where each stood when the ends were asked for
  // How many answers in a row found it where the one before did, with more to read.
  std::map<TopicPartition, int> still_;
  int unanswered_ = 0;  // questions in a row
};
using CorePtr = std::shared_ptr<ReaderCore>;

}  // namespace dispatch::broker::kafka
