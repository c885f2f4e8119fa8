// The client against a TLS server of OpenSSL's own, in a thread, with a certificate made here.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "common/http/client.h"
#include "common/http/testing/certificate.h"

namespace dispatch::http::tls_test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

// Answers every request on one connection after another; blocking, in a thread.
class TlsServer {
 public:
  // `http2`: prefers it; else it knows HTTP/1.1 only.
  explicit TlsServer(const testing::Certificate& identity, bool http2 = false)
      : known_(http2 ? "\x02h2\x08http/1.1" : "\x08http/1.1") {
    context_ = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_alpn_select_cb(context_, Select, this);
    SSL_CTX_use_certificate(context_, identity.certificate);
    SSL_CTX_use_PrivateKey(context_, identity.key);
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    bind(fd_, reinterpret_cast<sockaddr*>(&address), length);
    listen(fd_, 16);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length);
    port = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~TlsServer() {
    shutdown(fd_, SHUT_RDWR);
    thread_.join();
    close(fd_);
    SSL_CTX_free(context_);
  }
  uint16_t port = 0;
  std::atomic<int> handshakes = 0;
  std::atomic<int> http2_requests = 0;

 private:
  static int Select(SSL*, const unsigned char** out, unsigned char* size,
                    const unsigned char* offered, unsigned offered_size, void* data) {
    const std::string& known = static_cast<TlsServer*>(data)->known_;
    unsigned char* chosen = nullptr;
    int found =
        SSL_select_next_proto(&chosen, size, reinterpret_cast<const unsigned char*>(known.data()),
                              static_cast<unsigned>(known.size()), offered, offered_size);
    *out = chosen;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
  }

  // Answers each request with 204.
  void ServeHttp2(SSL* ssl) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        callbacks, [](nghttp2_session* session, const nghttp2_frame* frame, void* data) {
          bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
          bool request = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
          if (!end || !request) return 0;
          ++static_cast<TlsServer*>(data)->http2_requests;
          char name[] = ":status";
          char value[] = "204";
          nghttp2_nv status{reinterpret_cast<uint8_t*>(name), reinterpret_cast<uint8_t*>(value), 7,
                            3, NGHTTP2_NV_FLAG_NONE};
          nghttp2_submit_response(session, frame->hd.stream_id, &status, 1, nullptr);
          return 0;
        });
    nghttp2_session* session = nullptr;
    nghttp2_session_server_new(&session, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session, 0, nullptr, 0);
    char buffer[65536];
    for (int size; (size = SSL_read(ssl, buffer, sizeof(buffer))) > 0;) {
      nghttp2_session_mem_recv(session, reinterpret_cast<uint8_t*>(buffer),
                               static_cast<size_t>(size));
      const uint8_t* out = nullptr;
      for (ssize_t count; (count = nghttp2_session_mem_send(session, &out)) > 0;) {
        SSL_write(ssl, out, static_cast<int>(count));
      }
    }
    nghttp2_session_del(session);
  }

  void Serve() {
    for (int fd; (fd = accept(fd_, nullptr, nullptr)) >= 0;) {
      SSL* ssl = SSL_new(context_);
      SSL_set_fd(ssl, fd);
      if (SSL_accept(ssl) == 1) {
        ++handshakes;
        const unsigned char* protocol = nullptr;
        unsigned protocol_size = 0;
        SSL_get0_alpn_selected(ssl, &protocol, &protocol_size);
        if (protocol_size == 2) ServeHttp2(ssl);
        std::string request;
        char buffer[65536];
        for (int size; (size = SSL_read(ssl, buffer, sizeof(buffer))) > 0;) {
          request.append(buffer, static_cast<size_t>(size));
          if (!request.ends_with("hello")) continue;
          request.clear();
          std::string answer =
              "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + std::string(100'000, 'y');
          SSL_write(ssl, answer.data(), static_cast<int>(answer.size()));
        }
      }
      SSL_free(ssl);
      close(fd);
    }
  }
  const std::string known_;
  SSL_CTX* context_;
  int fd_;
  std::thread thread_;
};

class HttpTls : public ::testing::Test {
 protected:
  void SetUp() override {
    close(mkstemp(ca_file_));
    identity_.Write(ca_file_);
    options_.allow_private_addresses = true;
  }
  void TearDown() override { unlink(ca_file_); }

  // So many at once.
  std::vector<Client::Outcome> PostMany(Client& client, uint16_t port, size_t count,
                                        HttpVersion version) {
    std::vector<Client::Outcome> outcomes;
    for (size_t i = 0; i < count; ++i) {
      client.Send({.url = "https://localhost:" + std::to_string(port) + "/",
                   .body = "hello",
                   .version = version},
                  [&](Client::Outcome outcome) { outcomes.push_back(std::move(outcome)); });
    }
    EXPECT_TRUE(loop_.RunUntil([&] { return outcomes.size() == count; }, 10s));
    return outcomes;
  }

  Client::Outcome Post(Client& client, const std::string& host, const std::string& body = "hello") {
    std::optional<Client::Outcome> slot;
    client.Send({.url = "https://" + host + ":" + std::to_string(server_.port) + "/", .body = body},
                [&](Client::Outcome outcome) { slot = std::move(outcome); });
    EXPECT_TRUE(loop_.RunUntil([&] { return slot.has_value(); }, 10s));
    return slot.value_or(Client::Outcome{});
  }

  char ca_file_[40] = "/tmp/dispatch_tls_test_XXXXXX";
  testing::Certificate identity_;
  TlsServer server_{identity_};
  EventLoop loop_;
  ClientOptions options_;
};

TEST_F(HttpTls, TrustsItsCertificatesAndKeepsTheSession) {
  options_.ca_file = ca_file_;
  Client client(loop_, options_);
  for (int i = 0; i < 3; ++i) {
    auto outcome = Post(client, "localhost");
    EXPECT_EQ(outcome.failure, FailureKind::kNone) << outcome.message;
    EXPECT_EQ(outcome.response.body.size(), 100'000u);
  }
  EXPECT_EQ(server_.handshakes, 1);
  auto outcome = Post(client, "localhost", std::string(3'000'000, 'x') + "hello");
  EXPECT_EQ(outcome.failure, FailureKind::kNone) << outcome.message;
}

TEST_F(HttpTls, RefusesAnUnknownSignerAndAnotherName) {
  {
    Client client(loop_, options_);
    auto outcome = Post(client, "localhost");
    EXPECT_EQ(outcome.failure, FailureKind::kTls);
    EXPECT_THAT(outcome.message, HasSubstr("self-signed"));
  }
  {
    options_.ca_file = ca_file_;
    Client client(loop_, options_);
    auto outcome = Post(client, "127.0.0.1");  // the certificate names localhost only
    EXPECT_EQ(outcome.failure, FailureKind::kTls);
    EXPECT_THAT(outcome.message, HasSubstr("IP address mismatch"));
  }
  options_.verify_tls = false;
  Client client(loop_, options_);
  EXPECT_EQ(Post(client, "127.0.0.1").failure, FailureKind::kNone);
}

TEST_F(HttpTls, SpeaksHttp2WhereBothKnowItOnOneConnection) {
  TlsServer server(identity_, true);
  options_.ca_file = ca_file_;
  Client client(loop_, options_);
  for (const auto& outcome : PostMany(client, server.port, 20, HttpVersion::kAny)) {
    EXPECT_EQ(outcome.failure, FailureKind::kNone) << outcome.message;
    EXPECT_EQ(outcome.response.status, 204);
  }
  EXPECT_EQ(server.http2_requests, 20);
  EXPECT_EQ(server.handshakes, 1);
}

TEST_F(HttpTls, FallsBackToHttp11AndMayBeToldTo) {
  options_.ca_file = ca_file_;
  options_.max_connections_per_host = 1;  // the server takes one after the other
  for (auto version : {HttpVersion::kAny, HttpVersion::kHttp2, HttpVersion::kHttp11}) {
    Client client(loop_, options_);
    for (const auto& outcome : PostMany(client, server_.port, 5, version)) {
      EXPECT_EQ(outcome.failure, FailureKind::kNone) << outcome.message;
      EXPECT_EQ(outcome.response.status, 200);
    }
  }
  TlsServer knows(identity_, true);
  Client client(loop_, options_);
  EXPECT_EQ(PostMany(client, knows.port, 1, HttpVersion::kHttp11)[0].response.status, 200);
  EXPECT_EQ(knows.http2_requests, 0);
}

TEST_F(HttpTls, NamesAMissingCertificateFile) {
  options_.ca_file = "/nowhere.pem";
  Client client(loop_, options_);
  auto outcome = Post(client, "localhost");
  EXPECT_EQ(outcome.failure, FailureKind::kTls);
  EXPECT_THAT(outcome.message, HasSubstr("/nowhere.pem"));
}

}  // namespace
}  // namespace dispatch::http::tls_test
