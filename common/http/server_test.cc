#include "common/http/server.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <random>

#include "common/http/testing/raw_peer.h"

namespace dispatch::http::server_test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::RawPeer;
using ::testing::StartsWith;

class HttpServer : public ::testing::Test {
 protected:
  void Start(ServerOptions options = {}) {
    server_ = std::make_unique<Server>(
        loop_, options, [this](Request request, std::shared_ptr<ResponseWriter> writer) {
          requests_.push_back(request);
          if (handler_) {
            handler_(std::move(request), std::move(writer));
          } else {
            writer->Send(
                Response::Text(200, request.method + " " + request.path + " " + request.body));
          }
        });
    auto port = server_->Listen("127.0.0.1:0");
    ASSERT_TRUE(port.ok()) << port.message();
    port_ = *port;
  }
  RawPeer Connect() { return RawPeer::Connect(loop_, port_); }
  bool Until(const std::function<bool()>& done) { return loop_.RunUntil(done, 10s); }

  // Sends bytes and returns all that comes until the server closes.
  std::string Ask(const std::string& bytes) {
    RawPeer peer = Connect();
    peer.Send(bytes);
    EXPECT_TRUE(Until([&] { return peer.closed(); })) << "not closed after: " << peer.received();
    return peer.received();
  }

  EventLoop loop_;
  std::unique_ptr<Server> server_;
  Handler handler_;
  std::vector<Request> requests_;
  uint16_t port_ = 0;
};

TEST_F(HttpServer, SomeRequestsMayBeLargeAndFewAtOnce) {
  ServerOptions options;
  options.max_body_bytes = 10;
  options.may_be_large = [](const Request& request) { return request.path == "/large"; };
  options.max_large_body_bytes = 20;
  options.max_large_bodies = 1;
  Start(options);
  auto post = [&](const std::string& path, const std::string& framing) {
    return "POST " + path + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n" + framing;
  };
  auto sized = [](size_t size) { return fmt::format("Content-Length: {}\r\n\r\n", size); };
  const std::string body(20, 'x');
  const std::string chunk = "Transfer-Encoding: chunked\r\n\r\n14\r\n" + body + "\r\n";
  EXPECT_THAT(Ask(post("/large", sized(20)) + body), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Ask(post("/large", chunk) + "0\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Ask(post("/large", sized(21))), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(Ask(post("/large", chunk) + "1\r\nx\r\n"), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(Ask(post("/small", sized(11))), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(Ask(post("/small", chunk)), StartsWith("HTTP/1.1 413"));
  // One is under way: another waits, a small one does not.
  RawPeer slow = Connect();
  slow.Send(post("/large", "Expect: 100-continue\r\n" + sized(20)));
  ASSERT_TRUE(Until([&] { return slow.received().starts_with("HTTP/1.1 100"); }));
  EXPECT_THAT(Ask(post("/large", sized(20)) + body), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(Ask(post("/large", chunk)), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(Ask(post("/large", sized(1)) + "x"), StartsWith("HTTP/1.1 200"));
  slow.Send(body);
  ASSERT_TRUE(Until([&] { return slow.closed(); }));
  EXPECT_THAT(slow.received(), HasSubstr("HTTP/1.1 200"));
  EXPECT_THAT(Ask(post("/large", sized(20)) + body), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServer, AnswersAndKeepsTheConnection) {
  Start();
  RawPeer peer = Connect();
  peer.Send("POST /a%20b/c?x=1&y=%26+z&x=2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
  ASSERT_TRUE(Until([&] { return peer.received().ends_with("POST /a b/c abc"); }));
  EXPECT_THAT(peer.received(), StartsWith("HTTP/1.1 200 OK\r\nDate: "));
  EXPECT_THAT(peer.received(), HasSubstr("Content-Length: 15\r\n"));
  EXPECT_THAT(peer.received(), Not(HasSubstr("Connection:")));
  EXPECT_EQ(requests_[0].Query("y"), "& z");
  EXPECT_EQ(requests_[0].QueryAll("x"), (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(requests_[0].remote_address, "127.0.0.1");
  peer.Clear();
  peer.Send("GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(Until([&] { return peer.received().ends_with("GET /next "); }));
  EXPECT_EQ(server_->connections(), 1u);
}

TEST_F(HttpServer, ServesASocketThatListensAlready) {
  Start();
  int listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(bind(listening, any, length), 0);
  ASSERT_EQ(listen(listening, 8), 0);
  ASSERT_EQ(getsockname(listening, any, &length), 0);
  server_->Serve(listening);
  port_ = ntohs(address.sin_port);
  EXPECT_THAT(Ask("GET /here HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
              HasSubstr("GET /here"));
  server_.reset();
  EXPECT_EQ(fcntl(listening, F_GETFD), -1);  // it owned it
}

TEST_F(HttpServer, ReadsARequestThatComesByteByByte) {
  Start();
  RawPeer peer = Connect();
  std::string text =
      "\r\nPUT /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nHost: evil\r\n\r\n";
  for (char c : text) {
    peer.Send(std::string(1, c));
    bool turned = false;
    loop_.Post([&] { loop_.Post([&] { turned = true; }); });
    ASSERT_TRUE(Until([&] { return turned; }));
  }
  ASSERT_TRUE(Until([&] { return peer.received().ends_with("PUT /x abcde"); })) << peer.received();
  EXPECT_EQ(requests_[0].headers.Get("Host"), "h");  // trailers are no headers
}

TEST_F(HttpServer, ServesPipelinedRequestsInOrder) {
  Start();
  std::vector<std::shared_ptr<ResponseWriter>> writers;
  handler_ = [&](Request, std::shared_ptr<ResponseWriter> writer) {
    writers.push_back(std::move(writer));
  };
  RawPeer peer = Connect();
  peer.Send(
      "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3 HTTP/1.1\r\n"
      "Host: h\r\nConnection: close\r\n\r\n");
  for (size_t i = 1; i <= 3; ++i) {
    ASSERT_TRUE(Until([&] { return writers.size() == i; }));
    EXPECT_EQ(requests_.back().path, "/" + std::to_string(i));
    writers.back()->Send(Response::Text(200, "body" + std::to_string(i)));
  }
  ASSERT_TRUE(Until([&] { return peer.closed(); }));
  size_t first = peer.received().find("body1"), second = peer.received().find("body2");
  EXPECT_LT(first, second);
  EXPECT_LT(second, peer.received().find("body3"));
}

TEST_F(HttpServer, HeadHasTheLengthAndNoBody) {
  Start();
  std::string answer = Ask("HEAD /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("Content-Length: 8\r\n"));
  EXPECT_TRUE(answer.ends_with("\r\n\r\n"));
}

TEST_F(HttpServer, SpeaksHttp10) {
  Start();
  std::string answer = Ask("GET /x HTTP/1.0\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  RawPeer peer = Connect();
  peer.Send("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  ASSERT_TRUE(Until([&] { return peer.received().ends_with("GET /x "); }));
  EXPECT_THAT(peer.received(), HasSubstr("Connection: keep-alive\r\n"));
}

TEST_F(HttpServer, ContinuesWhenAskedTo) {
  Start();
  RawPeer peer = Connect();
  peer.Send("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  ASSERT_TRUE(Until([&] { return peer.received() == "HTTP/1.1 100 Continue\r\n\r\n"; }));
  peer.Send("hi");
  ASSERT_TRUE(Until([&] { return peer.received().ends_with("POST /x hi"); }));
  ServerOptions small;
  small.max_body_bytes = 10;
  Start(small);
  EXPECT_THAT(
      Ask("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\nExpect: 100-continue\r\n\r\n"),
      StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(Ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: coffee\r\n\r\n"),
              StartsWith("HTTP/1.1 417 "));
}

TEST_F(HttpServer, RefusesAmbiguousAndMalformedRequests) {
  Start();
  struct Case {
    const char* bytes;
    const char* status;
  };
  const Case cases[] = {
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
       "400"},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
       "400"},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "400"},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nabc", "400"},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "400"},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -3\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", "501"},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", "501"},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n", "501"},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", "400"},
      {"GET / HTTP/1.1\nHost: h\n\n", "400"},
      {"GET / HTTP/1.1\r\nHost: h\r\nX: a\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: h\r\nX : a\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: h\r\nX: a\x01\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
      {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", "505"},
      {"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
      {"GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
      {"GET nowhere HTTP/1.1\r\nHost: h\r\n\r\n", "400"},
      {"GET /\r\n\r\n", "400"},
      {"\x16\x03\x01\x02", "400"},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", "400"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(Ask(c.bytes), StartsWith(std::string("HTTP/1.1 ") + c.status)) << c.bytes;
  }
  EXPECT_TRUE(requests_.empty());
}

// The same bytes in one piece and in random pieces, many of them damaged, give the same answers.
TEST_F(HttpServer, HowTheBytesAreSplitDoesNotMatter) {
  ServerOptions options;
  options.max_header_bytes = 300;
  options.max_body_bytes = 40;
  Start(options);
  const std::string parts[] = {
      "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n",
      "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
      "PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwxyz\r\n1;e=f\r\n!\r\n"
      "0\r\nT: v\r\n\r\n",
      "HEAD /d HTTP/1.1\r\nHost: h\r\nX: " + std::string(50, 'x') + "\r\n\r\n",
      "DELETE /e HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
  };
  std::mt19937 random(20260101);
  auto pick = [&](size_t n) { return static_cast<size_t>(random() % n); };
  auto transcript = [&](const std::string& bytes, bool split) {
    RawPeer peer = Connect();
    for (size_t at = 0; at < bytes.size();) {
      size_t size = split ? 1 + pick(40) : bytes.size();
      peer.Send(bytes.substr(at, size));
      at += size;
      bool turned = false;
      loop_.Post([&] { loop_.Post([&] { turned = true; }); });
      EXPECT_TRUE(Until([&] { return turned; }));
    }
    peer.ShutdownWrite();
    EXPECT_TRUE(Until([&] { return peer.closed(); }));
    std::string text = peer.received();
    for (size_t date; (date = text.find("Date: ")) != text.npos;) text.erase(date, 37);
    constexpr std::string_view kId = "requestId\":\"";  // drawn at random
    for (size_t id = 0; (id = text.find(kId, id)) != text.npos; id += kId.size()) {
      text.erase(id + kId.size(), 24);
    }
    return text;
  };
  for (int i = 0; i < 400; ++i) {
    std::string bytes;
    for (size_t n = 1 + pick(4); n > 0; --n) bytes += parts[pick(std::size(parts))];
    for (size_t n = pick(3); n > 0; --n) {
      size_t at = pick(bytes.size());
      if (pick(2) == 0) {
        bytes[at] = "\r\n :;,0x\xff"[pick(9)];
      } else {
        bytes.erase(at, 1 + pick(3));
      }
    }
    ASSERT_EQ(transcript(bytes, false), transcript(bytes, true)) << bytes;
  }
}

TEST_F(HttpServer, LimitsHeadersAndBodies) {
  ServerOptions options;
  options.max_header_bytes = 1000;
  options.max_body_bytes = 100;
  Start(options);
  std::string start = "POST / HTTP/1.1\r\nHost: h\r\n";
  EXPECT_THAT(Ask(start + "X: " + std::string(1000, 'x') + "\r\n\r\n"), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(Ask(start + "X: " + std::string(100'000, 'x')), StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(Ask(start + "Content-Length: 101\r\n\r\n"), StartsWith("HTTP/1.1 413"));
  std::string chunks;
  for (int i = 0; i < 3; ++i) chunks += "32\r\n" + std::string(50, 'x') + "\r\n";
  EXPECT_THAT(Ask(start + "Transfer-Encoding: chunked\r\n\r\n" + chunks),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(Ask(start + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"),
              StartsWith("HTTP/1.1 4"));
  EXPECT_THAT(Ask(start + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(2000, 'e')),
              StartsWith("HTTP/1.1 4"));
  EXPECT_TRUE(requests_.empty());
  // At the limits all is well.
  std::string head = start + "Connection: close\r\nContent-Length: 100\r\nX: ";
  head += std::string(1000 - head.size() - 4, 'x') + "\r\n\r\n";
  EXPECT_THAT(Ask(head + std::string(100, 'b')), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServer, DoesNotWaitForSlowClients) {
  ServerOptions options;
  options.header_timeout = 30ms;
  options.body_timeout = 30ms;
  Start(options);
  EXPECT_THAT(Ask("GET / HT"), StartsWith("HTTP/1.1 408"));
  EXPECT_THAT(Ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab"),
              StartsWith("HTTP/1.1 408"));
  EXPECT_TRUE(Until([&] { return server_->connections() == 0; }));
}

TEST_F(HttpServer, DoesNotKeepIdleConnections) {
  ServerOptions options;
  options.idle_timeout = 250ms;  // a request that was sent at once comes sooner
  Start(options);
  EXPECT_EQ(Ask(""), "");
  EXPECT_THAT(Ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(Until([&] { return server_->connections() == 0; }));
}

TEST_F(HttpServer, ADripOfHeaderBytesDoesNotMoveTheTimeout) {
  ServerOptions options;
  options.header_timeout = 50ms;
  Start(options);
  RawPeer peer = Connect();
  SteadyTime start = loop_.Steady();
  std::function<void()> drip = [&] {
    peer.Send("X");
    loop_.After(5ms, drip);
  };
  drip();
  ASSERT_TRUE(Until([&] { return peer.received().starts_with("HTTP/1.1 408"); }));
  EXPECT_LT(loop_.Steady() - start, 2s);
}

TEST_F(HttpServer, AHalfClosedClientStillGetsItsAnswer) {
  Start();
  std::shared_ptr<ResponseWriter> writer;
  handler_ = [&](Request, std::shared_ptr<ResponseWriter> w) { writer = std::move(w); };
  RawPeer peer = Connect();
  peer.Send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
  peer.ShutdownWrite();
  ASSERT_TRUE(Until([&] { return writer != nullptr; }));
  bool later = false;
  loop_.After(5ms, [&] { later = true; });
  ASSERT_TRUE(Until([&] { return later; }));
  writer->Send(Response::Text(200, "late"));
  ASSERT_TRUE(Until([&] { return peer.closed(); }));
  EXPECT_THAT(peer.received(), HasSubstr("late"));
}

TEST_F(HttpServer, HalfARequestIsDroppedWithItsClient) {
  Start();
  RawPeer peer = Connect();
  peer.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
  ASSERT_TRUE(Until([&] { return server_->connections() == 1; }));
  peer.Close();
  EXPECT_TRUE(Until([&] { return server_->connections() == 0; }));
  EXPECT_TRUE(requests_.empty());
}

TEST_F(HttpServer, ADroppedWriterAnswers500) {
  Start();
  handler_ = [](Request, std::shared_ptr<ResponseWriter>) {};
  EXPECT_THAT(Ask("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 500"));
  handler_ = [](Request, std::shared_ptr<ResponseWriter>) { throw std::runtime_error("oops"); };
  EXPECT_THAT(Ask("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 500"));
}

TEST_F(HttpServer, AWriterMayOutliveClientAndServer) {
  Start();
  std::shared_ptr<ResponseWriter> writer;
  handler_ = [&](Request, std::shared_ptr<ResponseWriter> w) { writer = std::move(w); };
  RawPeer peer = Connect();
  peer.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(Until([&] { return writer != nullptr; }));
  server_.reset();
  EXPECT_TRUE(writer->closed());
  writer->Send(Response::Text(200, "x"));
  EXPECT_FALSE(writer->Write("x"));
  writer->End();
}

TEST_F(HttpServer, HeadersCannotBeInjected) {
  Start();
  handler_ = [](Request, std::shared_ptr<ResponseWriter> writer) {
    Response response = Response::Text(200, "ok");
    response.headers.Add("X-A", "b\r\nSet-Cookie: c");
    response.headers.Add("Content-Length", "999");
    response.headers.Add("X-Good", "yes");
    writer->Send(std::move(response));
  };
  std::string answer = Ask("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, Not(HasSubstr("Set-Cookie")));
  EXPECT_THAT(answer, Not(HasSubstr("999")));
  EXPECT_THAT(answer, HasSubstr("X-Good: yes\r\n"));
}

TEST_F(HttpServer, StreamsInChunks) {
  Start();
  std::shared_ptr<ResponseWriter> writer;
  handler_ = [&](Request, std::shared_ptr<ResponseWriter> w) {
    writer = std::move(w);
    Headers headers;
    headers.Add("Content-Type", "text/event-stream");
    writer->Start(200, headers);
    EXPECT_TRUE(writer->Write("data: 1\n\n"));
  };
  RawPeer peer = Connect();
  peer.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(Until([&] { return peer.received().ends_with("\r\n\r\n9\r\ndata: 1\n\n\r\n"); }));
  EXPECT_THAT(peer.received(), HasSubstr("Transfer-Encoding: chunked\r\n"));
  writer->Write("data: 2\n\n");
  writer->End();
  ASSERT_TRUE(Until([&] { return peer.received().ends_with("0\r\n\r\n"); }));
  // The connection goes on.
  handler_ = nullptr;
  peer.Send("GET /again HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(Until([&] { return peer.received().ends_with("GET /again "); }));
}

TEST_F(HttpServer, AStreamStopsAtHighWaterAndGoesOnWhenDrained) {
  ServerOptions options;
  options.stream_high_water = 64 * 1024;
  Start(options);
  std::shared_ptr<ResponseWriter> writer;
  handler_ = [&](Request, std::shared_ptr<ResponseWriter> w) {
    writer = std::move(w);
    writer->Start(200, {});
  };
  RawPeer peer = Connect();
  peer.Pause();
  peer.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(Until([&] { return writer != nullptr; }));
  int drains = 0;
  writer->OnDrain([&] { ++drains; });
  std::string piece(16 * 1024, 'x');
  size_t written = 0;
  while (writer->Write(piece)) written += piece.size();
  EXPECT_GT(written, 0u);
  EXPECT_EQ(drains, 0);
  peer.Resume();
  ASSERT_TRUE(Until([&] { return drains == 1; }));
  EXPECT_TRUE(writer->Write("end"));
  writer->End();
  ASSERT_TRUE(Until([&] { return peer.received().ends_with("3\r\nend\r\n0\r\n\r\n"); }));
  EXPECT_GT(peer.received().size(), written);
}

TEST_F(HttpServer, AStreamLearnsThatItsClientWent) {
  Start();
  std::shared_ptr<ResponseWriter> writer;
  int closed = 0;
  handler_ = [&](Request, std::shared_ptr<ResponseWriter> w) {
    writer = std::move(w);
    writer->Start(200, {});
    writer->OnClosed([&] { ++closed; });
  };
  RawPeer peer = Connect();
  peer.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(Until([&] { return writer != nullptr; }));
  peer.Close();
  ASSERT_TRUE(Until([&] { return closed == 1; }));
  EXPECT_TRUE(writer->closed());
  EXPECT_FALSE(writer->Write("x"));
  EXPECT_EQ(server_->connections(), 0u);
}

TEST_F(HttpServer, AHandlerThatIgnoresHighWaterLosesItsClient) {
  ServerOptions options;
  options.stream_high_water = 1024;
  Start(options);
  std::shared_ptr<ResponseWriter> writer;
  handler_ = [&](Request, std::shared_ptr<ResponseWriter> w) {
    writer = std::move(w);
    writer->Start(200, {});
  };
  RawPeer peer = Connect();
  peer.Pause();
  peer.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(Until([&] { return writer != nullptr; }));
  for (int i = 0; i < 10'000 && !writer->closed(); ++i) writer->Write(std::string(16 * 1024, 'x'));
  EXPECT_TRUE(writer->closed());
}

TEST_F(HttpServer, AClientThatDoesNotReadIsCutOff) {
  ServerOptions options;
  options.write_timeout = 50ms;
  Start(options);
  handler_ = [](Request, std::shared_ptr<ResponseWriter> writer) {
    writer->Send(Response::Text(200, std::string(64 * 1024 * 1024, 'x')));
  };
  RawPeer peer = Connect();
  peer.Pause();
  peer.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(Until([&] { return server_->connections() == 1; }));
  EXPECT_TRUE(Until([&] { return server_->connections() == 0; }));
}

TEST_F(HttpServer, RefusesConnectionsOverTheLimit) {
  ServerOptions options;
  options.max_connections = 1;
  Start(options);
  RawPeer first = Connect();
  ASSERT_TRUE(Until([&] { return server_->connections() == 1; }));
  RawPeer second = Connect();
  ASSERT_TRUE(Until([&] { return second.closed(); }));
  EXPECT_THAT(second.received(), StartsWith("HTTP/1.1 503"));
  first.Send("GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(Until([&] { return first.received().ends_with("GET /x "); }));
}

TEST_F(HttpServer, DrainsGracefully) {
  Start();
  std::shared_ptr<ResponseWriter> writer;
  handler_ = [&](Request, std::shared_ptr<ResponseWriter> w) { writer = std::move(w); };
  RawPeer idle = Connect(), busy = Connect();
  busy.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(Until([&] { return writer && server_->connections() == 2; }));
  bool drained = false;
  server_->Drain(10s, [&] { drained = true; });
  ASSERT_TRUE(Until([&] { return idle.closed(); }));
  EXPECT_FALSE(drained);
  writer->Send(Response::Text(200, "last"));
  ASSERT_TRUE(Until([&] { return drained && busy.closed(); }));
  EXPECT_THAT(busy.received(), HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(busy.received(), HasSubstr("last"));
  RawPeer late = Connect();
  EXPECT_TRUE(Until([&] { return late.closed(); }));
}

TEST_F(HttpServer, ADrainEndsAtItsDeadline) {
  Start();
  std::shared_ptr<ResponseWriter> writer;
  handler_ = [&](Request, std::shared_ptr<ResponseWriter> w) { writer = std::move(w); };
  RawPeer peer = Connect();
  peer.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(Until([&] { return writer != nullptr; }));
  bool drained = false;
  server_->Drain(20ms, [&] { drained = true; });
  ASSERT_TRUE(Until([&] { return drained && peer.closed(); }));
  EXPECT_TRUE(writer->closed());
}

TEST_F(HttpServer, SaysWhyItCannotListen) {
  Start();
  Server other(loop_, {}, nullptr);
  auto taken = other.Listen("127.0.0.1:" + std::to_string(port_));
  EXPECT_EQ(taken.code(), Code::kUnavailable);
  EXPECT_THAT(taken.message(), HasSubstr("another port"));
  EXPECT_EQ(other.Listen("nonsense").code(), Code::kInvalidArgument);
  EXPECT_EQ(other.Listen("127.0.0.1:99999").code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace dispatch::http::server_test
