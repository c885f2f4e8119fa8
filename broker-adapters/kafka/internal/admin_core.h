#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker-adapters/broker.h"
#include "broker-adapters/inspector.h"
#include "broker-adapters/kafka/internal/adapters.h"
#include "broker-adapters/kafka/internal/connection.h"
#include "broker-adapters/kafka/internal/errors.h"
#include "broker-adapters/kafka/internal/event_queue.h"

namespace dispatch::broker::kafka {

/// A topic as the brokers describe it.
struct Description {
  int32_t partitions = 0;
  bool all_led = true;
};

/// Requests go out on the handle of the shared producers; the answers come as events.
class AdminCore : public std::enable_shared_from_this<AdminCore> {
 public:
  static constexpr int kTimeoutMs = 5'000;
  static constexpr Duration kLeaderPoll{30'000};
  using OnResult = std::function<void(rd_kafka_event_t*)>;
  using Send = std::function<void(rd_kafka_t*, rd_kafka_AdminOptions_t*, rd_kafka_queue_t*)>;

  explicit AdminCore(ConnectionPtr connection) : connection_(std::move(connection)) {}

  void Close() {
    gate_->Close();
    if (events_) events_->Close();
    waiting_.clear();
    rk_.reset();
    producer_.reset();
  }

  /// Sends one request. `on_result` gets its event; its error is looked at already.
  void Request(rd_kafka_admin_op_t op, const std::string& what, const Send& send,
               std::function<void(Status)> on_error, OnResult on_result) {
    Status status = Open();
    if (!status.ok()) return Later(std::move(on_error), std::move(status));
    uint64_t id = next_id_++;
    waiting_.emplace(id, [what, on_error = std::move(on_error),
                          on_result = std::move(on_result)](rd_kafka_event_t* event) {
      rd_kafka_resp_err_t err = rd_kafka_event_error(event);
      if (err == RD_KAFKA_RESP_ERR_NO_ERROR) return on_result(event);
      on_error(Status(MakeError(err, what, rd_kafka_event_error_string(event))));
    });
    AdminOptionsPtr options(rd_kafka_AdminOptions_new(rk_.get(), op));
    char text[128];
    rd_kafka_AdminOptions_set_request_timeout(options.get(), kTimeoutMs, text, sizeof text);
    if (op == RD_KAFKA_ADMIN_OP_CREATETOPICS || op == RD_KAFKA_ADMIN_OP_DELETETOPICS ||
        op == RD_KAFKA_ADMIN_OP_CREATEPARTITIONS) {
      // Until the controller has done it.
      rd_kafka_AdminOptions_set_operation_timeout(options.get(), kTimeoutMs, text, sizeof text);
    }
    rd_kafka_AdminOptions_set_opaque(options.get(), reinterpret_cast<void*>(id));
    send(rk_.get(), options.get(), events_->get());
  }

  void Describe(const std::string& name, std::function<void(Result<Description>)> done) {
    auto send = [name](rd_kafka_t* rk, rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
      const char* names[] = {name.c_str()};
      auto* topics = rd_kafka_TopicCollection_of_topic_names(names, 1);
      rd_kafka_DescribeTopics(rk, topics, options, queue);
      rd_kafka_TopicCollection_destroy(topics);
    };
    auto on_result = [name, done](rd_kafka_event_t* event) {
      size_t count = 0;
      auto** topics = rd_kafka_DescribeTopics_result_topics(
          rd_kafka_event_DescribeTopics_result(event), &count);
      if (count == 0) return done(Error{Code::kInternal, "describe " + name + ": no answer"});
      const rd_kafka_error_t* error = rd_kafka_TopicDescription_error(topics[0]);
      if (error != nullptr && rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return done(
            MakeError(rd_kafka_error_code(error), "topic " + name, rd_kafka_error_string(error)));
      }
      auto** parts = rd_kafka_TopicDescription_partitions(topics[0], &count);
      Description description{static_cast<int32_t>(count), count > 0};
      for (size_t i = 0; i < count; ++i) {
        description.all_led &= rd_kafka_TopicPartitionInfo_leader(parts[i]) != nullptr;
      }
      done(description);
    };
    Request(
        RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, "describe topic " + name, send,
        [done](Status s) { done(s.error()); }, on_result);
  }

  /// Until every partition up to `partitions` has a leader, on the broker that answers.
  void AwaitLeaders(const std::string& name, int32_t partitions, SteadyTime limit,
                    Admin::DoneStatus done) {
    Describe(name, [this, name, partitions, limit, done](Result<Description> d) {
      if (d.ok() && d->all_led && d->partitions >= partitions) return done(OkStatus());
      if (connection_->loop.Steady() >= limit) {
        return done(Status(Code::kUnavailable, "topic " + name +
                                                   " was made, but its partitions have no leader "
                                                   "yet: check that all brokers are up"));
      }
      connection_->loop.After(kLeaderPoll,
                              [weak = weak_from_this(), name, partitions, limit, done] {
                                auto self = weak.lock();
                                if (self && self->rk_)
                                  self->AwaitLeaders(name, partitions, limit, done);
                              });
    });
  }

  /// Asks for one offset of each partition: kEarliest, kLatest or a timestamp. -1: none is so late.
  void Offsets(const std::string& name, int32_t partitions, int64_t spec,
               std::function<void(Result<std::vector<int64_t>>)> done) {
    auto send = [=](rd_kafka_t* rk, rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
      ListPtr list(rd_kafka_topic_partition_list_new(partitions));
      for (int32_t p = 0; p < partitions; ++p) {
        rd_kafka_topic_partition_list_add(list.get(), name.c_str(), p)->offset = spec;
      }
      rd_kafka_ListOffsets(rk, list.get(), options, queue);
    };
    auto on_result = [=](rd_kafka_event_t* event) {
      size_t count = 0;
      auto** infos =
          rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(event), &count);
      std::vector<int64_t> offsets(static_cast<size_t>(partitions), -1);
      for (size_t i = 0; i < count; ++i) {
        auto* tp = rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]);
        rd_kafka_resp_err_t err = ErrorOfListed(*tp);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return done(MakeError(err, "offsets of " + name));
        offsets.at(static_cast<size_t>(tp->partition)) = tp->offset;
      }
      done(std::move(offsets));
    };
    Request(
        RD_KAFKA_ADMIN_OP_LISTOFFSETS, "offsets of " + name, send,
        [done](Status s) { done(s.error()); }, on_result);
  }

  // The only requests for all topics, and for the id, block.
  void DescribeCluster(Admin::Done<ClusterInfo> done) { Blocking(&WholeCluster, std::move(done)); }
  void ClusterId(Admin::Done<std::string> done) { Blocking(&IdOfCluster, std::move(done)); }

  /// Settings of topics or brokers, in the order of `names`.
  void Settings(rd_kafka_ResourceType_t type, const std::vector<std::string>& names,
                Admin::Done<std::vector<KafkaSettings>> done) {
    auto send = [=](rd_kafka_t* rk, rd_kafka_AdminOptions_t* options, rd_kafka_queue_t* queue) {
      std::vector<rd_kafka_ConfigResource_t*> resources;
      for (const std::string& name : names) {
        resources.push_back(rd_kafka_ConfigResource_new(type, name.c_str()));
      }
      rd_kafka_DescribeConfigs(rk, resources.data(), resources.size(), options, queue);
      rd_kafka_ConfigResource_destroy_array(resources.data(), resources.size());
    };
    auto on_result = [names, done](rd_kafka_event_t* event) {
      size_t count = 0;
      auto** resources = rd_kafka_DescribeConfigs_result_resources(
          rd_kafka_event_DescribeConfigs_result(event), &count);
      std::unordered_map<std::string, KafkaSettings> by_name;
      for (size_t i = 0; i < count; ++i) {
        std::string name = rd_kafka_ConfigResource_name(resources[i]);
        rd_kafka_resp_err_t err = rd_kafka_ConfigResource_error(resources[i]);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
          return done(MakeError(err, "settings of " + name,
                                rd_kafka_ConfigResource_error_string(resources[i])));
        }
        by_name[name] = Entries(resources[i]);
      }
      std::vector<KafkaSettings> list;
      for (const std::string& name : names) list.push_back(std::move(by_name[name]));
      done(std::move(list));
    };
    Request(
        RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, "settings of " + (names.empty() ? "" : names[0]), send,
        [done](Status s) { done(s.error()); }, on_result);
  }

  ConnectionPtr connection_;

 private:
  template <typename T>
  void Blocking(Result<T> (*ask)(rd_kafka_t*), Admin::Done<T> done) {
    Status status = Open();
    if (!status.ok()) return done(status);
    connection_->worker.Run([ask, rk = rk_, gate = gate_, done = std::move(done),
                             loop = &connection_->loop, weak = weak_from_this()]() mutable {
      auto result = ask(rk.get());
      std::lock_guard lock(gate->mutex);
      if (gate->closed) return;
      loop->Post([weak, done = std::move(done), result = std::move(result)]() mutable {
        auto self = weak.lock();
        if (self && self->rk_) done(std::move(result));
      });
    });
  }

  Status Open() {
    if (producer_ == nullptr) producer_ = NewSharedProducer(connection_, {});
    if (rk_ && !waiting_.empty()) return OkStatus();
    ASSIGN_OR_RETURN(RkPtr rk, producer_->Handle());
    if (rk == rk_) return OkStatus();
    if (events_) events_->Close();
    rk_ = std::move(rk);
    auto on_event = [weak = weak_from_this()](EventPtr event) {
      if (auto self = weak.lock()) self->OnEvent(event.get());
    };
    events_ =
        EventQueue::Open(connection_->loop, rk_, QueuePtr(rd_kafka_queue_new(rk_.get())), on_event);
    return OkStatus();
  }

  void Later(std::function<void(Status)> done, Status status) {
    connection_->loop.Post(
        [weak = weak_from_this(), done = std::move(done), status = std::move(status)] {
          if (!weak.expired()) done(status);
        });
  }

  void OnEvent(rd_kafka_event_t* event) {
    auto it = waiting_.find(reinterpret_cast<uint64_t>(rd_kafka_event_opaque(event)));
    if (it == waiting_.end()) return;
    OnResult on_result = std::move(it->second);
    waiting_.erase(it);
    on_result(event);
  }

  static KafkaSettings Entries(const rd_kafka_ConfigResource_t* resource) {
    KafkaSettings settings;
    size_t count = 0;
    auto** entries = rd_kafka_ConfigResource_configs(resource, &count);
    for (size_t i = 0; i < count; ++i) {
      const char* value = rd_kafka_ConfigEntry_value(entries[i]);
      if (value != nullptr) settings[rd_kafka_ConfigEntry_name(entries[i])] = value;
    }
    return settings;
  }

  static TopicLayout LayoutOf(const rd_kafka_metadata_topic_t& topic) {
    TopicLayout layout{topic.topic, topic.partition_cnt, 0, 0, 0};
    bool led = false;
    for (int p = 0; p < topic.partition_cnt; ++p) {
      const auto& partition = topic.partitions[p];
      layout.replicas = p == 0 ? partition.replica_cnt
                               : std::min(layout.replicas, int32_t{partition.replica_cnt});
      if (partition.leader < 0) {
        ++layout.leaderless;
        continue;
      }
      layout.in_sync =
          led ? std::min(layout.in_sync, int32_t{partition.isr_cnt}) : int32_t{partition.isr_cnt};
      led = true;
    }
    return layout;
  }

  static Result<ClusterInfo> WholeCluster(rd_kafka_t* rk) {
    const rd_kafka_metadata_t* metadata = nullptr;
    rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 1, nullptr, &metadata, kTimeoutMs);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return MakeError(err, "list topics");
    ClusterInfo info;
    for (int i = 0; i < metadata->broker_cnt; ++i) info.brokers.push_back(metadata->brokers[i].id);
    for (int i = 0; i < metadata->topic_cnt; ++i) {
      const auto& topic = metadata->topics[i];
      if (topic.err == RD_KAFKA_RESP_ERR_NO_ERROR) info.topics.push_back(LayoutOf(topic));
    }
    rd_kafka_metadata_destroy(metadata);
    std::sort(info.topics.begin(), info.topics.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    return info;
  }

  static Result<std::string> IdOfCluster(rd_kafka_t* rk) {
    const rd_kafka_metadata_t* metadata = nullptr;
    rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, nullptr, &metadata, kTimeoutMs);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return MakeError(err, "ask for the cluster's id");
    rd_kafka_metadata_destroy(metadata);
    // Known from that answer.
    std::unique_ptr<char, void (*)(char*)> id(rd_kafka_clusterid(rk, 0),
                                              [](char* text) { rd_kafka_mem_free(nullptr, text); });
    if (id == nullptr) return Error{Code::kUnavailable, "the cluster tells no id"};
    return std::string(id.get());
  }

  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  std::unique_ptr<LendingProducer> producer_;
  RkPtr rk_;  // of it, when the requests under way were sent
  std::shared_ptr<EventQueue> events_;
  std::unordered_map<uint64_t, OnResult> waiting_;
  uint64_t next_id_ = 1;
};

}  // namespace dispatch::broker::kafka
