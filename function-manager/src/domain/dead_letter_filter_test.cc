#include "function-manager/src/domain/dead_letter_filter.h"

#include <gtest/gtest.h>

namespace dispatch::dead_letter_filter_test {
namespace {

DeadLetterFilter Read(const std::string& text, std::vector<FieldError>* faults) {
  return ReadDeadLetterFilter(*json::ParseObject(text), "filter", faults);
}

TEST(DeadLetterFilterTest, WhatIsLeftOutDoesNotFilter) {
  std::vector<FieldError> faults;
  EXPECT_TRUE(Read("{}", &faults).empty());
  EXPECT_TRUE(Read(R"({"reason": "", "type": null, "status": "", "id": ""})", &faults).empty());
  EXPECT_TRUE(faults.empty());
}

TEST(DeadLetterFilterTest, IsReadAsItIsShown) {
  std::vector<FieldError> faults;
  std::string text =
      R"({"reason":"rejected","type":"order.created","status":404,)"
      R"("since":"2026-11-21T08:00:00.000Z","until":"2026-11-22T08:00:00.000Z","id":"3-17"})";
  auto filter = Read(text, &faults);
  EXPECT_TRUE(faults.empty());
  EXPECT_EQ(filter.status, 404);
  EXPECT_EQ(filter.at, std::pair(3, int64_t{17}));
  EXPECT_EQ(*filter.until_ms - *filter.since_ms, 86'400'000);
  EXPECT_EQ(json::Serialize(DeadLetterFilterForm(filter)), text);
  EXPECT_EQ(Read(R"({"status": "0"})", &faults).status, 0) << "as a query has it";
}

TEST(DeadLetterFilterTest, EveryWrongFieldIsNamed) {
  std::vector<FieldError> faults;
  Read(R"({"reason": 1, "type": [], "status": "5xx", "since": "today", "until": 5, "id": "17"})",
       &faults);
  std::vector<std::string> named;
  for (const auto& fault : faults) named.push_back(fault.field);
  EXPECT_EQ(named, (std::vector<std::string>{"filter.reason", "filter.type", "filter.status",
                                             "filter.since", "filter.until", "filter.id"}));
  for (const char* id : {"-", "1-", "-1", "1-2-3", "1--2", "a-1", "99999999999-1"}) {
    EXPECT_FALSE(ParseDeadLetterId(id)) << id;
  }
}

}  // namespace
}  // namespace dispatch::dead_letter_filter_test
