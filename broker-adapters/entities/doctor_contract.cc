#include <gtest/gtest.h>

#include "broker-adapters/entities/doctor.h"

namespace dispatch::doctor_contract {
namespace {

PostgresFacts Good() {
  PostgresFacts facts;
  facts.settings = {{"fsync", "on"}, {"synchronous_commit", "on"}, {"full_page_writes", "on"}};
  facts.now_ms = 10'000;
  facts.connections = 20;
  facts.connections_max = 97;
  facts.migrations_applied = facts.migrations_known = 12;
  return facts;
}

std::string Bad(const PostgresFacts& facts) {
  std::string all;
  for (const Finding& finding : JudgePostgres(facts, 9'990, 10'010)) {
    if (finding.level == Finding::Level::kOk) continue;
    EXPECT_FALSE(finding.remedy.empty()) << finding.check;
    all += std::string(LevelName(finding.level)) + " " + finding.check + ";";
  }
  return all;
}

TEST(JudgePostgres, EachFaultIsTold) {
  EXPECT_EQ(Bad(Good()), "");
  for (const char* setting : {"fsync", "synchronous_commit", "full_page_writes"}) {
    PostgresFacts facts = Good();
    facts.settings[setting] = "off";
    EXPECT_EQ(Bad(facts), "failure postgres.durability;") << setting;
  }
  PostgresFacts facts = Good();
  facts.settings["synchronous_commit"] = "local";
  EXPECT_EQ(Bad(facts), "");
  facts = Good();
  facts.connections = 90;
  EXPECT_EQ(Bad(facts), "warning postgres.connections;");
  facts = Good();
  facts.migrations_applied = 13;
  EXPECT_EQ(Bad(facts), "warning postgres.migrations;");
  facts = Good();
  facts.longest_transaction_s = 700;
  EXPECT_EQ(Bad(facts), "warning postgres.transactions;");
  facts = Good();
  facts.now_ms = 17'000;
  EXPECT_EQ(Bad(facts), "failure postgres.clock;");
}

}  // namespace
}  // namespace dispatch::doctor_contract
