#include "event-manager/src/adapters/drivers/kafka_driver.h"

#include <fmt/format.h>

#include "broker-adapters/inspector.h"
#include "broker-adapters/kafka/kafka_broker.h"
#include "broker-adapters/topics.h"
#include "event-manager/src/domain/drivers/kafka_event.h"

namespace dispatch {

namespace {

constexpr Duration kSaveEvery = std::chrono::milliseconds(200);
constexpr Duration kWatchEvery = std::chrono::seconds(1);
// Without an assignment, or without a word from the group's coordinator.
constexpr Duration kPatience = std::chrono::seconds(30);
constexpr OffsetTracker::Limits kWindow{
    .max_incomplete = 2'000, .max_bytes = 8 * 1024 * 1024, .max_span = 100'000};

std::vector<std::string> HostsOf(const std::string& brokers) {
  std::vector<std::string> hosts;
  size_t begin = 0;
  while (begin <= brokers.size()) {
    size_t end = std::min(brokers.find(',', begin), brokers.size());
    std::string one = brokers.substr(begin, end - begin);
    begin = end + 1;
    std::erase(one, ' ');
    if (size_t scheme = one.find("://"); scheme != one.npos) one.erase(0, scheme + 3);
    if (one.starts_with('[')) {
      one = one.substr(1, one.find(']') - 1);
    } else {
      one = one.substr(0, one.rfind(':'));
    }
    if (!one.empty()) hosts.push_back(one);
  }
  return hosts;
}

std::string SecretOf(const DriverSetup& setup, const char* key) {
  auto found = setup.secrets.find(key);
  return found == setup.secrets.end() ? "" : found->second;
}

}  // namespace

KafkaDriver::Partition::Partition(int64_t position) : tracker(position, kWindow) {}

KafkaDriver::KafkaDriver(DriverHost& host, EventLoop& loop, broker::Broker& own,
                         DriverSettings settings, DriverSetup setup)
    : host_(host),
      loop_(loop),
      own_(own),
      settings_(std::move(settings)),
      setup_(std::move(setup)),
      addresses_(loop, settings_.allow_private),
      source_(ConfigValue(setup_.config, "source")) {
  watch_timer_ = loop_.After(Duration(0), [this] {
    began_ = loop_.Steady();
    Connect();
    Watch();
  });
}

KafkaDriver::~KafkaDriver() {
  loop_.Cancel(save_timer_);
  loop_.Cancel(watch_timer_);
  // Before its broker.
  consumer_.reset();
}

void KafkaDriver::Fail(const std::string& reason) {
  if (failed_) return;
  failed_ = true;
  host_.Fail(reason);
}

void KafkaDriver::Connect() {
  std::string brokers = ConfigValue(setup_.config, "brokers");
  if (brokers.empty()) {
    source_ = broker::EventTopic(setup_.claimed.org, source_);
    broker_ = &own_;
    return Begin();
  }
  addresses_.Check(HostsOf(brokers), [this, brokers](Result<std::vector<std::string>> allowed) {
    if (!allowed.ok()) return Fail(allowed.message());
    broker::KafkaOptions options;
    options.brokers = brokers;
    options.client_id = "dispatch-driver-" + setup_.claimed.name;
    options.sasl_username = SecretOf(setup_, "username");
    options.sasl_password = SecretOf(setup_, "password");
    bool sasl = !options.sasl_username.empty();
    options.security_protocol =
        ConfigValue(setup_.config, "security", sasl ? "sasl_plaintext" : "plaintext");
    if (sasl) options.sasl_mechanism = ConfigValue(setup_.config, "mechanism", "SCRAM-SHA-512");
    auto connected = broker::ConnectKafka(loop_, options);
    if (!connected.ok()) return Fail(connected.message());
    other_ = std::move(*connected);
    broker_ = other_.get();
    RefuseOwnCluster();
  });
}

// Where Kafka asks for no credentials, the topics of all organisations are there.
void KafkaDriver::RefuseOwnCluster() {
  ClusterOf(own_, [this](const std::string& own) {
    ClusterOf(*other_, [this, own](const std::string& other) {
      if (own != other) return Begin();
      Fail(
          "brokers are those of this installation: leave them out, and name a topic of the "
          "organization as source");
    });
  });
}

void KafkaDriver::ClusterOf(broker::Broker& broker,
                            std::function<void(const std::string& id)> then) {
  broker::InspectorOf(broker.admin())
      .ClusterId([this, alive = std::weak_ptr(alive_),
                  then = std::move(then)](const Result<std::string>& id) {
        if (alive.expired() || failed_) return;
        if (!id.ok()) return Fail("cannot tell one Kafka cluster from another: " + id.message());
        then(*id);
      });
}

// Where it began is fixed once, so that what comes while nobody runs it is not passed over.
void KafkaDriver::Begin() {
  std::string source = ConfigValue(setup_.config, "brokers") + "/" + source_;
  const json::object& stored = setup_.claimed.position;
  if (json::GetString(stored, "source") == source) {
    const auto* offsets = json::GetObject(stored, "offsets");
    for (const auto& [partition, offset] : offsets != nullptr ? *offsets : json::object()) {
      if (offset.is_int64()) saved_[std::stoi(std::string(partition))] = offset.as_int64();
    }
    return Consume();
  }
  if (ConfigValue(setup_.config, "start", "earliest") == "earliest") return Consume();
  broker_->admin().ListOffsets(
      source_, [this, alive = std::weak_ptr(alive_)](Result<std::vector<broker::Offsets>> ends) {
        if (alive.expired() || failed_) return;
        if (!ends.ok()) return Fail("cannot read where topic ends: " + ends.message());
        for (size_t i = 0; i < ends->size(); ++i) {
          saved_[static_cast<int32_t>(i)] = (*ends)[i].latest;
        }
        saving_ = true;
        Save();
        Consume();
      });
}

void KafkaDriver::Consume() {
  if (failed_) return;
  consumer_ =
      broker_->NewGroupConsumer({.group = "dispatch-driver-" + setup_.claimed.uuid.ToString(),
                                 .instance_id = "",
                                 .client_id = "dispatch-driver-" + setup_.claimed.name},
                                *this);
  consumer_->Subscribe({source_});
}

void KafkaDriver::OnAssigned(const std::vector<broker::TopicPartition>& partitions,
                             uint64_t generation) {
  generation_ = generation;
  for (const auto& partition : partitions) {
    auto saved = saved_.find(partition.partition);
    partitions_.erase(partition.partition);
    partitions_.emplace(partition.partition, saved == saved_.end() ? 0 : saved->second);
    consumer_->Start(partition, saved == saved_.end() ? broker::kEarliest : saved->second,
                     generation);
  }
  if (partitions.empty()) return;
  if (!assigned_) {
    host_.Log("driver", fmt::format("reads {} partitions of {}", partitions.size(),
                                    ConfigValue(setup_.config, "source")));
  }
  assigned_ = true;
  host_.Ready();
}

void KafkaDriver::OnRevoked(const std::vector<broker::TopicPartition>& partitions,
                            std::function<void()> release) {
  OnLost(partitions);
  release();
}

void KafkaDriver::OnLost(const std::vector<broker::TopicPartition>& partitions) {
  for (const auto& partition : partitions) partitions_.erase(partition.partition);
}

void KafkaDriver::OnRecords(std::vector<broker::Record> records) {
  if (failed_) return;
  for (auto& record : records) Take(std::move(record));
}

void KafkaDriver::Take(broker::Record record) {
  auto found = partitions_.find(record.partition);
  if (found == partitions_.end()) return;
  Partition& partition = found->second;
  int32_t number = record.partition;
  int64_t offset = record.offset;
  size_t bytes = record.value ? record.value->size() : 0;
  if (!partition.tracker.Deliver(offset, 1, bytes)) return;
  if (partition.tracker.full() && !partition.paused) {
    partition.paused = true;
    consumer_->Pause({source_, number});
  }
  host_.Publish(
      EventOfRecord(setup_.claimed.uuid, ConfigValue(setup_.config, "source"), std::move(record)),
      [this, alive = std::weak_ptr(alive_), number, offset](const Status& published) {
        if (!alive.expired()) Settled(number, offset, published);
      });
}

void KafkaDriver::Settled(int32_t number, int64_t offset, const Status& published) {
  if (failed_) return;
  if (published.code() == Code::kTooLarge) {
    host_.Log("driver",
              fmt::format("record {}:{} left out: {}", number, offset, published.message()));
  } else if (!published.ok()) {
    return Fail("event not published: " + published.message());
  }
  auto found = partitions_.find(number);
  if (found == partitions_.end()) return;
  Partition& partition = found->second;
  partition.tracker.Complete(offset);
  if (partition.paused && partition.tracker.half_empty()) {
    partition.paused = false;
    consumer_->Resume({source_, number});
  }
  if (save_timer_ != kNoTimer) return;
  save_timer_ = loop_.After(kSaveEvery, [this] {
    save_timer_ = kNoTimer;
    if (!saving_) Save();
  });
}

void KafkaDriver::Save() {
  saving_ = true;
  std::vector<std::pair<broker::TopicPartition, int64_t>> commits;
  for (const auto& [number, partition] : partitions_) {
    saved_[number] = std::max(saved_[number], partition.tracker.Position());
    commits.push_back({{source_, number}, saved_[number]});
  }
  json::object offsets;
  for (const auto& [number, offset] : saved_) offsets[std::to_string(number)] = offset;
  json::object position{{"source", ConfigValue(setup_.config, "brokers") + "/" + source_},
                        {"offsets", std::move(offsets)}};
  host_.SavePosition(std::move(position), [this, alive = std::weak_ptr(alive_),
                                           commits = std::move(commits)](const Status& saved) {
    if (alive.expired() || failed_) return;
    saving_ = false;
    if (!saved.ok()) return Fail("cannot save the position: " + saved.message());
    if (consumer_ != nullptr && !commits.empty()) consumer_->Commit(commits);
  });
}

void KafkaDriver::OnPartitionError(const broker::TopicPartition& partition, const Error& error) {
  if (failed_) return;
  if (error.code != Code::kOutOfRange) return Fail(error.message);
  host_.Log("driver", fmt::format("partition {}: retention took records that were not read yet",
                                  partition.partition));
  partitions_.erase(partition.partition);
  partitions_.emplace(partition.partition, 0);
  saved_.erase(partition.partition);
  consumer_->Seek(partition, broker::kEarliest);
}

void KafkaDriver::Watch() {
  watch_timer_ = loop_.After(kWatchEvery, [this] {
    Watch();
    if (failed_) return;
    if (!assigned_ && loop_.Steady() - began_ > kPatience) {
      return Fail(
          fmt::format("no partitions of {} within 30 s: is Kafka reachable, and the topic "
                      "there?",
                      ConfigValue(setup_.config, "source")));
    }
    if (assigned_ && consumer_ != nullptr && consumer_->membership_age() > kPatience) {
      Fail("nothing heard from Kafka for 30 s");
    }
  });
}

}  // namespace dispatch
