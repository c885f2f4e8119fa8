#include "schema/delivery_time.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dispatch::cloudevents::delivery_time_test {

using ::testing::HasSubstr;

constexpr int64_t kNowMs = 1'700'000'000'123;  // 2023-11-14T22:13:20.123Z
constexpr int64_t kDayMs = 24 * 3'600'000;

Event With(const char* name, const char* value) {
  Event event;
  event.attributes = {{"specversion", "1.0"}, {"id", "1"}, {"source", "/s"}, {"type", "t"}};
  if (name != nullptr) event.Set(name, value);
  return event;
}

TEST(DeliveryTimeTest, ADelayBecomesTheTimeThatItMeans) {
  Event event = With("delay", "90s");
  ASSERT_TRUE(SettleDelay(event, FromMillis(kNowMs)).ok());
  EXPECT_EQ(event.Find("delay"), nullptr);
  ASSERT_NE(event.Find("deliverat"), nullptr);
  EXPECT_EQ(*event.Find("deliverat"), "2023-11-14T22:14:50.123Z");
  EXPECT_EQ(DeliverAtMs(event, kNowMs), kNowMs + 90'000);
}

TEST(DeliveryTimeTest, ATimeStaysAsItWasWritten) {
  Event event = With("deliverat", "2023-11-15T00:13:20+01:00");
  ASSERT_TRUE(SettleDelay(event, FromMillis(kNowMs)).ok());
  EXPECT_EQ(*event.Find("deliverat"), "2023-11-15T00:13:20+01:00");
  EXPECT_EQ(DeliverAtMs(event, kNowMs), kNowMs - 123 + 3'600'000);
  Event past = With("deliverat", "2020-01-01T00:00:00Z");
  EXPECT_TRUE(SettleDelay(past, FromMillis(kNowMs)).ok());
  EXPECT_EQ(DeliverAtMs(past, kNowMs), 0);
  Event none = With(nullptr, nullptr);
  EXPECT_TRUE(SettleDelay(none, FromMillis(kNowMs)).ok());
  EXPECT_EQ(DeliverAtMs(none, kNowMs), 0);
}

TEST(DeliveryTimeTest, FaultsNameTheAttribute) {
  struct Case {
    const char* name;
    const char* value;
    const char* message;
  };
  for (const Case& c : {Case{"deliverat", "tomorrow", "deliverat must be an RFC 3339 time"},
                        Case{"deliverat", "", "deliverat must be an RFC 3339 time"},
                        Case{"deliverat", "2023-12-14T22:13:21Z", "at most 30 days ahead"},
                        Case{"delay", "10", "delay must be a duration"},
                        Case{"delay", "-10s", "delay must be a duration"},
                        Case{"delay", "31d", "delay must be a duration"},
                        Case{"delay", "99999999999999d", "delay must be a duration"}}) {
    Event event = With(c.name, c.value);
    Status status = SettleDelay(event, FromMillis(kNowMs));
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << c.value;
    EXPECT_THAT(status.message(), HasSubstr(c.message));
    ASSERT_EQ(status.error().details.size(), 1u);
    EXPECT_EQ(status.error().details[0].field, c.name);
  }
  Event both = With("delay", "1s");
  both.Set("deliverat", "2023-11-15T00:00:00Z");
  EXPECT_THAT(SettleDelay(both, FromMillis(kNowMs)).message(), HasSubstr("exclude each other"));
}

TEST(DeliveryTimeTest, OtherProducersMayWriteAnything) {
  EXPECT_EQ(DeliverAtMs(With("deliverat", "soon"), kNowMs), 0);
  EXPECT_EQ(DeliverAtMs(With("delay", "10m"), kNowMs), 0);  // only publishing knows it
  EXPECT_EQ(DeliverAtMs(With("deliverat", "9999-12-31T23:59:59Z"), kNowMs), kNowMs + 30 * kDayMs);
}

}  // namespace dispatch::cloudevents::delivery_time_test
