#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "broker-adapters/inspector.h"
#include "broker-adapters/memory/cluster.h"
#include "broker-adapters/memory/fetcher.h"
#include "broker-adapters/memory/group.h"

namespace dispatch::broker::memory {

namespace {

constexpr Duration kUnreachableAfter{5'000'000};
constexpr std::array<std::string_view, 14> kKnownConfig = {
    "cleanup.policy",         "compression.type",
    "delete.retention.ms",    "flush.messages",
    "max.compaction.lag.ms",  "max.message.bytes",
    "message.timestamp.type", "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",  "min.insync.replicas",
    "retention.bytes",        "retention.ms",
    "segment.bytes",          "segment.ms"};

using Config = std::vector<std::pair<std::string, std::string>>;

bool ValidName(const std::string& name) {
  if (name.empty() || name.size() > 249 || name == "." || name == "..") return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
  });
}

std::string Folded(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

Status NotFound(const std::string& name) {
  return Status(Code::kNotFound, "topic " + name + " does not exist");
}

Status Configure(Topic& topic, const Config& config) {
  for (auto& [name, value] : config) {
    if (std::find(kKnownConfig.begin(), kKnownConfig.end(), name) == kKnownConfig.end()) {
      return Status(Code::kInvalidArgument, "unknown topic setting " + name);
    }
  }
  for (auto& [name, value] : config) {
    topic.config[name] = value;
    if (name == "max.message.bytes") {
      std::from_chars(value.data(), value.data() + value.size(), topic.max_message_bytes);
    }
  }
  return OkStatus();
}

class MemoryAdmin : public Admin, public Inspector {
 public:
  template <typename T>
  using Done = Admin::Done<T>;

  MemoryAdmin(ClusterPtr cluster, std::string client)
      : cluster_(std::move(cluster)), client_(std::move(client)) {}

  void CreateTopic(TopicSpec spec, DoneStatus done) override {
    Run<Status>(std::move(done), [this, spec = std::move(spec)]() -> Status {
      if (!ValidName(spec.name)) {
        return Status(Code::kInvalidArgument, "\"" + spec.name + "\" is not a topic name");
      }
      if (spec.partitions < 1) {
        return Status(Code::kInvalidArgument, "a topic needs one partition or more");
      }
      for (auto& [name, topic] : cluster_->topics) {
        if (Folded(name) == Folded(spec.name)) {
          return Status(Code::kAlreadyExists, "topic " + name + " exists");
        }
      }
      Topic topic;
      topic.name = spec.name;
      RETURN_IF_ERROR(Configure(topic, spec.config));
      Grow(topic, spec.partitions);
      cluster_->topics.emplace(spec.name, std::move(topic));
      cluster_->TopicsChanged();
      return OkStatus();
    });
  }

  void DeleteTopic(std::string name, DoneStatus done) override {
    Run<Status>(std::move(done), [this, name = std::move(name)]() -> Status {
      auto node = cluster_->topics.extract(name);
      if (node.empty()) return NotFound(name);
      for (auto& partition : node.mapped().partitions) {
        auto watchers = std::move(partition->watchers);
        for (Fetcher* fetcher : watchers) fetcher->Forget(partition.get());
      }
      cluster_->TopicsChanged();
      return OkStatus();
    });
  }

  void GrowTopic(std::string name, int32_t partitions, DoneStatus done) override {
    Run<Status>(std::move(done), [this, name = std::move(name), partitions]() -> Status {
      Topic* topic = cluster_->FindTopic(name);
      if (topic == nullptr) return NotFound(name);
      if (static_cast<size_t>(std::max(partitions, 0)) <= topic->partitions.size()) {
        return Status(Code::kInvalidArgument,
                      fmt::format("topic {} has {} partitions: it can only grow", name,
                                  topic->partitions.size()));
      }
      Grow(*topic, partitions);
      cluster_->TopicsChanged();
      return OkStatus();
    });
  }

  void ConfigureTopic(std::string name, Config config, DoneStatus done) override {
    Run<Status>(std::move(done),
                [this, name = std::move(name), config = std::move(config)]() -> Status {
                  Topic* topic = cluster_->FindTopic(name);
                  return topic == nullptr ? NotFound(name) : Configure(*topic, config);
                });
  }

  void DescribeTopic(std::string name, Done<TopicInfo> done) override {
    Run<Result<TopicInfo>>(std::move(done), [this, name = std::move(name)]() -> Result<TopicInfo> {
      const Topic* topic = cluster_->FindTopic(name);
      if (topic == nullptr) return NotFound(name);
      return TopicInfo{name, static_cast<int32_t>(topic->partitions.size())};
    });
  }

  void ListTopics(Done<std::vector<TopicInfo>> done) override {
    using List = std::vector<TopicInfo>;
    Run<Result<List>>(std::move(done), [this]() -> Result<List> {
      List list;
      for (auto& [name, topic] : cluster_->topics) {
        list.push_back({name, static_cast<int32_t>(topic.partitions.size())});
      }
      std::sort(list.begin(), list.end(),
                [](const TopicInfo& a, const TopicInfo& b) { return a.name < b.name; });
      return list;
    });
  }

  void ListOffsets(std::string topic, Done<std::vector<Offsets>> done) override {
    ForPartitions<Offsets>(std::move(topic), std::move(done),
                           [](const PartitionLog& log) { return Offsets{log.begin(), log.end()}; });
  }

  void OffsetsForTime(std::string topic, int64_t timestamp_ms,
                      Done<std::vector<int64_t>> done) override {
    ForPartitions<int64_t>(
        std::move(topic), std::move(done),
        [timestamp_ms](const PartitionLog& log) { return log.OffsetForTime(timestamp_ms); });
  }

  void DescribeGroup(std::string group, Done<GroupInfo> done) override {
    Run<Result<GroupInfo>>(
        std::move(done), [this, group = std::move(group)]() -> Result<GroupInfo> {
          auto it = cluster_->groups.find(group);
          return it == cluster_->groups.end() ? GroupInfo() : it->second->Describe();
        });
  }

  void DescribeCluster(Done<ClusterInfo> done) override {
    Run<Result<ClusterInfo>>(std::move(done), [this]() -> Result<ClusterInfo> {
      ClusterInfo info{{1}, {}};
      for (auto& [name, topic] : cluster_->topics) {
        auto partitions = static_cast<int32_t>(topic.partitions.size());
        info.topics.push_back({name, partitions, 1, 1, 0});
      }
      std::sort(info.topics.begin(), info.topics.end(),
                [](const auto& a, const auto& b) { return a.name < b.name; });
      return info;
    });
  }

  void ClusterId(Done<std::string> done) override {
    Run<Result<std::string>>(std::move(done), [this]() -> Result<std::string> {
      return "memory-" + std::to_string(reinterpret_cast<uintptr_t>(cluster_.get()));
    });
  }

  void DescribeTopicSettings(std::vector<std::string> topics,
                             Done<std::vector<KafkaSettings>> done) override {
    using List = std::vector<KafkaSettings>;
    Run<Result<List>>(std::move(done), [this, topics = std::move(topics)]() -> Result<List> {
      List list;
      for (const std::string& name : topics) {
        const Topic* topic = cluster_->FindTopic(name);
        if (topic == nullptr) return NotFound(name);
        list.push_back({{"cleanup.policy", "delete"},
                        {"max.message.bytes", std::to_string(topic->max_message_bytes)},
                        {"min.insync.replicas", "1"},
                        {"retention.ms", "604800000"}});
        for (const auto& [setting, value] : topic->config) list.back()[setting] = value;
      }
      return list;
    });
  }

  void DescribeBrokerSettings(int32_t broker, Done<KafkaSettings> done) override {
    Run<Result<KafkaSettings>>(std::move(done), [broker]() -> Result<KafkaSettings> {
      return KafkaSettings{{"broker.id", std::to_string(broker)},
                           {"auto.create.topics.enable", "false"}};
    });
  }

  void ListGroups(Done<std::vector<GroupSummary>> done) override {
    using List = std::vector<GroupSummary>;
    Run<Result<List>>(std::move(done), [this]() -> Result<List> {
      List list;
      for (auto& [name, group] : cluster_->groups) list.push_back({name, group->Describe().state});
      return list;
    });
  }

  void ListGroupOffsets(std::string group, Done<std::vector<GroupOffset>> done) override {
    using List = std::vector<GroupOffset>;
    Run<Result<List>>(std::move(done), [this, group = std::move(group)]() -> Result<List> {
      auto it = cluster_->groups.find(group);
      return it == cluster_->groups.end() ? List() : it->second->Offsets();
    });
  }

 private:
  static void Grow(Topic& topic, int32_t partitions) {
    while (topic.partitions.size() < static_cast<size_t>(partitions)) {
      topic.partitions.push_back(std::make_unique<Partition>());
    }
  }

  template <typename T>
  void ForPartitions(std::string name, Done<std::vector<T>> done,
                     std::function<T(const PartitionLog&)> visit) {
    Run<Result<std::vector<T>>>(
        std::move(done),
        [this, name = std::move(name), visit = std::move(visit)]() -> Result<std::vector<T>> {
          const Topic* topic = cluster_->FindTopic(name);
          if (topic == nullptr) return NotFound(name);
          std::vector<T> all;
          for (auto& partition : topic->partitions) all.push_back(visit(partition->log));
          return all;
        });
  }

  // One trip there and back; `work` runs where the cluster is, and not after this object's end.
  template <typename R>
  void Run(std::function<void(R)> done, std::function<R()> work) {
    cluster_->Later([this, alive = std::weak_ptr(alive_), cluster = cluster_,
                     done = std::move(done), work = std::move(work)]() mutable {
      if (alive.expired()) return;
      bool reachable = cluster->Reachable(client_);
      R result = reachable ? work()
                           : R(Code::kUnavailable,
                               "the brokers do not answer: check kafka-brokers, then the brokers");
      cluster->After(reachable ? cluster->Latency() : kUnreachableAfter,
                     [alive, done = std::move(done), result = std::move(result)]() mutable {
                       if (!alive.expired()) done(std::move(result));
                     });
    });
  }

  ClusterPtr cluster_;
  std::string client_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace

std::unique_ptr<Admin> NewAdmin(ClusterPtr cluster, std::string client) {
  return std::make_unique<MemoryAdmin>(std::move(cluster), std::move(client));
}

}  // namespace dispatch::broker::memory
