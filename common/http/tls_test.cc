// The client against a TLS server of OpenSSL's own, in a thread, with a certificate made here.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "common/http/client.h"

namespace dispatch::http::tls_test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

// A key and a self-signed certificate for "localhost".
struct Identity {
  Identity() {
    key = EVP_RSA_gen(2048);
    certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME* name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
    for (auto [nid, value] : {std::pair{NID_subject_alt_name, "DNS:localhost"},
                              std::pair{NID_basic_constraints, "critical,CA:TRUE"}}) {
      X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
      X509_add_ext(certificate, extension, -1);
      X509_EXTENSION_free(extension);
    }
    X509_sign(certificate, key, EVP_sha256());
  }
  ~Identity() {
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  EVP_PKEY* key;
  X509* certificate;
};

// Answers every request on one connection after another; blocking, in a thread.
class TlsServer {
 public:
  explicit TlsServer(const Identity& identity) {
    context_ = SSL_CTX_new(TLS_server_method());
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

 private:
  void Serve() {
    for (int fd; (fd = accept(fd_, nullptr, nullptr)) >= 0;) {
      SSL* ssl = SSL_new(context_);
      SSL_set_fd(ssl, fd);
      if (SSL_accept(ssl) == 1) {
        ++handshakes;
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
  SSL_CTX* context_;
  int fd_;
  std::thread thread_;
};

class HttpTls : public ::testing::Test {
 protected:
  void SetUp() override {
    close(mkstemp(ca_file_));
    FILE* file = fopen(ca_file_, "w");
    PEM_write_X509(file, identity_.certificate);
    fclose(file);
    options_.allow_private_addresses = true;
  }
  void TearDown() override { unlink(ca_file_); }

  Client::Outcome Post(Client& client, const std::string& host, const std::string& body = "hello") {
    std::optional<Client::Outcome> slot;
    client.Send({.url = "https://" + host + ":" + std::to_string(server_.port) + "/", .body = body},
                [&](Client::Outcome outcome) { slot = std::move(outcome); });
    EXPECT_TRUE(loop_.RunUntil([&] { return slot.has_value(); }, 10s));
    return slot.value_or(Client::Outcome{});
  }

  char ca_file_[40] = "/tmp/dispatch_tls_test_XXXXXX";
  Identity identity_;
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

TEST_F(HttpTls, NamesAMissingCertificateFile) {
  options_.ca_file = "/nowhere.pem";
  Client client(loop_, options_);
  auto outcome = Post(client, "localhost");
  EXPECT_EQ(outcome.failure, FailureKind::kTls);
  EXPECT_THAT(outcome.message, HasSubstr("/nowhere.pem"));
}

}  // namespace
}  // namespace dispatch::http::tls_test
