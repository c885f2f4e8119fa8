#include <algorithm>

#include "broker-adapters/kafka/internal/adapters.h"
#include "broker-adapters/kafka/internal/admin_core.h"
#include "broker-adapters/kafka/internal/errors.h"

namespace dispatch::broker::kafka {

namespace {

constexpr Duration kLeaderLimit{20'000'000};

using Config = std::vector<std::pair<std::string, std::string>>;

// The single result of a request for one topic.
Status TopicResult(const rd_kafka_topic_result_t** results, size_t count, const std::string& what) {
  if (count == 0) return Status(Code::kInternal, what + ": no answer");
  rd_kafka_resp_err_t err = rd_kafka_topic_result_error(results[0]);
  if (err == RD_KAFKA_RESP_ERR_NO_ERROR) return OkStatus();
  return Status(MakeError(err, what, rd_kafka_topic_result_error_string(results[0])));
}

const char* StateName(rd_kafka_consumer_group_state_t state) {
  switch (state) {
    case RD_KAFKA_CONSUMER_GROUP_STATE_STABLE:
      return "stable";
    case RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY:
      return "empty";
    case RD_KAFKA_CONSUMER_GROUP_STATE_DEAD:
      return "dead";
    case RD_KAFKA_CONSUMER_GROUP_STATE_PREPARING_REBALANCE:
    case RD_KAFKA_CONSUMER_GROUP_STATE_COMPLETING_REBALANCE:
      return "rebalancing";
    default:  // also those of groups of the new protocol that the client does not know
      return "unknown";
  }
}

std::vector<GroupSummary> GroupList(const rd_kafka_ListConsumerGroups_result_t* result) {
  std::vector<GroupSummary> groups;
  size_t count = 0;
  auto** listed = rd_kafka_ListConsumerGroups_result_valid(result, &count);
  for (size_t i = 0; i < count; ++i) {
    groups.push_back({rd_kafka_ConsumerGroupListing_group_id(listed[i]),
                      StateName(rd_kafka_ConsumerGroupListing_state(listed[i]))});
  }
  std::sort(groups.begin(), groups.end(),
            [](const GroupSummary& a, const GroupSummary& b) { return a.name < b.name; });
  return groups;
}

Result<std::vector<GroupOffset>> OffsetsResult(const rd_kafka_group_result_t* group,
                                               const std::string& what) {
  const rd_kafka_error_t* error = rd_kafka_group_result_error(group);
  auto code = error == nullptr ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_error_code(error);
  std::vector<GroupOffset> offsets;
  if (code == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) return offsets;
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return MakeError(code, what, rd_kafka_error_string(error));
  }
  const auto* list = rd_kafka_group_result_partitions(group);
  for (int i = 0; list != nullptr && i < list->cnt; ++i) {
    const auto& tp = list->elems[i];
    if (tp.err == RD_KAFKA_RESP_ERR_NO_ERROR && tp.offset >= 0) {
      offsets.push_back({{tp.topic, tp.partition}, tp.offset});
    }
  }
  std::sort(offsets.begin(), offsets.end(),
            [](const GroupOffset& a, const GroupOffset& b) { return a.partition < b.partition; });
  return offsets;
}

Result<GroupInfo> GroupResult(const rd_kafka_ConsumerGroupDescription_t* group,
                              const std::string& what) {
  const rd_kafka_error_t* error = rd_kafka_ConsumerGroupDescription_error(group);
  auto code = error == nullptr ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_error_code(error);
  if (code == RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND) return GroupInfo();
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return MakeError(code, what, rd_kafka_error_string(error));
  }
  GroupInfo info;
  info.state = StateName(rd_kafka_ConsumerGroupDescription_state(group));
  size_t count = rd_kafka_ConsumerGroupDescription_member_count(group);
  for (size_t i = 0; i < count; ++i) {
    const auto* member = rd_kafka_ConsumerGroupDescription_member(group, i);
    GroupInfo::Member& out = info.members.emplace_back();
    out.client_id = rd_kafka_MemberDescription_client_id(member);
    const auto* assignment = rd_kafka_MemberDescription_assignment(member);
    const auto* list =
        assignment == nullptr ? nullptr : rd_kafka_MemberAssignment_partitions(assignment);
    for (int p = 0; list != nullptr && p < list->cnt; ++p) {
      out.partitions.push_back({list->elems[p].topic, list->elems[p].partition});
    }
  }
  return info;
}

class KafkaAdmin : public Admin, public Inspector {
 public:
  template <typename T>
  using Done = Admin::Done<T>;

  explicit KafkaAdmin(ConnectionPtr connection)
      : core_(std::make_shared<AdminCore>(std::move(connection))) {}
  ~KafkaAdmin() override { core_->Close(); }

  void CreateTopic(TopicSpec spec, DoneStatus done) override {
    char text[256];
    auto* topic = rd_kafka_NewTopic_new(spec.name.c_str(), spec.partitions, spec.replication_factor,
                                        text, sizeof text);
    // -1 partitions would be the broker's default.
    if (topic == nullptr || spec.partitions < 1) {
      std::string message = topic == nullptr ? text : "a topic needs one partition or more";
      if (topic != nullptr) rd_kafka_NewTopic_destroy(topic);
      return Fail(std::move(done), Code::kInvalidArgument, message);
    }
    for (auto& [name, value] : spec.config) {
      rd_kafka_NewTopic_set_config(topic, name.c_str(), value.c_str());
    }
    std::string what = "create topic " + spec.name;
    core_->Request(
        RD_KAFKA_ADMIN_OP_CREATETOPICS, what,
        [topic](rd_kafka_t* rk, rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
          rd_kafka_NewTopic_t* topics[] = {topic};
          rd_kafka_CreateTopics(rk, topics, 1, options, queue);
          rd_kafka_NewTopic_destroy(topic);
        },
        done,
        [this, done, what, spec](rd_kafka_event_t* event) {
          size_t count = 0;
          auto** results = rd_kafka_CreateTopics_result_topics(
              rd_kafka_event_CreateTopics_result(event), &count);
          Status status = TopicResult(results, count, what);
          if (!status.ok()) return done(std::move(status));
          core_->AwaitLeaders(spec.name, spec.partitions,
                              core_->connection_->loop.Steady() + kLeaderLimit, done);
        });
  }

  void DeleteTopic(std::string name, DoneStatus done) override {
    std::string what = "delete topic " + name;
    core_->Request(
        RD_KAFKA_ADMIN_OP_DELETETOPICS, what,
        [name](rd_kafka_t* rk, rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
          rd_kafka_DeleteTopic_t* topic = rd_kafka_DeleteTopic_new(name.c_str());
          rd_kafka_DeleteTopics(rk, &topic, 1, options, queue);
          rd_kafka_DeleteTopic_destroy(topic);
        },
        done,
        [done, what](rd_kafka_event_t* event) {
          size_t count = 0;
          auto** results = rd_kafka_DeleteTopics_result_topics(
              rd_kafka_event_DeleteTopics_result(event), &count);
          done(TopicResult(results, count, what));
        });
  }

  void GrowTopic(std::string name, int32_t partitions, DoneStatus done) override {
    char text[256];
    auto* grown = rd_kafka_NewPartitions_new(
        name.c_str(), static_cast<size_t>(std::max(partitions, 0)), text, sizeof text);
    if (grown == nullptr) return Fail(std::move(done), Code::kInvalidArgument, text);
    std::string what = "grow topic " + name;
    core_->Request(
        RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, what,
        [grown](rd_kafka_t* rk, rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
          rd_kafka_NewPartitions_t* all[] = {grown};
          rd_kafka_CreatePartitions(rk, all, 1, options, queue);
          rd_kafka_NewPartitions_destroy(grown);
        },
        done,
        [this, done, what, name, partitions](rd_kafka_event_t* event) {
          size_t count = 0;
          auto** results = rd_kafka_CreatePartitions_result_topics(
              rd_kafka_event_CreatePartitions_result(event), &count);
          Status status = TopicResult(results, count, what);
          if (!status.ok()) return done(std::move(status));
          core_->AwaitLeaders(name, partitions, core_->connection_->loop.Steady() + kLeaderLimit,
                              done);
        });
  }

  void ConfigureTopic(std::string name, Config config, DoneStatus done) override {
    std::string what = "configure topic " + name;
    core_->Request(
        RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS, what,
        [name, config](rd_kafka_t* rk, rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
          auto* resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name.c_str());
          for (auto& [key, value] : config) {
            ErrorPtr ignored(rd_kafka_ConfigResource_add_incremental_config(
                resource, key.c_str(), RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET, value.c_str()));
          }
          rd_kafka_IncrementalAlterConfigs(rk, &resource, 1, options, queue);
          rd_kafka_ConfigResource_destroy(resource);
        },
        done,
        [done, what](rd_kafka_event_t* event) {
          size_t count = 0;
          auto** resources = rd_kafka_IncrementalAlterConfigs_result_resources(
              rd_kafka_event_IncrementalAlterConfigs_result(event), &count);
          if (count == 0) return done(Status(Code::kInternal, what + ": no answer"));
          rd_kafka_resp_err_t err = rd_kafka_ConfigResource_error(resources[0]);
          if (err == RD_KAFKA_RESP_ERR_NO_ERROR) return done(OkStatus());
          done(Status(MakeError(err, what, rd_kafka_ConfigResource_error_string(resources[0]))));
        });
  }

  void DescribeTopic(std::string name, Done<TopicInfo> done) override {
    core_->Describe(name, [name, done = std::move(done)](Result<Description> d) {
      if (!d.ok()) return done(d.error());
      done(TopicInfo{name, d->partitions});
    });
  }

  void ListTopics(Done<std::vector<TopicInfo>> done) override {
    core_->DescribeCluster([done = std::move(done)](Result<ClusterInfo> cluster) {
      if (!cluster.ok()) return done(cluster.error());
      std::vector<TopicInfo> topics;
      for (const TopicLayout& topic : cluster->topics) {
        topics.push_back({topic.name, topic.partitions});
      }
      done(std::move(topics));
    });
  }

  void ListOffsets(std::string topic, Done<std::vector<Offsets>> done) override {
    OffsetPairs(topic, kEarliest, [done = std::move(done)](Result<std::vector<Offsets>> pairs) {
      done(std::move(pairs));
    });
  }

  void OffsetsForTime(std::string topic, int64_t timestamp_ms,
                      Done<std::vector<int64_t>> done) override {
    OffsetPairs(topic, std::max<int64_t>(timestamp_ms, 0),
                [done = std::move(done)](Result<std::vector<Offsets>> pairs) {
                  if (!pairs.ok()) return done(pairs.error());
                  std::vector<int64_t> offsets;
                  for (auto& pair : *pairs) {
                    offsets.push_back(pair.earliest < 0 ? pair.latest : pair.earliest);
                  }
                  done(std::move(offsets));
                });
  }

  void DescribeGroup(std::string group, Done<GroupInfo> done) override {
    std::string what = "describe group " + group;
    core_->Request(
        RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, what,
        [group](rd_kafka_t* rk, rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
          const char* groups[] = {group.c_str()};
          rd_kafka_DescribeConsumerGroups(rk, groups, 1, options, queue);
        },
        [done](Status s) { done(s.error()); },
        [done, what](rd_kafka_event_t* event) {
          size_t count = 0;
          auto** groups = rd_kafka_DescribeConsumerGroups_result_groups(
              rd_kafka_event_DescribeConsumerGroups_result(event), &count);
          if (count == 0) return done(Error{Code::kInternal, what + ": no answer"});
          done(GroupResult(groups[0], what));
        });
  }

  void DescribeCluster(Done<ClusterInfo> done) override { core_->DescribeCluster(std::move(done)); }

  void ClusterId(Done<std::string> done) override { core_->ClusterId(std::move(done)); }

  void DescribeTopicSettings(std::vector<std::string> topics,
                             Done<std::vector<KafkaSettings>> done) override {
    if (topics.empty()) return done(std::vector<KafkaSettings>{});
    core_->Settings(RD_KAFKA_RESOURCE_TOPIC, topics, std::move(done));
  }

  void DescribeBrokerSettings(int32_t broker, Done<KafkaSettings> done) override {
    core_->Settings(RD_KAFKA_RESOURCE_BROKER, {std::to_string(broker)},
                    [done = std::move(done)](Result<std::vector<KafkaSettings>> settings) {
                      if (!settings.ok()) return done(settings.error());
                      done(std::move(settings->front()));
                    });
  }

  void ListGroups(Done<std::vector<GroupSummary>> done) override {
    core_->Request(
        RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS, "list groups",
        [](rd_kafka_t* rk, rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
          rd_kafka_ListConsumerGroups(rk, options, queue);
        },
        [done](Status s) { done(s.error()); },
        [done](rd_kafka_event_t* event) {
          done(GroupList(rd_kafka_event_ListConsumerGroups_result(event)));
        });
  }

  void ListGroupOffsets(std::string group, Done<std::vector<GroupOffset>> done) override {
    std::string what = "offsets of group " + group;
    core_->Request(
        RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, what,
        [group](rd_kafka_t* rk, rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
          auto* asked = rd_kafka_ListConsumerGroupOffsets_new(group.c_str(), nullptr);
          rd_kafka_ListConsumerGroupOffsets(rk, &asked, 1, options, queue);
          rd_kafka_ListConsumerGroupOffsets_destroy(asked);
        },
        [done](Status s) { done(s.error()); },
        [done, what](rd_kafka_event_t* event) {
          size_t count = 0;
          auto** groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
              rd_kafka_event_ListConsumerGroupOffsets_result(event), &count);
          if (count == 0) return done(Error{Code::kInternal, what + ": no answer"});
          done(OffsetsResult(groups[0], what));
        });
  }

 private:
  void Fail(DoneStatus done, Code code, std::string message) {
    core_->connection_->loop.Post(
        [weak = std::weak_ptr(core_), done = std::move(done), code, message = std::move(message)] {
          if (!weak.expired()) done(Status(code, message));
        });
  }

  // `spec` as the earliest, and the end, of every partition.
  void OffsetPairs(const std::string& topic, int64_t spec,
                   std::function<void(Result<std::vector<Offsets>>)> done) {
    AdminCore* core = core_.get();  // answers do not come after its end
    core->Describe(topic, [core, topic, spec, done](Result<Description> d) {
      if (!d.ok()) return done(d.error());
      int32_t partitions = d->partitions;
      core->Offsets(topic, partitions, spec, [=](Result<std::vector<int64_t>> first) {
        if (!first.ok()) return done(first.error());
        core->Offsets(topic, partitions, kLatest, [=](Result<std::vector<int64_t>> last) {
          if (!last.ok()) return done(last.error());
          std::vector<Offsets> pairs;
          for (size_t i = 0; i < first->size(); ++i) pairs.push_back({(*first)[i], (*last)[i]});
          done(std::move(pairs));
        });
      });
    });
  }

  std::shared_ptr<AdminCore> core_;
};

}  // namespace

std::unique_ptr<Admin> NewAdmin(ConnectionPtr connection) {
  return std::make_unique<KafkaAdmin>(std::move(connection));
}

}  // namespace dispatch::broker::kafka
