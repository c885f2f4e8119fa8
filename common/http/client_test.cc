#include "common/http/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/http/internal/address.h"
#include "common/http/internal/url.h"
#include "common/http/server.h"
#include "common/http/testing/raw_peer.h"

namespace dispatch::http::client_test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::RawListener;
using testing::RawPeer;
using ::testing::StartsWith;

class HttpClient : public ::testing::Test {
 protected:
  HttpClient() { options_.allow_private_addresses = true; }

  Client& client() {
    if (!client_) client_ = std::make_unique<Client>(loop_, options_);
    return *client_;
  }
  bool Until(const std::function<bool()>& done) { return loop_.RunUntil(done, 10s); }

  std::string Url(uint16_t port, const std::string& target = "/hook?x=1") {
    return "http://127.0.0.1:" + std::to_string(port) + target;
  }
  // Sends and returns where the outcome will be.
  std::shared_ptr<std::optional<Client::Outcome>> Send(ClientRequest request) {
    auto slot = std::make_shared<std::optional<Client::Outcome>>();
    client().Send(std::move(request),
                  [slot](Client::Outcome outcome) { *slot = std::move(outcome); });
    EXPECT_FALSE(slot->has_value()) << "called back before Send returned";
    return slot;
  }
  std::shared_ptr<std::optional<Client::Outcome>> Post(const std::string& url) {
    return Send({.url = url, .body = "hello"});
  }
  Client::Outcome Wait(const std::shared_ptr<std::optional<Client::Outcome>>& slot) {
    EXPECT_TRUE(Until([&] { return slot->has_value(); }));
    return slot->has_value() ? std::move(**slot) : Client::Outcome{};
  }
  // Accepts the next connection and waits for a whole request on it.
  RawPeer& Accept(RawListener& listener, size_t index = 0) {
    EXPECT_TRUE(Until([&] {
      return listener.peers.size() > index && listener.peers[index]->received().ends_with("hello");
    }));
    return *listener.peers.at(index);
  }

  EventLoop loop_;
  ClientOptions options_;
  std::unique_ptr<Client> client_;
};

TEST_F(HttpClient, DialsASocketInTheFileSystem) {
  std::string path = ::testing::TempDir() + "dial-" + std::to_string(getpid()) + ".sock";
  options_.dial = [path] { return DialUnix(path); };
  auto missing = Wait(Post("http://engine/v1/x"));
  EXPECT_EQ(missing.failure, FailureKind::kConnect);
  EXPECT_THAT(missing.message, HasSubstr("cannot connect to " + path));

  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  std::string received;
  int peer = -1;
  loop_.WatchReadable(listener, [&] {
    if (peer >= 0 || (peer = accept(listener, nullptr, nullptr)) < 0) return;
    loop_.WatchReadable(peer, [&] {
      char text[4096];
      ssize_t size = read(peer, text, sizeof(text));
      if (size <= 0 || !received.append(text, static_cast<size_t>(size)).ends_with("hello")) return;
      std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
      EXPECT_EQ(write(peer, answer.data(), answer.size()), static_cast<ssize_t>(answer.size()));
    });
  });
  auto outcome = Wait(Post("http://engine/v1/x"));
  EXPECT_EQ(outcome.failure, FailureKind::kNone) << outcome.message;
  EXPECT_EQ(outcome.response.body, "ok");
  EXPECT_THAT(received, StartsWith("POST /v1/x HTTP/1.1\r\nHost: engine\r\n"));
  for (int fd : {listener, peer}) {
    loop_.Unwatch(fd);
    close(fd);
  }
  unlink(path.c_str());
}

TEST_F(HttpClient, PostsAndReadsTheAnswer) {
  RawListener listener(loop_);
  ClientRequest request{.url = Url(listener.port()), .body = "hello"};
  request.headers.Add("X-Key", "value");
  request.headers.Add("Host", "evil");
  request.headers.Add("Content-Length", "999");
  auto slot = Send(std::move(request));
  RawPeer& peer = Accept(listener);
  EXPECT_EQ(peer.received(),
            "POST /hook?x=1 HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(listener.port()) +
                "\r\nX-Key: value\r\nUser-Agent: Dispatch\r\n"
                "Content-Length: 5\r\n\r\nhello");
  peer.Send(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nX-Reply: yes\r\n"
      "Content-Length: 4\r\n\r\nfine");
  auto outcome = Wait(slot);
  EXPECT_EQ(outcome.failure, FailureKind::kNone) << outcome.message;
  EXPECT_EQ(outcome.response.status, 202);
  EXPECT_EQ(outcome.response.body, "fine");
  EXPECT_EQ(outcome.response.headers.Get("x-reply"), "yes");
  EXPECT_GT(outcome.elapsed.count(), 0);
  EXPECT_EQ(client().connections(), 1u);
  EXPECT_EQ(client().in_flight(), 0u);
}

TEST_F(HttpClient, KeepsConnectionsAndTheServersBothWork) {
  int served = 0;
  Server server(loop_, {}, [&](Request request, std::shared_ptr<ResponseWriter> writer) {
    ++served;
    writer->Send(Response::Text(200, request.body));
  });
  uint16_t port = *server.Listen("127.0.0.1:0");
  int done = 0;
  std::function<void()> next = [&] {
    client().Send({.url = Url(port), .body = "hello"}, [&](Client::Outcome outcome) {
      EXPECT_EQ(outcome.response.body, "hello");
      if (++done < 100) next();
    });
  };
  next();
  ASSERT_TRUE(Until([&] { return done == 100; }));
  EXPECT_EQ(served, 100);
  EXPECT_EQ(client().connections(), 1u);
  EXPECT_EQ(server.connections(), 1u);
}

TEST_F(HttpClient, ReadsChunkedAndUntilEof) {
  RawListener listener(loop_);
  auto slot = Post(Url(listener.port()));
  RawPeer& peer = Accept(listener);
  for (const char* part : {"HTTP/1.1 200 OK\r\nTransfer-", "Encoding: chunked\r\n\r\n3\r\nab",
                           "c\r\n2\r\nde\r", "\n0\r\n", "\r\n"}) {
    peer.Send(part);
    bool turned = false;
    loop_.Post([&] { loop_.Post([&] { turned = true; }); });
    ASSERT_TRUE(Until([&] { return turned; }));
  }
  EXPECT_EQ(Wait(slot).response.body, "abcde");
  peer.Clear();
  slot = Post(Url(listener.port()));
  RawPeer& same = Accept(listener);
  EXPECT_EQ(listener.peers.size(), 1u);
  same.Send("HTTP/1.1 200 OK\r\n\r\nuntil the end");
  same.Close();
  EXPECT_EQ(Wait(slot).response.body, "until the end");
  EXPECT_EQ(client().connections(), 0u);
}

TEST_F(HttpClient, AKeptConnectionThatTheServerClosedIsReplacedUnseen) {
  RawListener listener(loop_);
  auto slot = Post(Url(listener.port()));
  Accept(listener).Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(Wait(slot).response.status, 200);
  // The request and the close cross on the wire: the server takes it and closes without an answer.
  listener.peers[0]->Clear();
  slot = Post(Url(listener.port()));
  Accept(listener, 0).Close(/*reset=*/true);
  Accept(listener, 1).Send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(Wait(slot).response.status, 201);
}

TEST_F(HttpClient, RetriesNoMoreThanOnceAndNotOnFreshConnections) {
  RawListener listener(loop_);
  auto slot = Post(Url(listener.port()));
  Accept(listener).Close();
  auto outcome = Wait(slot);
  EXPECT_EQ(outcome.failure, FailureKind::kReset);
  EXPECT_EQ(listener.peers.size(), 1u);
}

TEST_F(HttpClient, DoesNotRepeatOnceAByteOfTheAnswerCame) {
  RawListener listener(loop_);
  auto slot = Post(Url(listener.port()));
  Accept(listener).Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  Wait(slot);
  listener.peers[0]->Clear();
  slot = Post(Url(listener.port()));
  RawPeer& peer = Accept(listener);
  peer.Send("H");
  bool later = false;
  loop_.After(5ms, [&] { later = true; });
  ASSERT_TRUE(Until([&] { return later; }));
  peer.Close();
  EXPECT_EQ(Wait(slot).failure, FailureKind::kReset);
  EXPECT_EQ(listener.peers.size(), 1u);
}

// Found by tests/fuzz/http_client_fuzz.cc: it was an answer of status 0.
TEST_F(HttpClient, AnInterimAnswerAndTheEndAreNoAnswer) {
  RawListener listener(loop_);
  auto slot = Post(Url(listener.port()));
  RawPeer& peer = Accept(listener);
  peer.Send("HTTP/1.1 100 Continue\r\n\r\n");
  peer.ShutdownWrite();
  auto outcome = Wait(slot);
  EXPECT_EQ(outcome.failure, FailureKind::kReset);
  EXPECT_THAT(outcome.message, HasSubstr("in the middle of the answer"));
}

TEST_F(HttpClient, AnIdleConnectionThatSpeaksIsClosed) {
  RawListener listener(loop_);
  auto slot = Post(Url(listener.port()));
  RawPeer& peer = Accept(listener);
  peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  Wait(slot);
  peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad");
  EXPECT_TRUE(Until([&] { return client().connections() == 0; }));
}

TEST_F(HttpClient, NamesWhatIsWrongWithAnAnswer) {
  struct Case {
    std::string bytes;
    FailureKind kind;
  };
  const Case cases[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", FailureKind::kReset},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", FailureKind::kReset},
      {"HTTP/1.1 20", FailureKind::kReset},
      {"garbage, no HTTP at all\r\n\r\n", FailureKind::kProtocol},
      {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
       FailureKind::kProtocol},
      {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
       FailureKind::kProtocol},
      {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc", FailureKind::kProtocol},
      {"HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x'), FailureKind::kProtocol},
      {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", FailureKind::kProtocol},
      {"HTTP/1.1 050 No Such\r\n\r\nuntil the end", FailureKind::kProtocol},
      {"HTTP/1.1 099 No Such\r\nContent-Length: 2\r\n\r\nab", FailureKind::kProtocol},
  };
  for (const Case& c : cases) {
    RawListener listener(loop_);
    auto slot = Post(Url(listener.port()));
    RawPeer& peer = Accept(listener);
    peer.Send(c.bytes);
    peer.ShutdownWrite();
    auto outcome = Wait(slot);
    EXPECT_EQ(outcome.failure, c.kind) << c.bytes.substr(0, 80) << " -> " << outcome.message;
    EXPECT_FALSE(outcome.message.empty());
  }
  EXPECT_TRUE(Until([&] { return client().connections() == 0; }));
}

TEST_F(HttpClient, CutsHugeAnswers) {
  RawListener listener(loop_);
  ClientRequest request{.url = Url(listener.port()), .body = "hello"};
  request.max_response_bytes = 1000;
  auto slot = Send(std::move(request));
  RawPeer& peer = Accept(listener);
  peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + std::string(5000, 'x'));
  auto outcome = Wait(slot);
  EXPECT_EQ(outcome.failure, FailureKind::kNone);
  EXPECT_TRUE(outcome.response.truncated);
  EXPECT_EQ(outcome.response.body.size(), 1000u);
  EXPECT_EQ(client().connections(), 0u);
}

TEST_F(HttpClient, HandsOnAStreamPieceByPiece) {
  RawListener listener(loop_);
  std::vector<std::string> pieces;
  ClientRequest request{.url = Url(listener.port()), .body = "hello", .timeout = 1s};
  request.max_response_bytes = 8;  // not of the whole
  request.on_piece = [&](std::string_view piece) {
    pieces.emplace_back(piece);
    return pieces.size() < 4;
  };
  int begun = 0;
  request.on_begin = [&] { ++begun; };
  auto slot = Send(std::move(request));
  RawPeer& peer = Accept(listener);
  peer.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  ASSERT_TRUE(Until([&] { return begun == 1; }));  // before there is anything to take
  EXPECT_TRUE(pieces.empty());
  peer.Send("5\r\nfirst\r\n");
  ASSERT_TRUE(Until([&] { return pieces.size() == 1; }));
  // Together longer than the timeout, which is from piece to piece; and far from it each, as the
  // machine may stand still for a moment.
  for (size_t n = 2; n < 5; ++n) {
    loop_.RunUntil([] { return false; }, 350ms);
    peer.Send("3\r\nmor\r\n");
    ASSERT_TRUE(Until([&] { return pieces.size() == n || slot->has_value(); })) << n;
    ASSERT_EQ(pieces.size(), n) << (*slot)->message;
  }
  auto outcome = Wait(slot);
  EXPECT_EQ(outcome.failure, FailureKind::kNone) << outcome.message;
  EXPECT_EQ(outcome.response.status, 200);
  EXPECT_EQ(outcome.response.body, "");
  EXPECT_EQ(pieces.front() + pieces.back(), "firstmor");
  EXPECT_EQ(begun, 1);
  EXPECT_TRUE(Until([&] { return client().connections() == 0; }));
}

TEST_F(HttpClient, AStreamThatFallsSilentFailsAndAnErrorIsNoStream) {
  RawListener listener(loop_);
  int pieces = 0;
  auto stream = [&] {
    ClientRequest request{.url = Url(listener.port()), .body = "hello", .timeout = 500ms};
    request.on_piece = [&](std::string_view) { return ++pieces > 0; };
    return Send(std::move(request));
  };
  auto slot = stream();
  Accept(listener).Send("HTTP/1.1 200 OK\r\n\r\nfirst");
  auto outcome = Wait(slot);
  EXPECT_EQ(outcome.failure, FailureKind::kTimeout);
  EXPECT_EQ(outcome.message, "no data within 500 ms");
  EXPECT_EQ(pieces, 1);
  slot = stream();
  Accept(listener, 1).Send("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone");
  outcome = Wait(slot);
  EXPECT_EQ(outcome.response.body, "gone");
  EXPECT_EQ(pieces, 1);
}

TEST_F(HttpClient, WhoTakesAStreamMayEndTheClient) {
  RawListener listener(loop_);
  ClientRequest request{.url = Url(listener.port()), .body = "hello"};
  bool taken = false;
  request.on_piece = [&](std::string_view) {
    client_.reset();
    return taken = true;
  };
  auto slot = Send(std::move(request));
  Accept(listener).Send("HTTP/1.1 200 OK\r\n\r\nfirst");
  ASSERT_TRUE(Until([&] { return taken && listener.peers[0]->closed(); }));
  EXPECT_FALSE(slot->has_value());
}

TEST_F(HttpClient, TimesOutOnSilenceAndOnDrip) {
  RawListener listener(loop_);
  ClientRequest request{.url = Url(listener.port()), .body = "hello", .timeout = 50ms};
  auto slot = Send(request);
  auto outcome = Wait(slot);
  EXPECT_EQ(outcome.failure, FailureKind::kTimeout);
  EXPECT_GE(outcome.elapsed, 50ms);

  request.timeout = 300ms;  // enough for it to come here
  slot = Send(request);
  RawPeer& peer = Accept(listener, 1);
  peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
  std::function<void()> drip = [&] {
    peer.Send("x");
    if (!slot->has_value()) loop_.After(5ms, drip);
  };
  drip();
  outcome = Wait(slot);
  EXPECT_EQ(outcome.failure, FailureKind::kTimeout);
  EXPECT_LT(outcome.elapsed, 5s);
  EXPECT_EQ(client().connections(), 0u);
}

TEST_F(HttpClient, FailsToConnectInWords) {
  uint16_t port;
  {
    RawListener listener(loop_);
    port = listener.port();
  }
  auto outcome = Wait(Post(Url(port)));
  EXPECT_EQ(outcome.failure, FailureKind::kConnect);
  EXPECT_THAT(outcome.message, HasSubstr("refused"));
  outcome = Wait(Post("http://no-such-host.invalid/"));
  EXPECT_EQ(outcome.failure, FailureKind::kDns);
}

TEST_F(HttpClient, ResolvesNames) {
  RawListener listener(loop_);
  auto slot = Post("http://localhost:" + std::to_string(listener.port()) + "/");
  Accept(listener).Send("HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(Wait(slot).response.status, 204);
}

TEST_F(HttpClient, QueuesOverTheLimitWithinTheTimeout) {
  options_.max_connections_per_host = 1;
  RawListener listener(loop_);
  auto first = Post(Url(listener.port()));
  auto second = Post(Url(listener.port()));
  auto hasty = Send({.url = Url(listener.port()), .body = "hello", .timeout = 20ms});
  RawPeer& peer = Accept(listener);
  auto outcome = Wait(hasty);
  EXPECT_EQ(outcome.failure, FailureKind::kTimeout);
  EXPECT_THAT(outcome.message, HasSubstr("waiting for a connection"));
  EXPECT_EQ(client().in_flight(), 2u);
  peer.Clear();
  peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
  EXPECT_EQ(Wait(first).response.body, "1");
  Accept(listener).Send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
  EXPECT_EQ(Wait(second).response.body, "2");
  EXPECT_EQ(listener.peers.size(), 1u);
}

TEST_F(HttpClient, AQueuedRequestGoesWhenTheConnectionAheadFails) {
  options_.max_connections_per_host = 1;
  RawListener listener(loop_);
  auto first = Post(Url(listener.port()));
  auto second = Post(Url(listener.port()));
  Accept(listener).Close(/*reset=*/true);
  EXPECT_EQ(Wait(first).failure, FailureKind::kReset);
  Accept(listener, 1).Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(Wait(second).response.status, 200);
}

TEST_F(HttpClient, ClosesIdleConnectionsInTime) {
  options_.idle_timeout = 20ms;
  RawListener listener(loop_);
  auto slot = Post(Url(listener.port()));
  Accept(listener).Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  Wait(slot);
  EXPECT_EQ(client().connections(), 1u);
  EXPECT_TRUE(Until([&] { return client().connections() == 0 && listener.peers[0]->closed(); }));
}

TEST_F(HttpClient, AnEarlyAnswerToALargeRequestIsTaken) {
  RawListener listener(loop_);
  ClientRequest request{.url = Url(listener.port()), .body = std::string(32 * 1024 * 1024, 'x')};
  auto slot = Send(std::move(request));
  ASSERT_TRUE(Until([&] { return listener.peers.size() == 1; }));
  listener.peers[0]->Pause();
  listener.peers[0]->Send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(Wait(slot).response.status, 413);
  EXPECT_EQ(client().connections(), 0u);  // the rest of the request is unsent
}

TEST_F(HttpClient, LargeRequestsAndAnswersPass) {
  Server server(loop_, {}, [&](Request request, std::shared_ptr<ResponseWriter> writer) {
    writer->Send(Response::Text(200, std::move(request.body)));
  });
  uint16_t port = *server.Listen("127.0.0.1:0");
  std::string big(5'000'000, 'b');
  ClientRequest request{.url = Url(port), .body = big, .max_response_bytes = 10'000'000};
  auto outcome = Wait(Send(std::move(request)));
  EXPECT_EQ(outcome.failure, FailureKind::kNone) << outcome.message;
  EXPECT_TRUE(outcome.response.body == big);
}

TEST_F(HttpClient, RefusesForbiddenAddresses) {
  options_.allow_private_addresses = false;
  RawListener listener(loop_);
  std::string port = ":" + std::to_string(listener.port());
  for (const std::string& host : {"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]",
                                  "[::127.0.0.1]", "0.0.0.0", "127.1", "2130706433", "0x7f000001",
                                  "10.0.0.1", "169.254.169.254", "[fe80::1]", "[fd00::1]"}) {
    auto outcome = Wait(Post("http://" + host + port + "/"));
    EXPECT_EQ(outcome.failure, FailureKind::kForbiddenAddress) << host << ": " << outcome.message;
  }
  EXPECT_TRUE(listener.peers.empty());
}

TEST_F(HttpClient, RefusesWhatItCannotSendSafely) {
  for (const char* url :
       {"ftp://host/", "/relative", "http://", "http://user:secret@host/", "http://host/a b",
        "http://host:0/", "http://host:99999/", "http://a%00b/"}) {
    EXPECT_EQ(Wait(Post(url)).failure, FailureKind::kProtocol) << url;
  }
  ClientRequest request{.url = "http://127.0.0.1:1/"};
  request.headers.Add("X", "a\r\nY: b");
  EXPECT_EQ(Wait(Send(request)).failure, FailureKind::kProtocol);
  ClientRequest method{.method = "GET / HTTP/1.1\r\nX:", .url = "http://127.0.0.1:1/"};
  EXPECT_EQ(Wait(Send(method)).failure, FailureKind::kProtocol);
}

TEST_F(HttpClient, ATlsConnectionToAPlainServerFails) {
  RawListener listener(loop_);
  auto slot = Post("https://127.0.0.1:" + std::to_string(listener.port()) + "/");
  ASSERT_TRUE(
      Until([&] { return listener.peers.size() == 1 && !listener.peers[0]->received().empty(); }));
  listener.peers[0]->Send("HTTP/1.1 400 Bad Request\r\n\r\n");
  EXPECT_EQ(Wait(slot).failure, FailureKind::kTls);
}

TEST_F(HttpClient, NothingIsCalledBackAfterItsEnd) {
  RawListener listener(loop_);
  auto answered = Post(Url(listener.port()));
  auto resolving = Post("http://localhost:" + std::to_string(listener.port()) + "/");
  auto refused = Post("http://bad url/");
  client_.reset();
  bool later = false;
  loop_.After(20ms, [&] { later = true; });
  ASSERT_TRUE(Until([&] { return later; }));
  EXPECT_FALSE(answered->has_value());
  EXPECT_FALSE(resolving->has_value());
  EXPECT_FALSE(refused->has_value());
}

TEST_F(HttpClient, ACallbackMayEndTheClient) {
  RawListener listener(loop_);
  bool called = false;
  client().Send({.url = Url(listener.port()), .body = "hello"}, [&](Client::Outcome) {
    called = true;
    client_.reset();
  });
  Accept(listener).Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(Until([&] { return called; }));
}

TEST(Address, TellsPublicFromPrivate) {
  for (const char* text :
       {"8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.128.0.1", "11.0.0.0",
        "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"}) {
    EXPECT_TRUE(internal::ParseAddress(text, 1)->IsPublic()) << text;
  }
  for (
      const char* text :
      {"0.0.0.0",      "0.1.2.3",         "10.1.2.3",          "100.64.0.1",      "100.127.255.255",
       "127.255.0.1",  "169.254.1.1",     "172.16.0.1",        "172.31.255.255",  "192.0.0.1",
       "192.0.2.1",    "192.168.1.1",     "198.18.0.1",        "198.19.255.255",  "198.51.100.1",
       "203.0.113.1",  "224.0.0.1",       "240.0.0.1",         "255.255.255.255", "::",
       "::1",          "::ffff:10.0.0.1", "::ffff:0:10.0.0.1", "::10.0.0.1",      "64:ff9b::a00:1",
       "64:ff9b:1::1", "2002:a00:1::1",   "2001::1",           "2001:db8::1",     "fc00::1",
       "fdff::1",      "fe80::1",         "fec0::1",           "ff02::1",         "100::1",
       "3fff::1"}) {
    EXPECT_FALSE(internal::ParseAddress(text, 1)->IsPublic()) << text;
  }
}

TEST(Address, KnowsMetadataServicesInEveryForm) {
  for (const char* text :
       {"169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "169.254.170.2",
        "::ffff:169.254.169.254", "::169.254.169.254", "::ffff:0:169.254.169.254",
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1",
        "fe80::5efe:169.254.169.254", "2600:1::200:5efe:169.254.169.254", "fd00:ec2::254",
        "fd00:ec2::23", "fd20:ce::254"}) {
    auto address = internal::ParseAddress(text, 80);
    EXPECT_TRUE(address->IsMetadata()) << text;
    EXPECT_FALSE(address->IsPublic()) << text;
  }
  for (const char* text : {"169.254.169.1", "127.0.0.1", "::1", "fd00:ec3::254", "8.8.8.8",
                           "::ffff:10.0.0.1", "2600:1::a9fe:a9fe"}) {
    EXPECT_FALSE(internal::ParseAddress(text, 80)->IsMetadata()) << text;
  }
}

TEST_F(HttpClient, NeverConnectsToMetadataServices) {
  // Private addresses are allowed here.
  for (const char* host : {"169.254.169.254", "[::ffff:169.254.169.254]", "0xa9fea9fe",
                           "[64:ff9b::a9fe:a9fe]", "[fd00:ec2::254]", "2852039166"}) {
    auto outcome = Wait(Post(std::string("http://") + host + "/latest/meta-data/"));
    EXPECT_EQ(outcome.failure, FailureKind::kForbiddenAddress) << host << ": " << outcome.message;
  }
}

TEST(Url, TakesApart) {
  auto url = internal::ParseUrl("HTTPS://Example.COM:8443/a%20b?c=d&e#frag");
  ASSERT_TRUE(url.ok()) << url.message();
  EXPECT_TRUE(url->tls);
  EXPECT_EQ(url->host, "example.com");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->authority, "Example.COM:8443");
  EXPECT_EQ(url->target, "/a%20b?c=d&e");
  url = internal::ParseUrl("http://[2001:DB8::1]?q");
  ASSERT_TRUE(url.ok()) << url.message();
  EXPECT_EQ(url->host, "2001:db8::1");
  EXPECT_EQ(url->authority, "[2001:DB8::1]");
  EXPECT_EQ(url->target, "/?q");
}

}  // namespace
}  // namespace dispatch::http::client_test
