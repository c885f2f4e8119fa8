// HTTP/2 of the client, against the server's side of nghttp2 on a connection that a test plays.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <cstring>
#include <map>

#include "common/http/client.h"
#include "common/http/testing/raw_peer.h"

namespace dispatch::http::http2_test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using testing::RawListener;
using testing::RawPeer;

/// The server's side of one connection.
class Http2Peer {
 public:
  struct Request {
    std::map<std::string, std::string> headers;
    std::string body;
    bool whole = false;
  };

  explicit Http2Peer(RawPeer& peer, std::vector<nghttp2_settings_entry> settings = {})
      : peer_(peer) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnData);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
    nghttp2_option* option = nullptr;
    nghttp2_option_new(&option);
    nghttp2_option_set_max_send_header_block_length(option, 1 << 20);
    nghttp2_session_server_new2(&session_, callbacks, this, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session_, 0, settings.data(), settings.size());
  }
  ~Http2Peer() { nghttp2_session_del(session_); }

  /// Takes what came and says what is to be said.
  void Pump() {
    std::string in = peer_.received();
    peer_.Clear();
    nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(in.data()), in.size());
    const uint8_t* out = nullptr;
    for (ssize_t size = 0; (size = nghttp2_session_mem_send(session_, &out)) > 0;) {
      peer_.Send({reinterpret_cast<const char*>(out), static_cast<size_t>(size)});
    }
  }

  void Answer(int32_t stream, const std::string& status, std::string body = {},
              std::map<std::string, std::string> headers = {}) {
    std::vector<nghttp2_nv> fields = {Field(":status", status)};
    for (const auto& [name, value] : headers) fields.push_back(Field(name, value));
    bodies_[stream] = std::move(body);
    nghttp2_data_provider provider{};
    provider.source.ptr = this;
    provider.read_callback = Read;
    nghttp2_submit_response(session_, stream, fields.data(), fields.size(),
                            bodies_[stream].empty() ? nullptr : &provider);
    Pump();
  }

  nghttp2_session* session() { return session_; }
  std::map<int32_t, Request> requests;
  size_t pings = 0;
  bool settled = false;  // the client knows our settings

 private:
  // Of text that stays until it is submitted.
  static nghttp2_nv Field(std::string_view name, std::string_view value) {
    auto bytes = [](std::string_view text) {
      return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
    };
    return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
  }
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                      void* data) {
    auto& request = static_cast<Http2Peer*>(data)->requests[frame->hd.stream_id];
    request.headers.emplace(std::string(reinterpret_cast<const char*>(name), name_size),
                            std::string(reinterpret_cast<const char*>(value), value_size));
    return 0;
  }
  static int OnData(nghttp2_session*, uint8_t, int32_t stream, const uint8_t* bytes, size_t size,
                    void* data) {
    static_cast<Http2Peer*>(data)->requests[stream].body.append(
        reinterpret_cast<const char*>(bytes), size);
    return 0;
  }
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* data) {
    auto* self = static_cast<Http2Peer*>(data);
    if (frame->hd.type == NGHTTP2_PING) ++self->pings;
    bool ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
    if (frame->hd.type == NGHTTP2_SETTINGS && ack) self->settled = true;
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    bool of_request = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (end && of_request) self->requests[frame->hd.stream_id].whole = true;
    return 0;
  }
  static ssize_t Read(nghttp2_session*, int32_t stream, uint8_t* to, size_t size, uint32_t* flags,
                      nghttp2_data_source* source, void*) {
    std::string& body = static_cast<Http2Peer*>(source->ptr)->bodies_[stream];
    size_t count = std::min(size, body.size());
    std::memcpy(to, body.data(), count);
    body.erase(0, count);
    if (body.empty()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(count);
  }

  RawPeer& peer_;
  nghttp2_session* session_ = nullptr;
  std::map<int32_t, std::string> bodies_;
};

class Http2Client : public ::testing::Test {
 protected:
  using Slot = std::shared_ptr<std::optional<Client::Outcome>>;

  Http2Client() { options_.allow_private_addresses = true; }

  Client& client() {
    if (!client_) client_ = std::make_unique<Client>(loop_, options_);
    return *client_;
  }
  // Lets both sides talk until it holds.
  bool Until(const std::function<bool()>& done, Duration limit = 10s) {
    return loop_.RunUntil(
        [&] {
          for (auto& [index, peer] : peers_) peer->Pump();
          return done();
        },
        limit);
  }
  ClientRequest Request(const std::string& body = "hello") {
    return {.url = "http://127.0.0.1:" + std::to_string(listener_.port()) + "/hook?x=1",
            .body = body,
            .version = HttpVersion::kHttp2};
  }
  Slot Send(ClientRequest request) {
    auto slot = std::make_shared<std::optional<Client::Outcome>>();
    client().Send(std::move(request), [slot](Client::Outcome o) { *slot = std::move(o); });
    return slot;
  }
  Client::Outcome Wait(const Slot& slot) {
    EXPECT_TRUE(Until([&] { return slot->has_value(); }));
    return slot->has_value() ? std::move(**slot) : Client::Outcome{};
  }
  Http2Peer& Accept(size_t index = 0, std::vector<nghttp2_settings_entry> settings = {}) {
    EXPECT_TRUE(Until([&] { return listener_.peers.size() > index; }));
    auto& peer = peers_[index];
    peer = std::make_unique<Http2Peer>(*listener_.peers.at(index), std::move(settings));
    EXPECT_TRUE(Until([&] { return peer->settled; }));
    return *peer;
  }
  // Waits for that many whole requests.
  void Requests(Http2Peer& peer, size_t count) {
    EXPECT_TRUE(Until([&] {
      size_t whole = 0;
      for (const auto& [stream, request] : peer.requests) whole += request.whole ? 1 : 0;
      return whole == count;
    })) << peer.requests.size();
  }

  EventLoop loop_;
  RawListener listener_{loop_};
  ClientOptions options_;
  std::map<size_t, std::unique_ptr<Http2Peer>> peers_;
  std::unique_ptr<Client> client_;
};

TEST_F(Http2Client, ManyExchangesShareAConnection) {
  std::vector<Slot> slots;
  for (int i = 0; i < 20; ++i) slots.push_back(Send(Request("body " + std::to_string(i))));
  Http2Peer& peer = Accept();
  Requests(peer, 20);
  EXPECT_EQ(client().connections(), 1u);
  const auto& first = peer.requests.begin()->second;
  EXPECT_EQ(first.headers.at(":method"), "POST");
  EXPECT_EQ(first.headers.at(":path"), "/hook?x=1");
  EXPECT_EQ(first.headers.at(":scheme"), "http");
  EXPECT_EQ(first.headers.at(":authority"), "127.0.0.1:" + std::to_string(listener_.port()));
  EXPECT_EQ(first.headers.at("content-length"), "6");
  EXPECT_EQ(first.headers.at("user-agent"), "Dispatch");
  // In any order.
  for (auto it = peer.requests.rbegin(); it != peer.requests.rend(); ++it) {
    peer.Answer(it->first, "202", "re: " + it->second.body, {{"x-reply", "yes"}});
  }
  for (int i = 0; i < 20; ++i) {
    auto outcome = Wait(slots[i]);
    EXPECT_EQ(outcome.failure, FailureKind::kNone) << outcome.message;
    EXPECT_EQ(outcome.response.status, 202);
    EXPECT_EQ(outcome.response.body, "re: body " + std::to_string(i));
    EXPECT_EQ(outcome.response.headers.Get("X-Reply"), "yes");
  }
  auto again = Send(Request());
  Requests(peer, 21);
  peer.Answer(peer.requests.rbegin()->first, "204");
  EXPECT_EQ(Wait(again).response.status, 204);
  EXPECT_EQ(listener_.peers.size(), 1u);
  EXPECT_EQ(client().in_flight(), 0u);
}

TEST_F(Http2Client, WritesNoFieldsOfAConnection) {
  ClientRequest request = Request();
  request.headers.Add("X-Key", "value");
  for (const char* name : {"Host", "Connection", "Transfer-Encoding", "Keep-Alive"}) {
    request.headers.Add(name, "x");
  }
  Send(std::move(request));
  Http2Peer& peer = Accept();
  Requests(peer, 1);
  const auto& headers = peer.requests.begin()->second.headers;
  EXPECT_EQ(headers.at("x-key"), "value");
  for (const char* name : {"host", "connection", "transfer-encoding", "keep-alive"}) {
    EXPECT_FALSE(headers.contains(name)) << name;
  }
}

TEST_F(Http2Client, LargeBodiesPassBothWindows) {
  std::string big(3'000'000, 'b');
  ClientRequest request = Request(big);
  request.max_response_bytes = 10'000'000;
  auto slot = Send(std::move(request));
  Http2Peer& peer = Accept();
  Requests(peer, 1);
  EXPECT_TRUE(peer.requests.begin()->second.body == big);
  peer.Answer(1, "200", big);
  EXPECT_TRUE(Wait(slot).response.body == big);
}

TEST_F(Http2Client, ReadsWhileItCannotWrite) {
  auto slot = Send(Request(std::string(50'000'000, 'b')));
  Http2Peer& peer = Accept(0, {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 100'000'000}});
  nghttp2_session_set_local_window_size(peer.session(), 0, 0, 100'000'000);
  ASSERT_TRUE(Until([&] { return !peer.requests[1].body.empty(); }));
  listener_.peers[0]->Pause();
  // Both sides' buffers fill.
  ASSERT_FALSE(loop_.RunUntil([&] { return slot->has_value(); }, 100ms));
  peer.Answer(1, "413");
  auto outcome = Wait(slot);
  EXPECT_EQ(outcome.failure, FailureKind::kNone) << outcome.message;
  EXPECT_EQ(outcome.response.status, 413);
}

TEST_F(Http2Client, KeepsToTheServersNumberOfStreams) {
  std::vector<Slot> slots = {Send(Request())};
  Http2Peer& peer = Accept(0, {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2}});
  Requests(peer, 1);
  for (int i = 0; i < 3; ++i) slots.push_back(Send(Request()));
  Requests(peer, 2);
  // The third and fourth are on a connection of their own.
  Http2Peer& other = Accept(1);
  Requests(other, 2);
  EXPECT_EQ(listener_.peers.size(), 2u);
  peer.Answer(1, "200");
  peer.Answer(3, "200");
  other.Answer(1, "200");
  other.Answer(3, "200");
  for (const auto& slot : slots) EXPECT_EQ(Wait(slot).response.status, 200);
}

TEST_F(Http2Client, WaitsOverTheLimitOfConnections) {
  options_.max_connections_per_host = 1;
  auto first = Send(Request());
  Http2Peer& peer = Accept(0, {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1}});
  Requests(peer, 1);
  auto second = Send(Request());
  ClientRequest hasty = Request();
  hasty.timeout = 50ms;
  EXPECT_THAT(Wait(Send(std::move(hasty))).message, HasSubstr("waiting for a connection"));
  peer.Answer(1, "200");
  Requests(peer, 2);
  peer.Answer(3, "200");
  EXPECT_EQ(Wait(first).response.status, 200);
  EXPECT_EQ(Wait(second).response.status, 200);
  EXPECT_EQ(listener_.peers.size(), 1u);
}

TEST_F(Http2Client, AGoawayLetsWhatWasTakenEndAndSendsTheRestElsewhere) {
  auto taken = Send(Request("taken"));
  Http2Peer& peer = Accept();
  Requests(peer, 1);
  auto refused = Send(Request("refused"));
  Requests(peer, 2);
  nghttp2_submit_goaway(peer.session(), 0, 1, NGHTTP2_NO_ERROR, nullptr, 0);
  peer.Pump();
  Http2Peer& next = Accept(1);
  Requests(next, 1);
  EXPECT_EQ(next.requests.begin()->second.body, "refused");
  peer.Answer(1, "200", "late");
  EXPECT_EQ(Wait(taken).response.body, "late");
  EXPECT_TRUE(Until([&] { return client().connections() == 1; }));
  next.Answer(1, "200");
  EXPECT_EQ(Wait(refused).response.status, 200);
}

TEST_F(Http2Client, AResetStreamFailsAloneAndARefusedOneGoesOnceMore) {
  auto reset = Send(Request("reset"));
  Http2Peer& peer = Accept();
  Requests(peer, 1);
  auto refused = Send(Request("refused"));
  auto fine = Send(Request("fine"));
  Requests(peer, 3);
  nghttp2_submit_rst_stream(peer.session(), 0, 1, NGHTTP2_INTERNAL_ERROR);
  nghttp2_submit_rst_stream(peer.session(), 0, 3, NGHTTP2_REFUSED_STREAM);
  peer.Pump();
  auto outcome = Wait(reset);
  EXPECT_EQ(outcome.failure, FailureKind::kReset);
  EXPECT_THAT(outcome.message, HasSubstr("INTERNAL_ERROR"));
  Requests(peer, 4);
  nghttp2_submit_rst_stream(peer.session(), 0, 7, NGHTTP2_REFUSED_STREAM);
  peer.Pump();
  EXPECT_EQ(Wait(refused).failure, FailureKind::kReset);
  peer.Answer(5, "200");
  EXPECT_EQ(Wait(fine).response.status, 200);
}

TEST_F(Http2Client, ATimeoutGivesUpTheStreamOnly) {
  ClientRequest request = Request("slow");
  request.timeout = 500ms;  // enough for both to come here
  auto slow = Send(std::move(request));
  Http2Peer& peer = Accept();
  Requests(peer, 1);
  auto fine = Send(Request("fine"));
  Requests(peer, 2);
  EXPECT_EQ(Wait(slow).failure, FailureKind::kTimeout);
  peer.Answer(3, "200");
  EXPECT_EQ(Wait(fine).response.status, 200);
  EXPECT_EQ(client().connections(), 1u);
}

TEST_F(Http2Client, CutsHugeAnswersAndHeads) {
  ClientRequest request = Request();
  request.max_response_bytes = 1000;
  auto body = Send(std::move(request));
  Http2Peer& peer = Accept();
  Requests(peer, 1);
  peer.Answer(1, "200", std::string(200'000, 'x'));
  auto outcome = Wait(body);
  EXPECT_EQ(outcome.failure, FailureKind::kNone);
  EXPECT_TRUE(outcome.response.truncated);
  EXPECT_EQ(outcome.response.body.size(), 1000u);
  auto head = Send(Request());
  Requests(peer, 2);
  std::map<std::string, std::string> fields;
  for (int i = 0; i < 50; ++i) fields["x-" + std::to_string(i)] = std::string(2'000, 'x');
  peer.Answer(3, "200", "", fields);
  EXPECT_EQ(Wait(head).failure, FailureKind::kProtocol);
  auto after = Send(Request());
  Requests(peer, 3);
  peer.Answer(5, "200");
  EXPECT_EQ(Wait(after).response.status, 200);
}

TEST_F(Http2Client, StreamsPieceByPiece) {
  std::string got;
  ClientRequest request = Request();
  request.on_piece = [&](std::string_view piece) {
    got += piece;
    return got.size() < 100'000;
  };
  auto slot = Send(std::move(request));
  Http2Peer& peer = Accept();
  Requests(peer, 1);
  peer.Answer(1, "200", std::string(200'000, 'x'));
  auto outcome = Wait(slot);
  EXPECT_EQ(outcome.failure, FailureKind::kNone) << outcome.message;
  EXPECT_EQ(outcome.response.status, 200);
  EXPECT_GE(got.size(), 100'000u);
}

TEST_F(Http2Client, ADeadConnectionIsFoundByPing) {
  options_.ping_interval = 200ms;  // is dead who takes as long to answer
  auto slot = Send(Request());
  Http2Peer& peer = Accept();
  Requests(peer, 1);
  EXPECT_TRUE(Until([&] { return peer.pings >= 2; }));  // and it answers
  EXPECT_FALSE(slot->has_value());
  peers_.clear();  // falls silent
  auto outcome = Wait(slot);
  EXPECT_EQ(outcome.failure, FailureKind::kReset);
  EXPECT_THAT(outcome.message, HasSubstr("PING"));
}

TEST_F(Http2Client, WhatASilentlyClosedConnectionHadGoesOnANewOne) {
  auto first = Send(Request());
  Http2Peer& peer = Accept();
  Requests(peer, 1);
  peer.Answer(1, "200");
  EXPECT_EQ(Wait(first).response.status, 200);
  auto second = Send(Request("again"));
  auto third = Send(Request("again"));
  Requests(peer, 3);
  peers_.clear();
  listener_.peers[0]->Close(true);
  Http2Peer& next = Accept(1);
  Requests(next, 2);
  listener_.peers[1]->Close(true);
  peers_.clear();
  // On a fresh connection it is no more than once.
  EXPECT_EQ(Wait(second).failure, FailureKind::kReset);
  EXPECT_EQ(Wait(third).failure, FailureKind::kReset);
  EXPECT_EQ(listener_.peers.size(), 2u);
}

TEST_F(Http2Client, AServerOfHttp11IsAProtocolFailure) {
  auto slot = Send(Request());
  EXPECT_TRUE(Until(
      [&] { return listener_.peers.size() == 1 && !listener_.peers[0]->received().empty(); }));
  listener_.peers[0]->Send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(Wait(slot).failure, FailureKind::kProtocol);
  EXPECT_EQ(client().connections(), 0u);
}

TEST_F(Http2Client, IdleConnectionsAreClosedInTime) {
  options_.idle_timeout = 50ms;
  auto slot = Send(Request());
  Http2Peer& peer = Accept();
  Requests(peer, 1);
  peer.Answer(1, "200");
  EXPECT_EQ(Wait(slot).response.status, 200);
  EXPECT_TRUE(Until([&] { return client().connections() == 0; }));
}

TEST_F(Http2Client, ACallbackMayEndTheClient) {
  bool called = false;
  client().Send(Request(), [&](Client::Outcome) {
    called = true;
    client_.reset();
  });
  auto other = Send(Request());
  Http2Peer& peer = Accept();
  Requests(peer, 2);
  peer.Answer(1, "200");
  EXPECT_TRUE(Until([&] { return called; }));
  loop_.RunUntil([] { return false; }, 20ms);
  EXPECT_FALSE(other->has_value());
}

TEST_F(Http2Client, WhenNobodyListensAllFailAtOnce) {
  uint16_t port = RawListener(loop_).port();
  std::vector<Slot> slots;
  for (int i = 0; i < 10; ++i) {
    ClientRequest request = Request();
    request.url = "http://127.0.0.1:" + std::to_string(port) + "/";
    slots.push_back(Send(std::move(request)));
  }
  for (const auto& slot : slots) EXPECT_EQ(Wait(slot).failure, FailureKind::kConnect);
}

}  // namespace
}  // namespace dispatch::http::http2_test
