#include "cli/src/server_sent_events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dispatch::cli::server_sent_events_test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Stream : public ::testing::Test {
 protected:
  void Take(std::string_view piece) {
    Status status = reader_.Take(piece, [this](const ServerSentEvent& event) {
      events_.push_back(event.type + "|" + event.data);
    });
    EXPECT_TRUE(status.ok()) << status.message();
  }

  EventStreamReader reader_;
  std::vector<std::string> events_;
};

TEST_F(Stream, EventsHaveTypeDataAndId) {
  Take("retry: 2000\nid: 0:1\ndata: {\"a\": 1}\n\nevent: lost\ndata:x\ndata:  y\nid: 0:2\n\n");
  EXPECT_THAT(events_, ElementsAre("message|{\"a\": 1}", "lost|x\n y"));
  EXPECT_EQ(reader_.last_id(), "0:2");
  EXPECT_EQ(reader_.retry(), std::chrono::milliseconds(2000));
}

TEST_F(Stream, AnIdCountsWithTheEmptyLineBehindItAndNeedsNoData) {
  Take("id: 0:7\n: heartbeat\n");
  EXPECT_EQ(reader_.last_id(), "");
  Take("\n");
  EXPECT_EQ(reader_.last_id(), "0:7");
  EXPECT_THAT(events_, IsEmpty());
}

TEST_F(Stream, PiecesEndAnywhereAndLinesWithAnyEnd) {
  for (char c : std::string("data: a\r\ndata: b\r\rdata: c\n\n")) Take({&c, 1});
  EXPECT_THAT(events_, ElementsAre("message|a\nb", "message|c"));
}

TEST_F(Stream, WhatItDoesNotKnowIsPassedOver) {
  Take("colour: red\nretry: soon\n:comment\ndata\n\ndata: a\n\n");
  EXPECT_THAT(events_, ElementsAre("message|", "message|a"));
  EXPECT_EQ(reader_.retry(), std::nullopt);
}

TEST_F(Stream, AnEventHasALimit) {
  std::string piece(1 << 20, 'x');
  Status status;
  for (int i = 0; i < 70 && status.ok(); ++i) status = reader_.Take(piece, [](const auto&) {});
  EXPECT_FALSE(status.ok());
}

}  // namespace
}  // namespace dispatch::cli::server_sent_events_test
