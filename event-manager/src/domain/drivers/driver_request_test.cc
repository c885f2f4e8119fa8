#include "event-manager/src/domain/drivers/driver_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "schema/driver_types.h"

namespace dispatch::driver_request_test {
namespace {

using ::testing::HasSubstr;

json::object Object(const char* text) { return json::ParseObject(text).value(); }

Status Check(const char* type, const char* driver) {
  auto document = DriverDocument(Object(driver));
  if (!document.ok()) return document.status();
  return FillDriver(schema::BuiltInDriverType(type), *document);
}

TEST(DriverRequest, TakesWhatVMwaresClientSends) {
  auto type = DriverTypeDocument(Object(
      R"({"name": "tick", "image": "kars7e/timer:latest", "expose": false, "config": null,
          "tags": [{"key": "role", "value": "test"}]})"));
  ASSERT_TRUE(type.ok()) << type.message();
  auto driver = DriverDocument(Object(
      R"({"name": "tick1", "type": "tick", "config": [{"key": "seconds", "value": "2"}],
          "secrets": null, "expose": false, "tags": []})"));
  ASSERT_TRUE(driver.ok()) << driver.message();
  ASSERT_TRUE(FillDriver(*type, *driver).ok());
  EXPECT_EQ(json::GetString(*driver, "image"), "kars7e/timer:latest");
}

TEST(DriverRequest, ImagesAreBuiltInVMwaresExecutablesOrContainers) {
  EXPECT_EQ(KindOfImage("builtin/kafka").value(), DriverKind::kKafka);
  EXPECT_EQ(KindOfImage("dispatchframework/dispatch-events-ticker:0.1").value(),
            DriverKind::kTicker);
  EXPECT_EQ(KindOfImage("vmware/event-driver-cron").value(), DriverKind::kCron);
  EXPECT_EQ(KindOfImage("weather.py").value(), DriverKind::kExecutable);
  EXPECT_EQ(KindOfImage("kars7e/timer@sha256:0123").value(), DriverKind::kTicker);
  for (const char* image : {"example/other:1", "weather:2", "example/stock-ticker:1"}) {
    EXPECT_EQ(KindOfImage(image).value(), DriverKind::kContainer) << image;
  }
  EXPECT_THAT(NoDriverEngine("example/other:1").message, HasSubstr("drivers-engine-socket"));
  EXPECT_THAT(KindOfImage("example//other").message(), HasSubstr("no reference of an image"));
  EXPECT_FALSE(KindOfImage("../up").ok());
  EXPECT_FALSE(KindOfImage(".hidden").ok());
  EXPECT_FALSE(KindOfImage("a b").ok());
}

TEST(DriverRequest, FaultsNameTheirPlace) {
  EXPECT_THAT(Check("ticker", R"({"name": "t", "type": "ticker",
                      "config": [{"key": "seconds", "value": "0"}]})")
                  .message(),
              HasSubstr("config.seconds must be a whole number from 1"));
  EXPECT_THAT(Check("ticker", R"({"name": "t", "type": "ticker",
                      "config": [{"key": "secnods", "value": "5"}]})")
                  .message(),
              HasSubstr("config.secnods is not known: topic, seconds, catch-up are"));
  EXPECT_THAT(Check("cron", R"({"name": "c", "type": "cron"})").message(),
              HasSubstr("config.cron is required"));
  EXPECT_THAT(Check("cron", R"({"name": "c", "type": "cron",
                      "config": [{"key": "cron", "value": "0 0 30 2 *"}]})")
                  .message(),
              HasSubstr("never comes"));
  EXPECT_THAT(Check("kafka", R"({"name": "k", "type": "kafka",
                      "config": [{"key": "source", "value": "default"}]})")
                  .message(),
              HasSubstr("config.source"));
  EXPECT_THAT(Check("postgres", R"({"name": "p", "type": "postgres",
                      "config": [{"key": "table", "value": "a;drop"}]})")
                  .message(),
              HasSubstr("config.table must be a name"));
  EXPECT_THAT(Check("postgres", R"({"name": "p", "type": "postgres", "config": [
                      {"key": "table", "value": "outbox"},
                      {"key": "url", "value": "postgresql://u:secret@h/db"}]})")
                  .message(),
              HasSubstr("password"));
  EXPECT_THAT(DriverDocument(Object(R"({"name": "t", "type": "x", "speed": 1})")).message(),
              HasSubstr("speed is not a field"));
  EXPECT_THAT(DriverDocument(Object(R"({"name": "t", "type": "x",
                                        "config": [{"key": "a=b", "value": "1"}]})"))
                  .message(),
              HasSubstr("config"));
}

TEST(DriverRequest, TheDriversConfigGoesBeforeItsTypes) {
  DriverConfig merged = MergeConfig({{"seconds", "5"}, {"topic", "a"}}, {{"topic", "b"}});
  EXPECT_EQ(ConfigValue(merged, "seconds"), "5");
  EXPECT_EQ(TopicOf(merged), "b");
  EXPECT_EQ(TopicOf({}), "default");
}

TEST(DriverRequest, AnUnknownTypeHasVMwaresWords) {
  Error error = NoSuchType("x", "nothing");
  EXPECT_EQ(error.code, Code::kInvalidArgument);
  EXPECT_EQ(error.message,
            "bad request when processing event driver x: driver type nothing does not exist");
}

}  // namespace
}  // namespace dispatch::driver_request_test
