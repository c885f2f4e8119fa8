#include "event-manager/src/domain/dry_run.h"

#include <gtest/gtest.h>

namespace dispatch::dry_run_test {
namespace {

broker::Record Event(int64_t offset, const std::string& type, const std::string& priority) {
  broker::Record record;
  record.offset = offset;
  record.timestamp_ms = 1'000 * (offset + 1);
  record.headers = {{"ce_specversion", "1.0"},
                    {"ce_id", std::to_string(offset)},
                    {"ce_source", "/s"},
                    {"ce_type", type},
                    {"ce_priority", priority}};
  return record;
}

DryRun Make(json::array filters) {
  schema::Subscription s;
  s.filters = std::move(filters);
  auto compiled = CompiledSubscription::Compile(std::move(s));
  EXPECT_TRUE(compiled.ok());
  return DryRun(*compiled);
}

TEST(DryRunTest, CountsMatchesErrorsAndWhatIsNoEvent) {
  DryRun run = Make({{{"sql", "priority > 5"}}});
  run.Look(Event(0, "a", "7"));
  run.Look(Event(1, "a", "3"));
  run.Look(Event(2, "a", "high"));  // a cast error
  broker::Record plain;
  plain.value = "text";
  plain.timestamp_ms = 9'000;
  run.Look(plain);
  auto report = run.Report();
  EXPECT_EQ(report["scanned"], 4);
  EXPECT_EQ(report["matched"], 1);
  EXPECT_EQ(report["notCloudEvents"], 1);
  EXPECT_EQ(report.at("evaluationErrors").at("events"), 1);
  EXPECT_EQ(report.at("evaluationErrors").at("kinds").at("cast"), 1);
  EXPECT_EQ(report["oldest"], "1970-01-01T00:00:01.000Z");
  EXPECT_EQ(report["newest"], "1970-01-01T00:00:09.000Z");
  EXPECT_EQ(report.at("examples").as_array().size(), 1u);
}

TEST(DryRunTest, ErrorsInsideOtherDialectsCount) {
  DryRun run = Make({{{"not", {{"sql", "priority > 5"}}}}});
  run.Look(Event(0, "a", "high"));
  auto report = run.Report();
  EXPECT_EQ(report["matched"], 1);  // what has an error does not hold, and its contrary does
  EXPECT_EQ(report.at("evaluationErrors").at("events"), 1);
}

TEST(DryRunTest, ExamplesAreTheNewestAndSmall) {
  DryRun run = Make({});
  for (int64_t offset : {3, 9, 1, 8, 2, 7, 4}) run.Look(Event(offset, "a", "1"));
  broker::Record large = Event(20, "large", "1");
  large.value = std::string(DryRun::kExampleBytes + 1, 'x');
  run.Look(large);
  auto report = run.Report();
  const auto& examples = report.at("examples").as_array();
  ASSERT_EQ(examples.size(), DryRun::kExamples);
  EXPECT_EQ(examples[0].at("offset"), 20);
  EXPECT_EQ(examples[0].at("event").at("type"), "large");
  EXPECT_FALSE(examples[0].at("event").as_object().contains("data_base64"));
  EXPECT_EQ(examples[1].at("offset"), 9);
  EXPECT_EQ(examples[4].at("offset"), 4);
}

TEST(DryRunTest, AnEmptyTopicHasNoTimes) {
  auto report = Make({}).Report();
  EXPECT_EQ(report["scanned"], 0);
  EXPECT_FALSE(report.contains("oldest"));
}

TEST(SampleStartsTest, SpreadsOverThePartitions) {
  using Starts = std::vector<int64_t>;
  EXPECT_EQ(SampleStarts({{0, 100}, {0, 100}}, 10), (Starts{95, 95}));
  EXPECT_EQ(SampleStarts({{50, 52}, {0, 100}, {7, 7}}, 10), (Starts{50, 92, 7}));
  EXPECT_EQ(SampleStarts({{0, 3}, {0, 2}}, 1000), (Starts{0, 0}));
  EXPECT_EQ(SampleStarts({{0, 9}, {0, 9}, {0, 9}}, 1), (Starts{8, 9, 9}));
  EXPECT_EQ(SampleStarts({}, 5), Starts{});
}

}  // namespace
}  // namespace dispatch::dry_run_test
