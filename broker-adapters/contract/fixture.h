#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker-adapters/contract/driver.h"
#include "common/crypto.h"

namespace dispatch::broker::contract {

/// A reader that keeps what it is told.
class ReaderLog : public Reader::Listener {
 public:
  void OnRecords(std::vector<Record> batch) override {
    for (Record& r : batch) records.push_back(std::move(r));
    if (on_records) on_records();
  }
  void OnPartitionError(const TopicPartition& tp, const Error& error) override {
    errors.emplace_back(tp, error.code);
  }
  void OnEnd(const TopicPartition& tp, int64_t next) override { ends[tp].push_back(next); }

  std::vector<Record> records;
  std::vector<std::pair<TopicPartition, Code>> errors;
  std::map<TopicPartition, std::vector<int64_t>> ends;
  std::function<void()> on_records;
};

/// A group member that keeps what it is told, starts everything at `start_at` and releases at once,
/// unless told otherwise.
class Member : public GroupConsumer::Listener {
 public:
  Member(Broker& broker, const std::string& group, int64_t start = kCommitted,
         const std::string& instance = "")
      : start_at(start),
        consumer(broker.NewGroupConsumer({.group = group, .instance_id = instance}, *this)) {}

  void OnAssigned(const std::vector<TopicPartition>& partitions, uint64_t g) override {
    EXPECT_GT(g, generation);
    generation = g;
    for (auto& tp : partitions) {
      EXPECT_TRUE(owned.insert(tp).second);
      if (auto_start) consumer->Start(tp, start_at, g);
    }
    ++assignments;
  }
  void OnRevoked(const std::vector<TopicPartition>& partitions,
                 std::function<void()> release_now) override {
    for (auto& tp : partitions) EXPECT_EQ(owned.erase(tp), 1u);
    ++revocations;
    if (auto_release) {
      release_now();
    } else {
      release = std::move(release_now);
    }
  }
  void OnLost(const std::vector<TopicPartition>& partitions) override {
    for (auto& tp : partitions) owned.erase(tp);
    ++losses;
  }
  void OnRecords(std::vector<Record> batch) override {
    for (Record& r : batch) {
      TopicPartition tp{r.topic, r.partition};
      EXPECT_TRUE(owned.contains(tp)) << "a record of a partition that is not ours";
      EXPECT_FALSE(paused.contains(tp)) << "a record of a paused partition";
      records.push_back(std::move(r));
    }
    if (on_records) on_records();
  }
  void OnPartitionError(const TopicPartition& tp, const Error& error) override {
    errors.emplace_back(tp, error.code);
  }

  void Pause(const TopicPartition& tp) {
    paused.insert(tp);
    consumer->Pause(tp);
  }
  void Resume(const TopicPartition& tp) {
    paused.erase(tp);
    consumer->Resume(tp);
  }

  int64_t start_at;
  bool auto_start = true;
  bool auto_release = true;
  uint64_t generation = 0;
  int assignments = 0;
  int revocations = 0;
  int losses = 0;
  std::set<TopicPartition> owned;
  std::set<TopicPartition> paused;
  std::vector<Record> records;
  std::vector<std::pair<TopicPartition, Code>> errors;
  std::function<void()> release;
  std::function<void()> on_records;
  std::unique_ptr<GroupConsumer> consumer;
};

/// Names and topics of one test on one kind of broker.
class BrokerContract : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    driver = std::string(GetParam()) == "memory" ? NewMemoryDriver() : NewKafkaDriver();
    if (!driver) {
      GTEST_SKIP() << "set DISPATCH_TEST_KAFKA_BROKERS=host:port to run this against Kafka";
    }
    broker = driver->Connect("contract");
    ASSERT_NE(broker, nullptr);
  }
  void TearDown() override {
    if (!driver || !broker) return;
    size_t left = topics_.size();
    for (auto& topic : topics_) broker->admin().DeleteTopic(topic, [&](Status) { --left; });
    EXPECT_TRUE(driver->RunUntil([&] { return left == 0; }));
  }

  static std::string Unique(const std::string& base) {
    return base + "-" + crypto::RandomAlphanumeric(8);
  }

  Status Create(TopicSpec spec) {
    std::optional<Status> result;
    topics_.push_back(spec.name);
    broker->admin().CreateTopic(std::move(spec), [&](Status s) { result = std::move(s); });
    EXPECT_TRUE(driver->RunUntil([&] { return result.has_value(); }));
    return result.value_or(Status(Code::kInternal, "no answer"));
  }
  std::string NewTopic(int32_t partitions,
                       std::vector<std::pair<std::string, std::string>> config = {}) {
    std::string name = Unique("contract");
    Status status = Create({.name = name, .partitions = partitions, .config = std::move(config)});
    EXPECT_TRUE(status.ok()) << status.message();
    return name;
  }

  /// Produces "0", "1"... and waits for the acknowledgements.
  void Fill(const std::string& topic, int32_t partition, int count, int first = 0) {
    auto producer = broker->NewProducer({.linger = std::chrono::milliseconds(1)});
    int acked = 0;
    for (int i = first; i < first + count; ++i) {
      ProduceRecord r{.topic = topic, .partition = partition, .value = std::to_string(i)};
      Status status = producer->Produce(std::move(r), [&](Result<Position> p) {
        EXPECT_TRUE(p.ok()) << p.message();
        ++acked;
      });
      ASSERT_TRUE(status.ok()) << status.message();
    }
    ASSERT_TRUE(driver->RunUntil([&] { return acked == count; }));
  }

  template <typename T>
  Result<T> Await(const std::function<void(std::function<void(Result<T>)>)>& call) {
    std::optional<Result<T>> result;
    call([&](Result<T> r) { result.emplace(std::move(r)); });
    EXPECT_TRUE(driver->RunUntil([&] { return result.has_value(); }));
    if (!result) return Error{Code::kInternal, "no answer"};
    return *result;
  }
  Status AwaitStatus(const std::function<void(std::function<void(Status)>)>& call) {
    std::optional<Status> result;
    call([&](Status s) { result.emplace(std::move(s)); });
    EXPECT_TRUE(driver->RunUntil([&] { return result.has_value(); }));
    return result.value_or(Status(Code::kInternal, "no answer"));
  }

  /// The offsets 0 to count-1, once each and in order.
  static void ExpectExactly(const std::vector<Record>& records, int32_t partition, int count) {
    std::vector<int64_t> offsets;
    for (const Record& r : records) {
      if (r.partition == partition) offsets.push_back(r.offset);
    }
    ASSERT_EQ(offsets.size(), static_cast<size_t>(count)) << "partition " << partition;
    for (int i = 0; i < count; ++i) ASSERT_EQ(offsets[i], i) << "partition " << partition;
  }

  std::unique_ptr<Driver> driver;
  std::unique_ptr<Broker> broker;

 private:
  std::vector<std::string> topics_;
};

}  // namespace dispatch::broker::contract
