#include "function-manager/src/domain/reply_event.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dispatch::reply_event_test {
namespace {

using cloudevents::Event;
using ::testing::HasSubstr;

const schema::HeaderList kBinary = {{"Content-Type", "text/plain"},
                                    {"ce-specversion", "1.0"},
                                    {"Ce-Type", "done"},
                                    {"ce-source", "/worker"},
                                    {"ce-id", "7"}};
const schema::HeaderList kStructured = {
    {"content-type", "application/cloudevents+json; charset=utf-8"}};

Event Delivered(const std::string& hops = "") {
  Event event;
  if (!hops.empty()) event.Set(kReplyHops, hops);
  return event;
}

std::string Attribute(const Result<std::optional<Event>>& reply, const char* name) {
  if (!reply.ok() || !*reply) return "(no reply: " + (reply.ok() ? "" : reply.message()) + ")";
  const std::string* value = (**reply).Find(name);
  return value == nullptr ? "(none)" : *value;
}

TEST(ReplyEvent, IsInBinaryAndStructuredAnswers) {
  auto reply = ReplyIn(kBinary, std::string("a\0b", 3), Delivered(), "w");
  EXPECT_EQ(Attribute(reply, "id"), "7");
  EXPECT_EQ(Attribute(reply, "type"), "done");
  EXPECT_EQ(Attribute(reply, kReplyHops), "1");
  EXPECT_EQ((**reply).data, std::string("a\0b", 3));
  reply =
      ReplyIn(kStructured,
              R"({"specversion":"1.0","id":"8","source":"/w","type":"done","data":{"n": 1.50}})",
              Delivered("3"), "w");
  EXPECT_EQ(Attribute(reply, "id"), "8");
  EXPECT_EQ(Attribute(reply, kReplyHops), "4");
  EXPECT_EQ((**reply).data, R"({"n": 1.50})");
}

TEST(ReplyEvent, AnAnswerNeedNotHaveOne) {
  for (const schema::HeaderList& headers :
       {schema::HeaderList{}, {{"content-type", "application/json"}}}) {
    auto reply = ReplyIn(headers, R"({"specversion":"1.0"})", Delivered(), "w");
    ASSERT_TRUE(reply.ok());
    EXPECT_FALSE(reply->has_value());
  }
}

TEST(ReplyEvent, WithoutAnIdItHasTheSameOneEachTime) {
  schema::HeaderList headers(kBinary.begin(), kBinary.end() - 1);
  EXPECT_EQ(Attribute(ReplyIn(headers, "", Delivered(), "msg_1"), "id"), "msg_1-reply");
  const char* body = R"( {"specversion":"1.0","source":"/w","type":"done","data":{"id":1}})";
  EXPECT_EQ(Attribute(ReplyIn(kStructured, body, Delivered(), "msg_1"), "id"), "msg_1-reply");
}

TEST(ReplyEvent, WhatIsMeantToBeOneMustBeOne) {
  schema::HeaderList no_type = {
      {"ce-specversion", "1.0"}, {"ce-source", "/worker"}, {"ce-id", "7"}};
  for (const auto& reply :
       {ReplyIn(no_type, "", Delivered(), "w"), ReplyIn(kStructured, "{}", Delivered(), "w"),
        ReplyIn(kStructured, "no JSON", Delivered(), "w"),
        ReplyIn(kStructured, R"({"id":"7")", Delivered(), "w")}) {
    EXPECT_EQ(reply.code(), Code::kInvalidArgument);
  }
  EXPECT_THAT(ReplyIn(no_type, "", Delivered(), "w").message(), HasSubstr("type"));
  schema::HeaderList batch = {{"content-type", "application/cloudevents-batch+json"}};
  EXPECT_THAT(ReplyIn(batch, "[]", Delivered(), "w").message(), HasSubstr("one event"));
}

TEST(ReplyEvent, ALoopEnds) {
  Event event = Delivered();
  for (int hop = 1; hop <= kMaxReplyHops; ++hop) {
    auto reply = ReplyIn(kBinary, "", event, "w");
    ASSERT_EQ(Attribute(reply, kReplyHops), std::to_string(hop));
    event = **reply;
  }
  auto over = ReplyIn(kBinary, "", event, "w");
  EXPECT_EQ(over.code(), Code::kConflict);
  EXPECT_THAT(over.message(), HasSubstr("17th"));
  // Nor does an endpoint that sets the counter itself, or a publisher that breaks it, get round it.
  schema::HeaderList reset = kBinary;
  reset.emplace_back("ce-dispatchhops", "0");
  EXPECT_EQ(Attribute(ReplyIn(reset, "", Delivered("5"), "w"), kReplyHops), "6");
  for (const char* nonsense : {"-1", "x", "99999999999"}) {
    EXPECT_EQ(ReplyIn(kBinary, "", Delivered(nonsense), "w").code(), Code::kConflict);
  }
}

TEST(ReplyEvent, HasTheLimitOfPublishedEvents) {
  EXPECT_TRUE(ReplyIn(kBinary, std::string(kMaxReplyBytes - 200, 'x'), Delivered(), "w").ok());
  EXPECT_EQ(ReplyIn(kBinary, std::string(kMaxReplyBytes, 'x'), Delivered(), "w").code(),
            Code::kTooLarge);
}

}  // namespace
}  // namespace dispatch::reply_event_test
