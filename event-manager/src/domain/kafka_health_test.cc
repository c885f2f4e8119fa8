#include "event-manager/src/domain/kafka_health.h"

#include <gtest/gtest.h>

#include <functional>

#include "broker-adapters/topics.h"

namespace dispatch::kafka_health_test {
namespace {

using Level = Finding::Level;

// Three brokers and every topic as it should be.
KafkaFacts Good() {
  KafkaFacts facts;
  facts.brokers = 3;
  for (const auto& spec : broker::InternalTopics(3, 16)) {
    KafkaFacts::Topic topic;
    topic.layout = {spec.name, spec.partitions, 3, 3, 0};
    for (const auto& [name, value] : spec.config) topic.settings[name] = value;
    topic.settings["unclean.leader.election.enable"] = "false";
    topic.settings["retention.bytes"] = "-1";
    topic.wanted = spec;
    facts.topics.push_back(topic);
  }
  KafkaFacts::Topic events;
  events.layout = {"acme.orders", 4, 3, 3, 0};
  events.settings = {{"retention.ms", "604800000"},
                     {"max.message.bytes", "1048588"},
                     {"min.insync.replicas", "2"},
                     {"cleanup.policy", "delete"}};
  events.longest_retry_ms = 48 * 3'600'000;
  facts.topics.push_back(events);
  facts.broker_settings["auto.create.topics.enable"] = "false";
  facts.groups = {{"dispatch.event-manager", 2}, {"dispatch.function-manager", 2}};
  return facts;
}

KafkaFacts::Topic& Find(KafkaFacts& facts, const std::string& name) {
  for (auto& topic : facts.topics) {
    if (topic.layout.name == name) return topic;
  }
  ADD_FAILURE() << "no topic " << name;
  return facts.topics.front();
}

std::string Bad(const KafkaFacts& facts) {
  std::string all;
  for (const Finding& finding : JudgeKafka(facts)) {
    if (finding.level == Level::kOk) {
      EXPECT_TRUE(finding.remedy.empty()) << finding.check;
      continue;
    }
    EXPECT_FALSE(finding.remedy.empty()) << finding.check;
    all += std::string(LevelName(finding.level)) + " " + finding.check + " " +
           finding.text.substr(0, finding.text.find(": ")) + ";";
  }
  return all;
}

TEST(KafkaHealth, GoodIsGood) {
  EXPECT_EQ(Bad(Good()), "");
  EXPECT_EQ(JudgeKafka(Good()).size(), 10u);
}

TEST(KafkaHealth, EachFaultIsTold) {
  struct Case {
    std::function<void(KafkaFacts&)> change;
    std::string told;
  };
  auto orders = [](const char* setting, const char* value) {
    return [=](KafkaFacts& facts) { Find(facts, "acme.orders").settings[setting] = value; };
  };
  auto internal = [](const char* topic, const char* setting, const char* value) {
    return [=](KafkaFacts& facts) { Find(facts, topic).settings[setting] = value; };
  };
  const Case cases[] = {
      {[](auto& f) { Find(f, "acme.orders").layout.leaderless = 1; },
       "failure kafka.leaders acme.orders;"},
      {[](auto& f) { Find(f, "acme.orders").layout.in_sync = 2; },
       "warning kafka.leaders acme.orders;"},
      {[](auto& f) { Find(f, "acme.orders").layout = {"acme.orders", 4, 1, 1, 0}; },
       "failure kafka.replication acme.orders;failure kafka.min_insync_replicas acme.orders;"},
      {orders("min.insync.replicas", "1"), "failure kafka.min_insync_replicas acme.orders;"},
      {orders("min.insync.replicas", "3"), "warning kafka.min_insync_replicas acme.orders;"},
      {orders("unclean.leader.election.enable", "true"),
       "failure kafka.unclean_election acme.orders;"},
      {internal("dispatch.state.identity", "cleanup.policy", "delete"),
       "failure kafka.cleanup dispatch.state.identity;"},
      {internal("dispatch.invocations", "retention.ms", "3600000"),
       "failure kafka.retention dispatch.invocations;"},
      {internal("dispatch.dead-letters", "retention.bytes", "1000000"),
       "failure kafka.retention dispatch.dead-letters;"},
      {internal("dispatch.invocations", "retention.ms", "-1"), ""},
      {orders("retention.ms", "86400000"), "warning kafka.retention acme.orders;"},
      {orders("retention.ms", "-1"), ""},
      {orders("max.message.bytes", "500000"), "failure kafka.message_size acme.orders;"},
      {internal("dispatch.invocations", "max.message.bytes", "1048588"),
       "failure kafka.message_size dispatch.invocations;"},
      {[](auto& f) { f.broker_settings["auto.create.topics.enable"] = "true"; },
       "warning kafka.auto_create auto.create.topics.enable;"},
      {[](auto& f) { f.groups[1].second = 0; }, "failure kafka.groups dispatch.function-manager;"},
      {[](auto& f) { f.groups[1].second = std::nullopt; }, ""},
  };
  for (const Case& c : cases) {
    KafkaFacts facts = Good();
    c.change(facts);
    EXPECT_EQ(Bad(facts), c.told);
  }
}

// What deploy/local makes: a warning that says so, and nothing else.
TEST(KafkaHealth, ASingleBrokerIsOneWarning) {
  KafkaFacts facts = Good();
  facts.brokers = 1;
  for (auto& topic : facts.topics) {
    topic.layout.replicas = topic.layout.in_sync = 1;
    topic.settings["min.insync.replicas"] = "1";
  }
  EXPECT_EQ(Bad(facts), "warning kafka.brokers a single broker;");
}

TEST(KafkaHealth, ManyTopicsAreNamedInPart) {
  KafkaFacts facts = Good();
  for (auto& topic : facts.topics) topic.settings["unclean.leader.election.enable"] = "true";
  std::string told = Bad(facts);
  EXPECT_NE(told.find(" and 7 more;"), told.npos) << told;
}

}  // namespace
}  // namespace dispatch::kafka_health_test
