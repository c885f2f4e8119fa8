#include "function-manager/src/domain/dead_letter.h"

#include <gtest/gtest.h>

#include "schema/cloudevents.h"

namespace dispatch::dead_letter_test {
namespace {

schema::DeadLetter Letter(schema::EventData event) {
  schema::DeadLetter letter;
  letter.id.partition = 2;
  letter.id.offset = 7;
  letter.org = "acme";
  letter.topic = "orders";
  letter.subscription = "billing";
  letter.reason = "rejected";
  letter.message = "404 from\nh\xc3\xb6st";
  letter.attempts = 3;
  letter.last_status = 404;
  letter.dead_lettered_ms = 1'000;
  letter.event = std::move(event);
  return letter;
}

schema::EventData Event() {
  schema::EventData event;
  event.key = "k";
  event.headers = {{"ce_specversion", "1.0"}, {"ce_id", "1"},
                   {"ce_source", "/s"},       {"ce_type", "t"},
                   {"ce_partitionkey", "k"},  {"content-type", "text/plain"}};
  event.value = std::string("\0\xff", 2);
  return event;
}

cloudevents::Event Read(const broker::ProduceRecord& record) {
  auto event = cloudevents::FromKafka({record.key, record.headers, record.value});
  EXPECT_TRUE(event.ok()) << event.message();
  return event.ok() ? *event : cloudevents::Event{};
}

TEST(DeadLetterTest, TheCopyIsTheEventWithWhatWentWrong) {
  auto record = CopyOf(Letter(Event()), "orders-dead");
  ASSERT_TRUE(record);
  EXPECT_EQ(record->topic, "acme.orders-dead");
  EXPECT_EQ(record->key, "k");
  EXPECT_EQ(record->value, Event().value);
  auto event = Read(*record);
  EXPECT_TRUE(cloudevents::Validate(event).ok());
  EXPECT_EQ(*event.Find("id"), "1");
  EXPECT_EQ(*event.Find("datacontenttype"), "text/plain");
  EXPECT_EQ(*event.Find("deadletterreason"), "rejected");
  EXPECT_EQ(*event.Find("deadlettersubscription"), "billing");
  EXPECT_EQ(*event.Find("deadlettersource"), "orders/2/7");
  EXPECT_EQ(*event.Find("deadletterstatus"), "404");
  EXPECT_EQ(*event.Find("deadletterattempts"), "3");
  EXPECT_EQ(*event.Find("deadlettertime"), "1970-01-01T00:00:01.000Z");
  EXPECT_EQ(*event.Find("deadlettermessage"), "404 from h??st");
}

TEST(DeadLetterTest, AStructuredEventIsCopiedToo) {
  schema::EventData event;
  event.headers = {{"content-type", "application/cloudevents+json"}};
  event.value = R"({"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1}})";
  auto record = CopyOf(Letter(event), "d");
  ASSERT_TRUE(record);
  EXPECT_EQ(*Read(*record).Find("deadletterreason"), "rejected");
}

TEST(DeadLetterTest, ACircleOfDeadLetterTopicsEnds) {
  schema::EventData event = Event();
  int rounds = 0;
  while (auto record = CopyOf(Letter(event), "d")) {
    event = {record->key, record->headers, record->value};
    ASSERT_LT(++rounds, 100);
  }
  EXPECT_EQ(rounds, 5);
}

TEST(DeadLetterTest, WhatIsNoEventHasNoCopy) {
  EXPECT_FALSE(CopyOf(Letter({std::nullopt, {}, "bytes"}), "d"));
}

TEST(DeadLetterTest, EachLetterOfAnEventHasARedrivenDeliveryOfItsOwn) {
  Uuid first;
  first.bytes[0] = 1;
  Uuid second;
  second.bytes[0] = 2;
  schema::DeliveryId letter;
  letter.generation = 1;
  auto once = RedrivenId(letter, first, 1);
  EXPECT_EQ(once.replay, first);
  EXPECT_NE(once.WebhookId(), letter.WebhookId()) << "no repeat to those who drop repeats";
  EXPECT_EQ(RedrivenId(letter, first, 1), once) << "the same after a crash";
  auto of_older = RedrivenId(letter, first, 2);
  EXPECT_EQ(of_older.generation, 2);
  auto current = letter;
  current.generation = 2;
  EXPECT_NE(of_older, RedrivenId(current, first, 2));
  EXPECT_NE(RedrivenId(once, first, 1), once);
  EXPECT_NE(RedrivenId(once, second, 1), RedrivenId(letter, second, 1));
}

}  // namespace
}  // namespace dispatch::dead_letter_test
