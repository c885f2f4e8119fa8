#include "broker-adapters/partition_claims.h"

#include <algorithm>
#include <utility>

#include "common/log.h"

namespace dispatch::broker {

namespace {
constexpr int kMostDoublings = 6;
}

PartitionClaims::PartitionClaims(Loop& loop, GroupConsumer& consumer, Options options, Claim claim)
    : loop_(loop), consumer_(consumer), options_(options), claim_(std::move(claim)) {}

void PartitionClaims::Assigned(const std::vector<TopicPartition>& partitions, uint64_t generation) {
  assigned_once_ = true;
  for (const auto& partition : partitions) assigned_[partition] = {generation};
  Make(partitions, generation);
}

void PartitionClaims::Dropped(const std::vector<TopicPartition>& partitions) {
  for (const auto& partition : partitions) assigned_.erase(partition);
}

void PartitionClaims::ShutOut(const TopicPartition& partition) {
  log::Warning("partition is owned by a newer epoch topic={} partition={}", partition.topic,
               partition.partition);
  auto it = assigned_.find(partition);
  if (it == assigned_.end()) return;
  it->second.claiming = true;
  Duration delay = options_.retry * (1 << std::min(it->second.shut_out++, kMostDoublings));
  Later(std::min(delay, options_.membership_limit), {partition}, it->second.generation);
}

bool PartitionClaims::Wants(const TopicPartition& partition, uint64_t generation) const {
  auto it = assigned_.find(partition);
  return it != assigned_.end() && it->second.claiming && it->second.generation == generation;
}

void PartitionClaims::Make(std::vector<TopicPartition> partitions, uint64_t generation) {
  std::erase_if(partitions, [&](const auto& p) { return !Wants(p, generation); });
  if (!partitions.empty()) claim_(std::move(partitions), generation);
}

void PartitionClaims::Start(const TopicPartition& partition, int64_t offset, uint64_t generation) {
  if (!Wants(partition, generation)) return;
  Assignment& assignment = assigned_[partition];
  assignment.claiming = false;
  if (std::exchange(assignment.started, true)) {
    consumer_.Seek(partition, offset);  // a consumer starts each once
    consumer_.Resume(partition);        // whose state it was may have paused it
  } else {
    consumer_.Start(partition, offset, generation);
  }
}

void PartitionClaims::Again(std::vector<TopicPartition> partitions, uint64_t generation) {
  Later(options_.retry, std::move(partitions), generation);
}

void PartitionClaims::Later(Duration delay, std::vector<TopicPartition> partitions,
                            uint64_t generation) {
  loop_.After(delay, [this, alive = std::weak_ptr(alive_), partitions = std::move(partitions),
                      generation]() mutable {
    if (alive.expired()) return;
    bool confirmed = consumer_.membership_age() <= options_.membership_limit;
    confirmed ? Make(std::move(partitions), generation) : Again(std::move(partitions), generation);
  });
}

bool PartitionClaims::claiming() const {
  return std::any_of(assigned_.begin(), assigned_.end(),
                     [](const auto& item) { return item.second.claiming; });
}

}  // namespace dispatch::broker
