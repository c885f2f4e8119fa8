#include "broker-adapters/topics.h"

#include <algorithm>
#include <memory>

#include "common/log.h"

namespace dispatch::broker {

namespace {

using Config = std::vector<std::pair<std::string, std::string>>;

constexpr int64_t kMinute = 60'000;
constexpr int64_t kDay = 24 * 60 * kMinute;
constexpr char kInternalMaxBytes[] = "2097152";
constexpr Duration kRetry{1'000'000};

// Retention only drops segments that are closed: short-lived topics close theirs as often.
Config Delete(int64_t retention_ms) {
  return {{"cleanup.policy", "delete"},
          {"retention.ms", std::to_string(retention_ms)},
          {"segment.ms", std::to_string(std::min<int64_t>(retention_ms, kDay))}};
}

// Segments close often, so that heartbeats and old versions are cleaned soon. Tombstones outlive
// the longest absence of a reader.
Config Compact() {
  return {{"cleanup.policy", "compact"},
          {"segment.ms", std::to_string(10 * kMinute)},
          {"min.cleanable.dirty.ratio", "0.1"},
          {"delete.retention.ms", std::to_string(7 * kDay)}};
}

class Ensurer : public std::enable_shared_from_this<Ensurer> {
 public:
  Ensurer(Broker& broker, Loop& loop, std::vector<TopicSpec> specs, std::function<void()> done)
      : broker_(broker),
        broker_alive_(broker.alive()),
        loop_(loop),
        specs_(std::move(specs)),
        done_(std::move(done)) {}

  // One after another: a new cluster's controller is asked for few things at once.
  void Next() {
    if (broker_alive_.expired()) return;
    if (next_ == specs_.size()) {
      loop_.Post(std::move(done_));
      return;
    }
    broker_.admin().CreateTopic(specs_[next_], [self = shared_from_this()](Status status) {
      self->Created(std::move(status));
    });
  }

 private:
  void Created(Status status) {
    if (status.ok() || status.code() == Code::kAlreadyExists) {
      ++next_;
      Next();
      return;
    }
    log::Warning("topic cannot be made yet, trying again topic={} reason=\"{}\"",
                 specs_[next_].name, status.message());
    loop_.After(kRetry, [self = shared_from_this()] { self->Next(); });
  }

  Broker& broker_;
  std::weak_ptr<const void> broker_alive_;
  Loop& loop_;
  std::vector<TopicSpec> specs_;
  size_t next_ = 0;
  std::function<void()> done_;
};

}  // namespace

std::string RpcTopic(const std::string& service) { return "dispatch.rpc." + service; }
std::string StateTopic(const std::string& service) { return "dispatch.state." + service; }
std::string EventTopic(const std::string& org, const std::string& topic) {
  return org + "." + topic;
}

std::vector<TopicSpec> InternalTopics(int16_t replication_factor, int32_t invocations_partitions) {
  std::vector<TopicSpec> specs;
  auto add = [&](std::string name, int32_t partitions, Config config) {
    config.emplace_back("max.message.bytes", kInternalMaxBytes);
    config.emplace_back("min.insync.replicas", replication_factor >= 3 ? "2" : "1");
    specs.push_back({std::move(name), partitions, replication_factor, std::move(config)});
  };
  for (const char* service : {"identity", "event-manager", "function-manager"}) {
    add(StateTopic(service), 1, Compact());
    add(RpcTopic(service), 4, Delete(10 * kMinute));
  }
  add(kRepliesTopic, 8, Delete(kMinute));
  add(kInvocationsTopic, invocations_partitions, Delete(7 * kDay));
  add(kProgressTopic, 4, Compact());
  add(kDeadLettersTopic, 4, Delete(kDeadLettersRetention.count()));
  add(kAuditTopic, 1, Delete(90 * kDay));
  return specs;
}

void EnsureTopics(Broker& broker, Loop& loop, std::vector<TopicSpec> specs,
                  std::function<void()> done) {
  auto ensurer = std::make_shared<Ensurer>(broker, loop, std::move(specs), std::move(done));
  loop.Post([ensurer] { ensurer->Next(); });
}

}  // namespace dispatch::broker
