#include "broker-adapters/contract/fixture.h"
#include "broker-adapters/inspector.h"
#include "broker-adapters/partitioner.h"

// The one suite of both brokers: producing, reading, administration. group_contract.cc has groups.
namespace dispatch::broker_contract_test {
namespace {

using namespace broker;            // NOLINT
using namespace broker::contract;  // NOLINT

class BrokerTest : public BrokerContract {};
INSTANTIATE_TEST_SUITE_P(Brokers, BrokerTest, ::testing::Values("memory", "kafka"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(BrokerTest, DeliversInOrderAndNeverInsideProduce) {
  std::string topic = NewTopic(1);
  auto producer = broker->NewProducer({});
  std::vector<int64_t> offsets;
  bool inside = false;
  for (int i = 0; i < 500; ++i) {
    inside = true;
    Status s = producer->Produce({.topic = topic, .partition = 0, .value = std::to_string(i)},
                                 [&](Result<Position> p) {
                                   EXPECT_FALSE(inside);
                                   ASSERT_TRUE(p.ok()) << p.message();
                                   EXPECT_EQ(p->partition, 0);
                                   offsets.push_back(p->offset);
                                 });
    inside = false;
    ASSERT_TRUE(s.ok()) << s.message();
  }
  EXPECT_EQ(producer->in_flight(), 500u);
  ASSERT_TRUE(driver->RunUntil([&] { return offsets.size() == 500; }));
  EXPECT_EQ(producer->in_flight(), 0u);
  for (int i = 0; i < 500; ++i) ASSERT_EQ(offsets[i], i);

  ReaderLog log;
  auto reader = broker->NewReader("reader", log);
  reader->Add({topic, 0}, kEarliest);
  ASSERT_TRUE(driver->RunUntil([&] { return log.records.size() >= 500; }));
  ExpectExactly(log.records, 0, 500);
  for (int i = 0; i < 500; ++i) ASSERT_EQ(log.records[i].value, std::to_string(i));
  int64_t now = ToMillis(driver->loop().Now());
  EXPECT_NEAR(static_cast<double>(log.records[0].timestamp_ms), static_cast<double>(now), 60'000);
}

TEST_P(BrokerTest, KeysChooseThePartitionAsJavaDoes) {
  std::string topic = NewTopic(5);
  auto producer = broker->NewProducer({});
  int acked = 0;
  for (int i = 0; i < 60; ++i) {
    std::string key = i == 0 ? "" : "key-" + std::to_string(i * 7919);
    ASSERT_TRUE(producer
                    ->Produce({.topic = topic, .key = key, .value = "v"},
                              [&, key](Result<Position> p) {
                                ASSERT_TRUE(p.ok()) << p.message();
                                EXPECT_EQ(p->partition, PartitionForKey(key, 5)) << key;
                                ++acked;
                              })
                    .ok());
  }
  ASSERT_TRUE(driver->RunUntil([&] { return acked == 60; }));
}

TEST_P(BrokerTest, CarriesKeysValuesAndHeadersUnchanged) {
  std::string topic = NewTopic(1);
  std::string binary("\0\xff\n", 3);
  std::vector<ProduceRecord> sent = {
      {.topic = topic, .partition = 0, .key = "k", .value = "v"},
      {.topic = topic, .partition = 0, .key = std::nullopt, .value = binary},
      {.topic = topic, .partition = 0, .key = "k", .value = std::nullopt},
      {.topic = topic, .partition = 0, .key = "", .value = ""},
      {.topic = topic,
       .partition = 0,
       .key = binary,
       .value = "h",
       .headers = {{"a", "1"}, {"b", binary}, {"a", "2"}, {"empty", ""}}},
  };
  auto producer = broker->NewProducer({});
  for (const auto& r : sent) {
    ASSERT_TRUE(producer->Produce(r, [](Result<Position> p) { EXPECT_TRUE(p.ok()); }).ok());
  }
  ReaderLog log;
  auto reader = broker->NewReader("reader", log);
  reader->Add({topic, 0}, kEarliest);
  ASSERT_TRUE(driver->RunUntil([&] { return log.records.size() >= sent.size(); }));
  for (size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(log.records[i].topic, topic);
    EXPECT_EQ(log.records[i].key, sent[i].key) << i;
    EXPECT_EQ(log.records[i].value, sent[i].value) << i;
    EXPECT_EQ(log.records[i].headers, sent[i].headers) << i;
  }
  EXPECT_EQ(*log.records[4].FindHeader("a"), "2");
}

TEST_P(BrokerTest, RefusesWhatIsTooLarge) {
  std::string topic = NewTopic(1, {{"max.message.bytes", "20000"}});
  auto producer = broker->NewProducer({.max_message_bytes = 100'000});
  std::vector<Code> codes;
  auto produce = [&](size_t bytes) {
    Status s = producer->Produce({.topic = topic, .partition = 0, .value = std::string(bytes, 'x')},
                                 [&](Result<Position> p) { codes.push_back(p.code()); });
    if (!s.ok()) codes.push_back(s.code());
    ASSERT_TRUE(driver->RunUntil([&, n = codes.size()] { return codes.size() > n || !s.ok(); }));
  };
  produce(200'000);  // over the producer's own bound
  produce(50'000);   // over the topic's
  produce(10'000);
  EXPECT_EQ(codes, (std::vector<Code>{Code::kTooLarge, Code::kTooLarge, Code::kOk}));
}

TEST_P(BrokerTest, AnUnknownTopicIsNotFound) {
  auto producer = broker->NewProducer({});
  std::optional<Code> code;
  Status s = producer->Produce({.topic = Unique("nowhere"), .value = "v"},
                               [&](Result<Position> p) { code = p.code(); });
  if (!s.ok()) code = s.code();
  ASSERT_TRUE(driver->RunUntil([&] { return code.has_value(); }));
  EXPECT_EQ(*code, Code::kNotFound);
}

TEST_P(BrokerTest, AFullQueueRefusesAtOnceAndCallsNothingBack) {
  std::string topic = NewTopic(1);
  auto producer = broker->NewProducer({.max_queue_records = 10});
  int acked = 0;
  int refused = 0;
  for (int i = 0; i < 15; ++i) {
    Status s = producer->Produce({.topic = topic, .partition = 0, .value = "v"},
                                 [&](Result<Position> p) { acked += p.ok() ? 1 : 0; });
    if (!s.ok()) {
      EXPECT_EQ(s.code(), Code::kResourceExhausted);
      EXPECT_TRUE(s.error().retryable);
      ++refused;
    }
  }
  EXPECT_EQ(refused, 5);
  ASSERT_TRUE(driver->RunUntil([&] { return acked == 10; }));
  driver->RunFor(std::chrono::milliseconds(50));
  EXPECT_EQ(acked, 10);
}

// A request for each few records costs the broker several times the work.
TEST_P(BrokerTest, WhatIsProducedTogetherIsWrittenTogether) {
  std::string topic = NewTopic(1);
  auto producer = broker->NewProducer({});
  constexpr int kRounds = 20;
  constexpr int kRecords = 60;
  int answers = 0;
  for (int round = 0; round < kRounds; ++round) {
    int acked = 0;
    bool answering = false;  // what one answer acknowledges is reported in one turn
    for (int i = 0; i < kRecords; ++i) {
      ASSERT_TRUE(producer
                      ->Produce({.topic = topic, .partition = 0, .value = std::string(1'000, 'v')},
                                [&](Result<Position> p) {
                                  acked += p.ok() ? 1 : 0;
                                  if (std::exchange(answering, true)) return;
                                  ++answers;
                                  driver->loop().Post([&] { answering = false; });
                                })
                      .ok());
    }
    ASSERT_TRUE(driver->RunUntil([&] { return acked == kRecords && !answering; }));
  }
  EXPECT_LE(answers, kRounds * 3 / 2);
}

TEST_P(BrokerTest, NothingIsCalledBackAfterTheEnd) {
  std::string topic = NewTopic(1);
  Fill(topic, 0, 100);
  auto producer = broker->NewProducer({.linger = std::chrono::milliseconds(20)});
  bool called = false;
  for (int i = 0; i < 10; ++i) {
    (void)producer->Produce({.topic = topic, .value = "v"},
                            [&](Result<Position>) { called = true; });
  }
  producer.reset();
  auto log = std::make_unique<ReaderLog>();
  auto reader = broker->NewReader("reader", *log);
  reader->Add({topic, 0}, kEarliest);
  // Ends itself inside its own callback, with more to come.
  log->on_records = [&] {
    reader.reset();
    log.reset();
  };
  ASSERT_TRUE(driver->RunUntil([&] { return !reader; }));
  auto dying = driver->Connect("dying");
  dying->admin().ListTopics([&](auto) { called = true; });
  dying.reset();
  driver->RunFor(std::chrono::milliseconds(300));
  EXPECT_FALSE(called);
}

TEST_P(BrokerTest, ReadsFromTheEndAndFromAnOffset) {
  std::string topic = NewTopic(1);
  Fill(topic, 0, 10);
  ReaderLog from_end;
  ReaderLog from_seven;
  auto end_reader = broker->NewReader("end", from_end);
  auto seven_reader = broker->NewReader("seven", from_seven);
  end_reader->Add({topic, 0}, kLatest);
  seven_reader->Add({topic, 0}, 7);
  ASSERT_TRUE(driver->RunUntil([&] { return from_end.ends.contains({topic, 0}); }));
  EXPECT_EQ((from_end.ends[{topic, 0}].front()), 10);
  Fill(topic, 0, 2, 10);
  ASSERT_TRUE(driver->RunUntil(
      [&] { return from_end.records.size() >= 2 && from_seven.records.size() >= 5; }));
  EXPECT_EQ(from_end.records[0].offset, 10);
  EXPECT_EQ(from_seven.records[0].offset, 7);
  EXPECT_EQ(from_seven.records.size(), 5u);
}

TEST_P(BrokerTest, TellsTheEndAgainAfterNewRecords) {
  std::string topic = NewTopic(2);
  Fill(topic, 0, 5);
  ReaderLog log;
  auto reader = broker->NewReader("reader", log);
  reader->Add({topic, 0}, kEarliest);
  reader->Add({topic, 1}, kEarliest);
  auto& ends = log.ends;
  ASSERT_TRUE(
      driver->RunUntil([&] { return ends.contains({topic, 0}) && ends.contains({topic, 1}); }));
  EXPECT_EQ(log.records.size(), 5u) << "everything up to the end comes first";
  EXPECT_EQ((ends[{topic, 0}].back()), 5);
  EXPECT_EQ((ends[{topic, 1}].back()), 0);
  Fill(topic, 0, 1, 5);
  ASSERT_TRUE(driver->RunUntil([&] { return ends[{topic, 0}].back() == 6; }));
  EXPECT_EQ(log.records.size(), 6u);
}

TEST_P(BrokerTest, TellsTheFirstEndWithItsLastRecords) {
  std::string topic = NewTopic(1);
  Fill(topic, 0, 5);
  ReaderLog log;
  auto reader = broker->NewReader("reader", log);
  reader->Add({topic, 0}, 0);
  ASSERT_TRUE(driver->RunUntil([&] { return log.records.size() >= 5; }));
  ASSERT_TRUE((log.ends.contains({topic, 0}))) << "not with the next answer, which waits for more";
  EXPECT_EQ((log.ends[{topic, 0}].back()), 5);
}

TEST_P(BrokerTest, AReaderOutOfRangeStandsStillUntilMoved) {
  std::string topic = NewTopic(1);
  Fill(topic, 0, 5);
  ReaderLog log;
  auto reader = broker->NewReader("reader", log);
  reader->Add({topic, 0}, 1000);
  ASSERT_TRUE(driver->RunUntil([&] { return !log.errors.empty(); }));
  EXPECT_EQ(log.errors[0].first, (TopicPartition{topic, 0}));
  EXPECT_EQ(log.errors[0].second, Code::kOutOfRange);
  driver->RunFor(std::chrono::milliseconds(200));
  EXPECT_TRUE(log.records.empty());
  reader->Add({topic, 0}, 3);
  ASSERT_TRUE(driver->RunUntil([&] { return log.records.size() == 2; }));
  EXPECT_EQ(log.records[0].offset, 3);
  EXPECT_EQ(log.errors.size(), 1u);
}

TEST_P(BrokerTest, AReaderPausesAndRemovesExactly) {
  constexpr int kCount = 3000;
  std::string topic = NewTopic(3);
  for (int p = 0; p < 3; ++p) Fill(topic, p, kCount);
  ReaderLog log;
  auto reader = broker->NewReader("reader", log, 64 * 1024);
  std::map<int32_t, int> seen;
  bool paused = false;
  size_t counted = 0;
  int rounds = 0;
  log.on_records = [&] {
    for (; counted < log.records.size(); ++counted) {
      int32_t partition = log.records[counted].partition;
      if (partition == 1) EXPECT_FALSE(paused);
      ++seen[partition];
    }
    if (!paused && rounds < 5 && seen[1] > rounds * 400) {
      ++rounds;
      paused = true;
      reader->Pause({topic, 1});
      driver->loop().After(std::chrono::milliseconds(30), [&] {
        paused = false;
        reader->Resume({topic, 1});
        reader->Resume({topic, 2});  // not paused: must change nothing
      });
    }
    if (seen[0] > 500) reader->Remove({topic, 0});
  };
  for (int p = 0; p < 3; ++p) reader->Add({topic, p}, kEarliest);
  ASSERT_TRUE(driver->RunUntil([&] { return seen[1] >= kCount && seen[2] >= kCount; }));
  driver->RunFor(std::chrono::milliseconds(200));
  EXPECT_GE(rounds, 3);
  ExpectExactly(log.records, 1, kCount);
  ExpectExactly(log.records, 2, kCount);
  EXPECT_LT(seen[0], kCount);
}

TEST_P(BrokerTest, AResumedReaderReadsOnAtOnce) {
  std::string topic = NewTopic(1);
  Fill(topic, 0, 100);
  ReaderLog log;
  auto reader = broker->NewReader("reader", log);
  reader->Add({topic, 0}, kEarliest);
  ASSERT_TRUE(driver->RunUntil([&] { return log.records.size() == 100; }));
  for (size_t round = 1; round <= 6; ++round) {
    reader->Pause({topic, 0});
    Fill(topic, 0, 1);
    driver->RunFor(std::chrono::milliseconds(50 + 150 * round));
    ASSERT_EQ(log.records.size(), 99 + round);
    reader->Resume({topic, 0});
    EXPECT_TRUE(driver->RunUntil([&] { return log.records.size() == 100 + round; },
                                 std::chrono::milliseconds(300)))
        << "round " << round;
    ASSERT_TRUE(driver->RunUntil([&] { return log.records.size() == 100 + round; }));
  }
}

TEST_P(BrokerTest, AReaderIsToldOfAMissingTopicAndStartsWhenItComes) {
  std::string topic = Unique("contract");
  ReaderLog log;
  auto reader = broker->NewReader("reader", log);
  reader->Add({topic, 0}, kEarliest);
  ASSERT_TRUE(driver->RunUntil([&] { return !log.errors.empty(); }));
  EXPECT_EQ(log.errors[0].second, Code::kNotFound);
  ASSERT_TRUE(Create({.name = topic}).ok());
  Fill(topic, 0, 3);
  ASSERT_TRUE(driver->RunUntil([&] { return log.records.size() == 3; }));
}

TEST_P(BrokerTest, SharedReadersAreToldOfTheirOwnPartitions) {
  std::string first = NewTopic(1);
  std::string second = NewTopic(1);
  Fill(first, 0, 100);
  Fill(second, 0, 50);
  ReaderLog log, same, other;
  auto reader = broker->NewSharedReader(log);
  auto again = broker->NewSharedReader(same);  // what another one reads already
  auto beside = broker->NewSharedReader(other);
  reader->Add({first, 0}, kEarliest);
  again->Add({first, 0}, 40);
  beside->Add({second, 0}, kEarliest);
  ASSERT_TRUE(driver->RunUntil([&] {
    return log.records.size() >= 100 && same.records.size() >= 60 && other.records.size() >= 50 &&
           log.ends.size() == 1 && same.ends.size() == 1 && other.ends.size() == 1;
  }));
  ExpectExactly(log.records, 0, 100);
  ASSERT_EQ(same.records.size(), 60u);
  EXPECT_EQ(same.records.front().offset, 40);
  ExpectExactly(other.records, 0, 50);

  // One ends inside what another is told; the rest goes on.
  log.on_records = [&] { beside.reset(); };
  Fill(first, 0, 10);
  ASSERT_TRUE(driver->RunUntil([&] { return log.records.size() >= 110; }));
  EXPECT_EQ(beside, nullptr);
  Fill(second, 0, 10);
  Fill(first, 0, 10);
  again->Remove({first, 0});
  again->Add({second, 0}, 55);
  ASSERT_TRUE(driver->RunUntil([&] { return log.records.size() >= 120; }));
  ASSERT_TRUE(driver->RunUntil([&] { return same.records.back().topic == second; }));
  EXPECT_EQ(same.records.back().offset, 59);
  EXPECT_EQ(other.records.size(), 50u);
}

TEST_P(BrokerTest, SharedProducersHaveTheirOwnBoundsAndEnds) {
  std::string topic = NewTopic(1);
  auto small = broker->NewProducer({.max_queue_records = 2, .shared = true});
  auto other = broker->NewProducer({.shared = true});
  int told = 0, told_other = 0;
  auto produce = [&](Producer& producer, int& count) {
    return producer.Produce({.topic = topic, .partition = 0, .value = "v"},
                            [&](Result<Position> p) { count += p.ok(); });
  };
  EXPECT_TRUE(produce(*small, told).ok());
  EXPECT_TRUE(produce(*small, told).ok());
  EXPECT_EQ(produce(*small, told).code(), Code::kResourceExhausted);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(produce(*other, told_other).ok());
  EXPECT_EQ(small->in_flight(), 2u);
  EXPECT_EQ(other->in_flight(), 10u);
  ASSERT_TRUE(driver->RunUntil([&] { return told == 2 && told_other == 10; }));
  EXPECT_EQ(small->in_flight(), 0u);

  EXPECT_TRUE(produce(*small, told).ok());
  EXPECT_TRUE(produce(*other, told_other).ok());
  small.reset();
  ASSERT_TRUE(driver->RunUntil([&] { return told_other == 11; }));
  EXPECT_EQ(told, 2);
  EXPECT_TRUE(produce(*other, told_other).ok());
  ASSERT_TRUE(driver->RunUntil([&] { return told_other == 12; }));
}

TEST_P(BrokerTest, AdministersTopics) {
  Admin& admin = broker->admin();
  std::string topic = NewTopic(3);
  auto info = Await<TopicInfo>([&](auto done) { admin.DescribeTopic(topic, std::move(done)); });
  ASSERT_TRUE(info.ok()) << info.message();
  EXPECT_EQ(info->name, topic);
  EXPECT_EQ(info->partitions, 3);

  ASSERT_TRUE(AwaitStatus([&](auto done) { admin.GrowTopic(topic, 5, std::move(done)); }).ok());
  info = Await<TopicInfo>([&](auto done) { admin.DescribeTopic(topic, std::move(done)); });
  ASSERT_TRUE(info.ok()) << info.message();
  EXPECT_EQ(info->partitions, 5);
  Status configured = AwaitStatus([&](auto done) {
    admin.ConfigureTopic(topic, {{"retention.ms", "60000"}}, std::move(done));
  });
  EXPECT_TRUE(configured.ok()) << configured.message();

  auto list = Await<std::vector<TopicInfo>>([&](auto done) { admin.ListTopics(std::move(done)); });
  ASSERT_TRUE(list.ok()) << list.message();
  EXPECT_TRUE(std::any_of(list->begin(), list->end(), [&](const TopicInfo& t) {
    return t.name == topic && t.partitions == 5;
  }));

  ASSERT_TRUE(AwaitStatus([&](auto done) { admin.DeleteTopic(topic, std::move(done)); }).ok());
  for (int i = 0; i < 100 && info.ok(); ++i) {  // brokers may learn of it late
    driver->RunFor(std::chrono::milliseconds(20));
    info = Await<TopicInfo>([&](auto done) { admin.DescribeTopic(topic, std::move(done)); });
  }
  EXPECT_EQ(info.code(), Code::kNotFound);
}

TEST_P(BrokerTest, TellsWhichClusterItIs) {
  auto other = driver->Connect("another");
  auto id_of = [&](Broker& one) {
    return Await<std::string>([&](auto done) { InspectorOf(one.admin()).ClusterId(done); });
  };
  auto id = id_of(*broker);
  ASSERT_TRUE(id.ok()) << id.message();
  EXPECT_FALSE(id->empty());
  EXPECT_EQ(*id, id_of(*other).value());
}

TEST_P(BrokerTest, TellsLayoutAndSettings) {
  Admin& admin = broker->admin();
  Inspector& inspector = InspectorOf(admin);
  std::string topic = NewTopic(3);
  Status configured = AwaitStatus([&](auto done) {
    admin.ConfigureTopic(topic, {{"retention.ms", "3600000"}}, std::move(done));
  });
  ASSERT_TRUE(configured.ok()) << configured.message();
  auto cluster = Await<ClusterInfo>([&](auto done) { inspector.DescribeCluster(std::move(done)); });
  ASSERT_TRUE(cluster.ok()) << cluster.message();
  ASSERT_FALSE(cluster->brokers.empty());
  auto it = std::find_if(cluster->topics.begin(), cluster->topics.end(),
                         [&](const TopicLayout& layout) { return layout.name == topic; });
  ASSERT_NE(it, cluster->topics.end());
  EXPECT_EQ(it->partitions, 3);
  EXPECT_EQ(it->leaderless, 0);
  EXPECT_GE(it->replicas, 1);
  EXPECT_EQ(it->in_sync, it->replicas);
  using List = std::vector<KafkaSettings>;
  List told;
  for (int looks = 0; looks < 100; ++looks) {  // other brokers hear of it a moment later
    auto list =
        Await<List>([&](auto d) { inspector.DescribeTopicSettings({topic}, std::move(d)); });
    ASSERT_TRUE(list.ok()) << list.message();
    told = std::move(*list);
    if (told.at(0)["retention.ms"] == "3600000") break;
  }
  EXPECT_EQ(told.at(0)["retention.ms"], "3600000");
  EXPECT_EQ(told.at(0)["cleanup.policy"], "delete");
  EXPECT_FALSE(told.at(0)["max.message.bytes"].empty());
  auto missing = Await<List>([&](auto done) {
    inspector.DescribeTopicSettings({topic, Unique("missing")}, std::move(done));
  });
  EXPECT_EQ(missing.code(), Code::kNotFound);
  auto of_broker = Await<KafkaSettings>([&](auto done) {
    inspector.DescribeBrokerSettings(cluster->brokers.front(), std::move(done));
  });
  ASSERT_TRUE(of_broker.ok()) << of_broker.message();
  EXPECT_TRUE(of_broker->contains("auto.create.topics.enable"));
}

TEST_P(BrokerTest, SaysWhyATopicCannotBe) {
  Admin& admin = broker->admin();
  std::string topic = NewTopic(2);
  auto create = [&](TopicSpec spec) {
    return AwaitStatus([&](auto done) { admin.CreateTopic(spec, std::move(done)); }).code();
  };
  EXPECT_EQ(create({.name = topic}), Code::kAlreadyExists);
  EXPECT_EQ(create({.name = "no spaces"}), Code::kInvalidArgument);
  EXPECT_EQ(create({.name = Unique("x"), .partitions = 0}), Code::kInvalidArgument);
  EXPECT_EQ(create({.name = Unique("x"), .config = {{"no.such.setting", "1"}}}),
            Code::kInvalidArgument);
  std::string dotted = Unique("a.b");
  topic = dotted;
  ASSERT_TRUE(Create({.name = dotted}).ok());
  std::string underscored = dotted;
  underscored[1] = '_';
  EXPECT_EQ(create({.name = underscored}), Code::kAlreadyExists);
  std::string missing = Unique("missing");
  auto status = [&](auto call) { return AwaitStatus(call).code(); };
  EXPECT_EQ(status([&](auto d) { admin.DeleteTopic(missing, d); }), Code::kNotFound);
  EXPECT_EQ(status([&](auto d) { admin.GrowTopic(missing, 3, d); }), Code::kNotFound);
  EXPECT_EQ(status([&](auto d) { admin.GrowTopic(dotted, 1, d); }), Code::kInvalidArgument);
  EXPECT_EQ(status([&](auto d) { admin.ConfigureTopic(missing, {{"retention.ms", "1000"}}, d); }),
            Code::kNotFound);
  EXPECT_EQ(Await<TopicInfo>([&](auto d) { admin.DescribeTopic(missing, d); }).code(),
            Code::kNotFound);
  EXPECT_EQ(Await<std::vector<Offsets>>([&](auto d) { admin.ListOffsets(missing, d); }).code(),
            Code::kNotFound);
}

TEST_P(BrokerTest, ListsOffsetsAndFindsThemByTime) {
  Admin& admin = broker->admin();
  std::string topic = NewTopic(2);
  Fill(topic, 1, 4);
  driver->RunFor(std::chrono::milliseconds(50));
  int64_t middle = ToMillis(driver->loop().Now());
  driver->RunFor(std::chrono::milliseconds(50));
  Fill(topic, 1, 3, 4);
  auto offsets =
      Await<std::vector<Offsets>>([&](auto done) { admin.ListOffsets(topic, std::move(done)); });
  ASSERT_TRUE(offsets.ok()) << offsets.message();
  ASSERT_EQ(offsets->size(), 2u);
  EXPECT_EQ((*offsets)[0].latest, 0);
  EXPECT_EQ((*offsets)[1].earliest, 0);
  EXPECT_EQ((*offsets)[1].latest, 7);
  auto at = [&](int64_t ms) {
    return Await<std::vector<int64_t>>(
        [&](auto done) { admin.OffsetsForTime(topic, ms, std::move(done)); });
  };
  auto found = at(middle);
  ASSERT_TRUE(found.ok()) << found.message();
  EXPECT_EQ(*found, (std::vector<int64_t>{0, 4}));
  EXPECT_EQ(*at(0), (std::vector<int64_t>{0, 0}));
  EXPECT_EQ(*at(middle + 3'600'000), (std::vector<int64_t>{0, 7}));
}

}  // namespace
}  // namespace dispatch::broker_contract_test
