#include "common/http/internal/tls_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/http/client.h"
#include "common/http/server.h"
#include "common/http/testing/certificate.h"
#include "common/http/testing/raw_peer.h"

namespace dispatch::http::tls_server_test {
namespace {

using namespace std::chrono_literals;
using testing::Certificate;
using ::testing::HasSubstr;
using testing::RawPeer;
using ::testing::StartsWith;

class HttpsServer : public ::testing::Test {
 protected:
  HttpsServer() {
    char name[] = "/tmp/dispatch_https_test_XXXXXX";
    directory_ = mkdtemp(name);
    certificate_.Write(directory_ / "crt", directory_ / "key");
    server_ = std::make_unique<Server>(
        loop_, ServerOptions{}, [this](Request request, std::shared_ptr<ResponseWriter> writer) {
          ++handled_;
          EXPECT_TRUE(request.secure);
          auto response = Response::Text(200, "got " + std::to_string(request.body.size()) + " ");
          response.body.append(answer_size_, 'y');
          writer->Send(std::move(response));
        });
    auto port = server_->ListenTls("127.0.0.1:0", directory_ / "crt", directory_ / "key");
    EXPECT_TRUE(port.ok()) << port.message();
    port_ = *port;
  }
  ~HttpsServer() override { std::filesystem::remove_all(directory_); }

  // What trusts this certificate only.
  std::unique_ptr<Client> Trusting(const Certificate& certificate) {
    std::string file = directory_ / ("ca" + std::to_string(clients_++));
    certificate.Write(file);
    return std::make_unique<Client>(
        loop_, ClientOptions{.allow_private_addresses = true, .ca_file = file});
  }
  Client::Outcome Post(Client& client, size_t size) {
    std::optional<Client::Outcome> slot;
    client.Send({.url = "https://localhost:" + std::to_string(port_) + "/",
                 .body = std::string(size, 'x'),
                 .max_response_bytes = 8'000'000},
                [&](Client::Outcome outcome) { slot = std::move(outcome); });
    EXPECT_TRUE(loop_.RunUntil([&] { return slot.has_value(); }, 10s));
    return slot.value_or(Client::Outcome{});
  }

  std::filesystem::path directory_;
  Certificate certificate_;
  EventLoop loop_;
  std::unique_ptr<Server> server_;
  uint16_t port_ = 0;
  int clients_ = 0;
  int handled_ = 0;
  size_t answer_size_ = 0;
};

TEST_F(HttpsServer, AnswersLargeAndSmallOnOneConnection) {
  auto client = Trusting(certificate_);
  for (size_t size : {0, 5, 100, 16'384, 5'000'000}) {
    answer_size_ = size / 2;
    auto outcome = Post(*client, size);
    ASSERT_EQ(outcome.failure, FailureKind::kNone) << outcome.message;
    EXPECT_THAT(outcome.response.body, StartsWith("got " + std::to_string(size) + " "));
    EXPECT_EQ(outcome.response.body.size(), 5 + std::to_string(size).size() + answer_size_);
  }
  EXPECT_EQ(server_->connections(), 1u);
}

TEST_F(HttpsServer, TellsPlainRequestsSoAndStrangersNothing) {
  RawPeer plain = RawPeer::Connect(loop_, port_);
  plain.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(loop_.RunUntil([&] { return plain.closed(); }, 10s));
  EXPECT_THAT(plain.received(), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(plain.received(), HasSubstr("https://"));
  // A record of a handshake, and of what is none.
  for (const std::string& bytes :
       {std::string("\x16\x03\x01\x00\x05GET /", 10), std::string("\x80\x01\x02\x03\x04", 5)}) {
    RawPeer peer = RawPeer::Connect(loop_, port_);
    peer.Send(bytes);
    EXPECT_TRUE(loop_.RunUntil([&] { return peer.closed(); }, 10s));
    EXPECT_THAT(peer.received(), ::testing::Not(HasSubstr("HTTP")));
  }
  EXPECT_EQ(handled_, 0);
  EXPECT_TRUE(loop_.RunUntil([&] { return server_->connections() == 0; }, 10s));
}

TEST_F(HttpsServer, ARenewedCertificateServesNewConnectionsAndOldOnesGoOn) {
  auto old = Trusting(certificate_);
  ASSERT_EQ(Post(*old, 1).failure, FailureKind::kNone);
  Certificate renewed;
  renewed.Write(directory_ / "crt", directory_ / "key");
  // Until the files are looked at: each a connection of its own.
  bool seen = false;
  for (auto end = loop_.Steady() + 10s; !seen && loop_.Steady() < end;) {
    auto client = Trusting(renewed);
    seen = Post(*client, 1).failure == FailureKind::kNone;
  }
  EXPECT_TRUE(seen);
  EXPECT_EQ(Post(*old, 1).failure, FailureKind::kNone);  // on the connection that it has
}

TEST_F(HttpsServer, DrainsLikeAnother) {
  auto client = Trusting(certificate_);
  ASSERT_EQ(Post(*client, 1).failure, FailureKind::kNone);
  bool drained = false;
  server_->Drain(5s, [&] { drained = true; });
  EXPECT_TRUE(loop_.RunUntil([&] { return drained; }, 1s));
  EXPECT_EQ(server_->connections(), 0u);
}

TEST(TlsCertificateTest, KeepsTheOldOneWhileThePairDoesNotFit) {
  char name[] = "/tmp/dispatch_https_test_XXXXXX";
  std::filesystem::path directory = mkdtemp(name);
  const std::string crt = directory / "crt";
  const std::string key = directory / "key";
  internal::TlsCertificate certificate(crt, key);
  EXPECT_THAT(certificate.Load().message(), HasSubstr(crt));
  Certificate first;
  first.Write(crt, key);
  ASSERT_TRUE(certificate.Load().ok());
  auto* loaded = certificate.context();
  EXPECT_GT(loaded->not_after(), 0);
  certificate.Refresh();
  EXPECT_EQ(certificate.context(), loaded);  // nothing changed
  Certificate second;
  second.Write(crt);
  certificate.Refresh();
  EXPECT_EQ(certificate.context(), loaded);  // the key is still the old one
  std::filesystem::remove(key);
  certificate.Refresh();
  EXPECT_EQ(certificate.context(), loaded);
  second.Write(crt, key);
  certificate.Refresh();
  EXPECT_NE(certificate.context(), loaded);
  std::ofstream(key) << "no key";
  EXPECT_THAT(certificate.Load().message(), HasSubstr(key));
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace dispatch::http::tls_server_test
