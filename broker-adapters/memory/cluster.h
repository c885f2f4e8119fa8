#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker-adapters/memory/group.h"
#include "broker-adapters/memory/memory_broker.h"
#include "broker-adapters/memory/partition_log.h"

namespace dispatch::broker {

namespace memory {

class Fetcher;

struct Partition {
  PartitionLog log;
  std::vector<Fetcher*> watchers;  // woken by every append
};

struct Topic {
  std::string name;
  std::map<std::string, std::string> config;
  std::vector<std::unique_ptr<Partition>> partitions;
  size_t max_message_bytes = 1'048'588;  // Kafka's default
};

/// A part of a connection that waits while the cluster cannot be reached. Registered as long as it
/// lives; woken in the order of registration.
class Component {
 public:
  virtual ~Component() = default;
  /// The cluster may have become reachable, or stopped being so. Calls nobody back.
  virtual void OnReachability() = 0;
};

}  // namespace memory

/// The state that all connections share. One owner: the cluster's loop.
struct MemoryCluster::Impl {
  Impl(Loop& l, uint64_t seed) : loop(l), random_state(seed * 0x9e3779b97f4a7c15 + 1) {}

  uint64_t Random();
  bool Chance(double probability);
  Duration Latency();
  /// Runs `task` after one trip over the network.
  void Later(std::function<void()> task) { After(Latency(), std::move(task)); }
  void After(Duration delay, std::function<void()> task);

  bool Reachable(const std::string& client_id) const {
    return !down && (partitioned.empty() || !partitioned.contains(client_id));
  }
  void ReachabilityChanged();
  uint64_t Register(memory::Component* component);
  void Unregister(uint64_t id) { components.erase(id); }

  memory::Topic* FindTopic(const std::string& name);
  memory::Partition* FindPartition(const TopicPartition& tp);
  int64_t Append(memory::Partition& partition, Record record);
  /// A topic came, grew or went.
  void TopicsChanged();
  memory::Group& GetGroup(const std::string& name);

  Loop& loop;
  uint64_t random_state;
  Faults faults;
  Duration session_timeout{6'000'000};
  bool down = false;
  std::set<std::string> partitioned;
  std::unordered_map<std::string, memory::Topic> topics;
  std::map<std::string, std::unique_ptr<memory::Group>> groups;
  std::map<uint64_t, memory::Component*> components;
  uint64_t next_id = 1;
};

namespace memory {

using Cluster = MemoryCluster::Impl;
using ClusterPtr = std::shared_ptr<Cluster>;

std::unique_ptr<Producer> NewProducer(ClusterPtr cluster, std::string client,
                                      ProducerOptions options);
std::unique_ptr<GroupConsumer> NewConsumer(ClusterPtr cluster, std::string client,
                                           GroupOptions options, GroupConsumer::Listener& listener);
std::unique_ptr<Reader> NewReader(ClusterPtr cluster, std::string client,
                                  Reader::Listener& listener, size_t max_bytes);
std::unique_ptr<Admin> NewAdmin(ClusterPtr cluster, std::string client);

}  // namespace memory

}  // namespace dispatch::broker
