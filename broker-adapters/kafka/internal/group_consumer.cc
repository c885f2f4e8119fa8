#include <utility>

#include "broker-adapters/kafka/internal/adapters.h"
#include "broker-adapters/kafka/internal/consumer.h"
#include "broker-adapters/kafka/internal/membership.h"
#include "common/check.h"
#include "common/log.h"
#include "common/metrics.h"

namespace dispatch::broker::kafka {

namespace {

constexpr Duration kReleaseTimeout{10'000'000};
constexpr Duration kReopen{1'000'000};
constexpr Duration kAskedWithin{2'000'000};
constexpr Duration kDoubt{3'000'000};        // more than a heartbeat and its answer take
constexpr Duration kUnanswered{60'000'000};  // more than any session
constexpr int kSessionMs = 6'000;    // of the classic protocol; with KIP-848 it is the broker's
constexpr int kHeartbeatMs = 1'500;  // likewise

/// A member. Rebalances come as events and wait for their answer: an assignment until everything
/// was started, a revocation until it was released. librdkafka pauses the whole member meanwhile.
class GroupCore : public Consumer {
 public:
  GroupCore(ConnectionPtr connection, GroupOptions options, GroupConsumer::Listener& listener)
      : Consumer(std::move(connection)),
        options_(std::move(options)),
        listener_(&listener),
        named_(!options_.instance_id.empty()) {}

  void Open() {
    const std::string& protocol = connection_->options.group_protocol;
    classic_ = protocol == "classic" || connection_->classic_only || (protocol == "auto" && named_);
    Conf conf(connection_, options_.client_id);
    conf.Set("group.id", options_.group)
        .Set("enable.auto.commit", "false")
        .Set("enable.auto.offset.store", "false")
        .Set("auto.offset.reset", "error")
        .Set("fetch.queue.backoff.ms", 20)
        .Set("fetch.wait.max.ms", options_.fetch_wait.count())
        .Set("statistics.interval.ms", 1'000)
        .Set("topic.metadata.refresh.interval.ms", 10'000)
        .Set("topic.metadata.propagation.max.ms", 5'000)
        .Set("queued.max.messages.kbytes",
             static_cast<int64_t>(std::max<size_t>(options_.max_prefetch_bytes / 1024, 1)))
        .Events(RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT |
                RD_KAFKA_EVENT_STATS);
    if (!options_.instance_id.empty()) conf.Set("group.instance.id", options_.instance_id);
    if (classic_) {
      conf.Set("group.protocol", "classic")
          .Set("partition.assignment.strategy", "cooperative-sticky")
          .Set("session.timeout.ms", kSessionMs)
          .Set("heartbeat.interval.ms", kHeartbeatMs);
    } else {
      conf.Set("group.protocol", "consumer");
    }
    Status status = OpenHandle(conf);
    DISPATCH_CHECK(status.ok());
    membership_.Reset();
    returning_ = !options_.instance_id.empty();
    if (!topics_.empty()) SendSubscription();
  }

  void Abandon() {
    listener_ = nullptr;
    closed_ = nullptr;
    connection_->loop.Cancel(release_timer_);
    EndDoubt();
    if (closing_events_) closing_events_->Close();
    CloseHandle();
  }

  void Subscribe(std::vector<std::string> topics) {
    if (topics_.empty()) membership_.Reset();  // joining begins now
    topics_ = std::move(topics);
    if (rk_ && !closing_) SendSubscription();
  }

  void Start(const TopicPartition& tp, int64_t offset, uint64_t generation) {
    Part* part = Find(tp);
    if (part == nullptr || part->generation != generation || part->started) return;
    part->started = true;
    part->next = offset;
    if (--not_started_ == 0) FinishAssign();
  }

  void Seek(const TopicPartition& tp, int64_t offset) {
    Part* part = Find(tp);
    if (part != nullptr && part->started) Move(tp, *part, offset);
  }

  void Commit(const std::vector<std::pair<TopicPartition, int64_t>>& offsets) {
    if (!rk_) return;
    ListPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(offsets.size())));
    for (auto& [tp, offset] : offsets) {
      rd_kafka_topic_partition_list_add(list.get(), tp.topic.c_str(), tp.partition)->offset =
          offset;
    }
    // rd_kafka_commit tells its outcome to a callback or to nobody, never as an event.
    if (list->cnt > 0) rd_kafka_commit_queue(rk_.get(), list.get(), queue(), nullptr, nullptr);
  }

  Duration Age() const { return membership_.Age(connection_->loop.Steady()); }

  void Close(std::function<void()> closed) {
    if (closing_) return;
    closing_ = true;
    closed_ = std::move(closed);
    if (!assigning_.empty()) {
      // Nothing will be started any more; librdkafka still wants its answer.
      for (auto& tp : assigning_) Find(tp)->next = kLatest;
      not_started_ = 0;
      FinishAssign();
    }
    for (auto& [tp, part] : parts_) part.muted = true;
    if (!revoking_) StartClose();
  }

 private:
  bool MayMove() const override { return assigning_.empty() && !revoking_ && !closing_; }

  void SendSubscription() {
    subscribed_ = connection_->loop.Steady();
    ListPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(topics_.size())));
    for (auto& topic : topics_) {
      if (returning_ && list->cnt > 0 && topic == topics_.back()) continue;  // see JoinAgain
      rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
    }
    rd_kafka_resp_err_t err = topics_.empty() ? rd_kafka_unsubscribe(rk_.get())
                                              : rd_kafka_subscribe(rk_.get(), list.get());
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      log::Error("subscribe failed group={} reason=\"{}\"", options_.group, rd_kafka_err2str(err));
    }
  }

  void OnOther(EventPtr event) override {
    switch (rd_kafka_event_type(event.get())) {
      case RD_KAFKA_EVENT_REBALANCE:
        return OnRebalance(event.get());
      case RD_KAFKA_EVENT_STATS:
        return OnStatistics(rd_kafka_event_stats(event.get()));
      case RD_KAFKA_EVENT_OFFSET_COMMIT:
        return OnCommitted(rd_kafka_event_error(event.get()));
      default:
        return;
    }
  }

  void OnCommitted(rd_kafka_resp_err_t err) {
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR || err == RD_KAFKA_RESP_ERR__NO_OFFSET) return;
    static const auto refused = metrics::GetCounter(
        "dispatch_offset_commits_refused_total",
        "Commits to Kafka's groups that failed; the next ones make up for them");
    refused.Add();
    if (log::Sometimes("kafka.commit")) {
      log::Warning("offset commit failed group={} reason=\"{}\"", options_.group,
                   rd_kafka_err2str(err));
    }
    if (closing_) return;
    if (err == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID) OnFenced();
    if (err == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID) Doubt();
  }

  // The group does not know us: librdkafka finds out by its next heartbeat and tells that all is
  // lost. Its heartbeats may have stopped, after connections to the coordinator that hung: then it
  // would stay where it is, and own for ever what another member was given.
  void Doubt() {
    if (doubt_timer_ != kNoTimer) return;
    membership_.Reset();
    doubt_timer_ = connection_->loop.After(kDoubt, [weak = weak_from_this()] {
      auto self = std::static_pointer_cast<GroupCore>(weak.lock());
      if (!self || self->doubt_timer_ == kNoTimer) return;
      self->doubt_timer_ = kNoTimer;
      if (self->rk_ && !self->closing_) self->JoinAnew("the group does not know it");
    });
  }

  void EndDoubt() {
    connection_->loop.Cancel(doubt_timer_);
    doubt_timer_ = kNoTimer;
  }

  void JoinAnew(const char* why) {
    log::Warning("group member joins anew group={} reason=\"{}\"", options_.group, why);
    Reopen(false);
  }

  void OnStatistics(const char* json) {
    int32_t epoch = classic_ ? 0 : Epoch();
    if (doubt_timer_ == kNoTimer) membership_.OnStatistics(json, epoch);
    if (!closing_ && Membership::Unanswered(json, epoch, kUnanswered)) {
      return JoinAnew("its heartbeats are not answered");
    }
    bool joining = !closing_ && !topics_.empty();
    if (joining && membership_.Stuck(json, epoch, connection_->loop.Steady())) {
      return JoinAnew("it does not get on with joining or leaving");
    }
    if (epoch > 0) connection_->consumer_protocol_seen = true;
    bool maybe = !classic_ && connection_->options.group_protocol == "auto" &&
                 !connection_->consumer_protocol_seen && !topics_.empty() &&
                 connection_->loop.Steady() - subscribed_ > kAskedWithin;
    if (maybe && Membership::NothingAsked(json, kAskedWithin)) Reopen(true);
  }

  // Of a KIP-848 member: -1 or 0 before it joined.
  int32_t Epoch() const {
    rd_kafka_consumer_group_metadata_t* metadata = rd_kafka_consumer_group_metadata(rk_.get());
    if (metadata == nullptr) return 0;
    int32_t epoch = rd_kafka_consumer_group_metadata_generation_id(metadata);
    rd_kafka_consumer_group_metadata_destroy(metadata);
    return epoch;
  }

  void OnTurn() override {
    membership_.OnTick(connection_->loop.Steady());
    // The closing queue's events come to whoever polls first.
    if (closing_events_ && rd_kafka_consumer_closed(rk_.get()) != 0) FinishClose();
  }

  void OnRebalance(rd_kafka_event_t* event) {
    EndDoubt();
    auto partitions = FromList(*rd_kafka_event_topic_partition_list(event));
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
      return OnAssign(std::move(partitions));
    }
    bool lost = rd_kafka_assignment_lost(rk_.get()) != 0;
    if (lost) membership_.Reset();
    // An assignment that waits for its Starts is overtaken: librdkafka forgets it and does not name
    // it now. Its partitions come again.
    auto overtaken = std::exchange(assigning_, {});
    if (!partitions.empty() && !lost && overtaken.empty()) return OnRevoke(std::move(partitions));
    for (auto& tp : overtaken) {
      if (std::find(partitions.begin(), partitions.end(), tp) == partitions.end()) {
        partitions.push_back(std::move(tp));
      }
    }
    EndRevocation();
    bool unassigned = Unassign(partitions);
    MoveWaiting();
    if (!partitions.empty()) listener_->OnLost(partitions);
    if (!unassigned && rk_) Reopen(false);
  }

  void OnAssign(std::vector<TopicPartition> partitions) {
    if (partitions.empty()) {
      Assign({});
      return JoinAgain({});
    }
    uint64_t generation = ++generation_;
    for (auto& tp : partitions) {
      parts_[tp] = Part{.generation = generation};
    }
    assigning_ = partitions;
    not_started_ = partitions.size();
    if (closing_) {
      for (auto& tp : partitions) parts_[tp].next = kLatest;
      return FinishAssign();
    }
    listener_->OnAssigned(partitions, generation);
  }

  void FinishAssign() {
    auto partitions = std::exchange(assigning_, {});
    Assign(partitions);
    MoveWaiting();
    JoinAgain(partitions);
  }

  // A static member that returns is given what its name had, whatever it subscribes to now: topics
  // that are gone, and none of those that are new. Only a member that joins again with something
  // else is asked for. So it subscribes to one topic less at first, and then to all; the
  // cooperative protocol goes on meanwhile. With one topic it is the assignment that tells.
  void JoinAgain(const std::vector<TopicPartition>& given) {
    if (!std::exchange(returning_, false) || closing_ || topics_.empty()) return;
    if (topics_.size() == 1) {
      bool right = !given.empty() && std::all_of(given.begin(), given.end(), [&](auto& tp) {
        return tp.topic == topics_.front();
      });
      if (right) return;
      rd_kafka_unsubscribe(rk_.get());
    }
    SendSubscription();
  }

  void OnRevoke(std::vector<TopicPartition> partitions) {
    revoking_ = true;
    revoked_ = partitions;
    // No record of them comes from here on.
    for (auto& tp : partitions) {
      if (Part* part = Find(tp)) part->muted = true;
    }
    uint64_t ticket = ++ticket_;
    release_timer_ = connection_->loop.After(kReleaseTimeout, [weak = weak_from_this(), ticket] {
      auto self = std::static_pointer_cast<GroupCore>(weak.lock());
      if (!self || ticket != self->ticket_) return;
      log::Warning("revoked partitions were not released in time group={}", self->options_.group);
      self->Release(ticket);
    });
    listener_->OnRevoked(partitions, [weak = weak_from_this(), ticket] {
      if (auto self = std::static_pointer_cast<GroupCore>(weak.lock())) self->Release(ticket);
    });
  }

  void Release(uint64_t ticket) {
    if (ticket != ticket_ || !revoking_ || !rk_) return;
    auto partitions = std::exchange(revoked_, {});
    EndRevocation();
    if (!Unassign(partitions)) return Reopen(false);
    MoveWaiting();
    if (closing_ && !closing_events_) StartClose();
  }

  void EndRevocation() {
    ++ticket_;
    revoking_ = false;
    revoked_.clear();
    connection_->loop.Cancel(release_timer_);
  }

  // Fatal: the cluster has no KIP-848 (then classic it is), or something that only a new handle may
  // get over.
  void OnFatal() override {
    char text[512] = "";
    rd_kafka_resp_err_t err = rd_kafka_fatal_error(rk_.get(), text, sizeof text);
    bool unsupported = err == RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION ||
                       err == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE;
    bool fall_back = unsupported && !classic_ && connection_->options.group_protocol == "auto";
    if (err == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID) return OnFenced();
    if (!fall_back) {
      log::Error("group member failed and joins anew group={} reason=\"{}\"", options_.group, text);
    }
    Reopen(fall_back);
  }

  // A static member that was away longer than its session has joined again under a new member id,
  // and what it had under way still named the old one: librdkafka does not get over that and stays
  // in wait-incr-unassign-to-complete. A second time soon after means that another process bears
  // our name.
  void OnFenced() {
    SteadyTime now = connection_->loop.Steady();
    if (fenced_ && now - *fenced_ < kNameContested) {
      log::Error(
          "another process joined with our instance id: give each its own instance-id; going on "
          "without one group={} instance={}",
          options_.group, options_.instance_id);
      options_.instance_id.clear();
    } else {
      log::Warning("group member was fenced and joins anew group={} instance={}", options_.group,
                   options_.instance_id);
    }
    fenced_ = now;
    Reopen(false);
  }

  void Reopen(bool classic) {
    if (classic) {
      log::Info("cluster without KIP-848, joining with the classic protocol group={}",
                options_.group);
      connection_->classic_only = true;
    }
    std::vector<TopicPartition> lost;
    for (auto& [tp, part] : parts_) lost.push_back(tp);
    EndRevocation();
    EndDoubt();
    assigning_.clear();
    membership_.Reset();
    CloseHandle();
    connection_->loop.After(classic ? Duration(0) : kReopen, [weak = weak_from_this()] {
      auto self = std::static_pointer_cast<GroupCore>(weak.lock());
      if (!self || self->listener_ == nullptr || self->rk_) return;
      if (self->closing_) {
        self->FinishClose();
      } else {
        self->Open();
      }
    });
    if (!lost.empty()) listener_->OnLost(lost);
  }

  // Leaves the group: librdkafka revokes what we have (OnRevoked as ever) and tells when it is
  // done.
  void StartClose() {
    if (!rk_) return;  // failed: the timer of OnFatal goes on
    closing_events_ = EventQueue::Open(
        connection_->loop, rk_, QueuePtr(rd_kafka_queue_new(rk_.get())),
        [weak = weak_from_this()](EventPtr event) {
          auto self = std::static_pointer_cast<GroupCore>(weak.lock());
          if (self && self->rk_ && rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_REBALANCE) {
            self->OnRebalance(event.get());
          }
        },
        [weak = weak_from_this()] {
          auto self = std::static_pointer_cast<GroupCore>(weak.lock());
          if (self && self->rk_ && rd_kafka_consumer_closed(self->rk_.get()) != 0) {
            self->FinishClose();
          }
        });
    ErrorPtr error(rd_kafka_consumer_close_queue(rk_.get(), closing_events_->get()));
    if (error) {
      connection_->loop.Post([weak = weak_from_this()] {
        if (auto self = std::static_pointer_cast<GroupCore>(weak.lock())) self->FinishClose();
      });
    }
  }

  void FinishClose() {
    if (closing_events_) closing_events_->Close();
    CloseHandle();
    membership_.Reset();
    if (closed_) std::exchange(closed_, nullptr)();
  }

  void Deliver(std::vector<Record> records) override { listener_->OnRecords(std::move(records)); }
  void DeliverError(const TopicPartition& tp, const Error& error) override {
    listener_->OnPartitionError(tp, error);
  }

  GroupOptions options_;
  GroupConsumer::Listener* listener_;
  std::vector<std::string> topics_;
  SteadyTime subscribed_;
  bool classic_ = false;
  const bool named_;        // it began with an instance id, and so with the classic protocol
  bool returning_ = false;  // under its name, and not asked for its topics yet
  std::optional<SteadyTime> fenced_;
  Membership membership_;
  uint64_t generation_ = 0;
  std::vector<TopicPartition> assigning_;  // an assignment that waits for its Starts
  size_t not_started_ = 0;
  bool revoking_ = false;
  std::vector<TopicPartition> revoked_;
  uint64_t ticket_ = 0;
  TimerId release_timer_ = kNoTimer;
  TimerId doubt_timer_ = kNoTimer;  // a commit was told that the group does not know us
  bool closing_ = false;
  std::function<void()> closed_;
  std::shared_ptr<EventQueue> closing_events_;
};

class KafkaGroupConsumer : public GroupConsumer {
 public:
  explicit KafkaGroupConsumer(std::shared_ptr<GroupCore> core) : core_(std::move(core)) {}
  ~KafkaGroupConsumer() override { core_->Abandon(); }

  void Subscribe(std::vector<std::string> topics) override { core_->Subscribe(std::move(topics)); }
  void Start(const TopicPartition& tp, int64_t offset, uint64_t generation) override {
    core_->Start(tp, offset, generation);
  }
  void Seek(const TopicPartition& tp, int64_t offset) override { core_->Seek(tp, offset); }
  void Pause(const TopicPartition& tp) override { core_->Pause(tp); }
  void Resume(const TopicPartition& tp) override { core_->Resume(tp); }
  void Commit(const std::vector<std::pair<TopicPartition, int64_t>>& offsets) override {
    core_->Commit(offsets);
  }
  Duration membership_age() const override { return core_->Age(); }
  void Close(std::function<void()> closed) override { core_->Close(std::move(closed)); }

 private:
  std::shared_ptr<GroupCore> core_;
};

}  // namespace

std::unique_ptr<GroupConsumer> NewGroupConsumer(ConnectionPtr connection, GroupOptions options,
                                                GroupConsumer::Listener& listener) {
  auto core = std::make_shared<GroupCore>(std::move(connection), std::move(options), listener);
  core->Open();
  return std::make_unique<KafkaGroupConsumer>(std::move(core));
}

}  // namespace dispatch::broker::kafka
