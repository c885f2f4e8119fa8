#pragma once

#include <map>
#include <string>
#include <vector>

#include "broker-adapters/broker.h"

namespace dispatch::broker {

/// How a topic lies on the brokers: of its partitions the least.
struct TopicLayout {
  std::string name;
  int32_t partitions = 0;
  int32_t replicas = 0;
  int32_t in_sync = 0;  // of a partition that has a leader
  int32_t leaderless = 0;
};
struct ClusterInfo {
  std::vector<int32_t> brokers;
  std::vector<TopicLayout> topics;  // by name
};
/// Settings of a topic or a broker by Kafka's names, defaults included; secret ones are left out.
using KafkaSettings = std::map<std::string, std::string>;

/// How the cluster is set up, for those who look after it. Callbacks on the owner's loop.
/// Unreachable brokers: kUnavailable.
class Inspector {
 public:
  template <typename T>
  using Done = Admin::Done<T>;
  virtual ~Inspector() = default;

  virtual void DescribeCluster(Done<ClusterInfo> done) = 0;
  /// The same by whatever addresses it was found. kUnavailable too when the cluster has none.
  virtual void ClusterId(Done<std::string> done) = 0;
  /// In the order of `topics`; one that is not there fails all with kNotFound.
  virtual void DescribeTopicSettings(std::vector<std::string> topics,
                                     Done<std::vector<KafkaSettings>> done) = 0;
  virtual void DescribeBrokerSettings(int32_t broker, Done<KafkaSettings> done) = 0;
};

/// The Admin as an Inspector, which those of Kafka and of the memory broker are.
inline Inspector& InspectorOf(Admin& admin) { return dynamic_cast<Inspector&>(admin); }

}  // namespace dispatch::broker
