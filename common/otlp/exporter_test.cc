#include "common/otlp/exporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "common/http/server.h"

namespace dispatch::otlp::exporter_test {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ExporterTest : public ::testing::Test {
 protected:
  ExporterTest() {
    close(mkstemp(path_));
    server_ = std::make_unique<http::Server>(loop_, http::ServerOptions{},
                                             [this](http::Request request, auto writer) {
                                               requests_.push_back(std::move(request));
                                               writer->Send(http::Response::Json(200, "{}"));
                                             });
    options_.endpoint = "http://127.0.0.1:" + std::to_string(*server_->Listen("127.0.0.1:0"));
    options_.resource = {{"service.name", "tested"}};
    options_.version = "1.2.3";
  }
  ~ExporterTest() override { unlink(path_); }

  void WriteHeaders(const std::string& text, mode_t mode = 0600) {
    std::ofstream(path_) << text;
    chmod(path_, mode);
    options_.headers_file = path_;
  }
  std::string Fault() {
    auto made = Exporter::Make(loop_, options_);
    return made.ok() ? "" : made.message();
  }

  EventLoop loop_;
  char path_[40] = "/tmp/dispatch_exporter_test_XXXXXX";
  std::vector<http::Request> requests_;
  std::unique_ptr<http::Server> server_;
  Exporter::Options options_;
};

TEST_F(ExporterTest, PostsToTheCollector) {
  WriteHeaders("# for the collector\n\nAuthorization: Bearer a:b\r\nx-scope:acme\n");
  options_.endpoint += "/otel/";
  auto exporter = Exporter::Make(loop_, options_);
  ASSERT_TRUE(exporter.ok()) << exporter.message();
  auto span = (*exporter)->tracer().StartRoot(Span::Kind::kServer, TraceContext::NewRoot(1));
  (*exporter)->tracer().End(*span);
  bool flushed = false;
  (*exporter)->Flush(loop_.Steady() + 5s, [&] { flushed = true; });
  ASSERT_TRUE(loop_.RunUntil([&] { return flushed; }, 5s));
  ASSERT_EQ(requests_.size(), 1u);
  const http::Request& request = requests_[0];
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/otel/v1/traces");
  EXPECT_EQ(request.headers.Get("content-type"), "application/json");
  EXPECT_EQ(request.headers.Get("authorization"), "Bearer a:b");
  EXPECT_EQ(request.headers.Get("x-scope"), "acme");
  EXPECT_EQ(request.headers.Get("user-agent"), "Dispatch-OTLP-Exporter/1.2.3");
  EXPECT_THAT(request.body, HasSubstr(span->context.span_id));
  EXPECT_THAT(request.body, HasSubstr("\"tested\""));
}

TEST_F(ExporterTest, NamesTheSettingThatIsWrong) {
  options_.endpoint = "collector:4318";
  EXPECT_THAT(Fault(), HasSubstr("otlp-endpoint: "));
  options_.endpoint = "http://user:pass@collector:4318";
  EXPECT_THAT(Fault(), HasSubstr("otlp-endpoint: "));
  options_.endpoint = "http://collector:4318/?key=1";
  EXPECT_THAT(Fault(), AllOf(HasSubstr("otlp-endpoint: "), HasSubstr("otlp-headers-file")));
  options_.endpoint = "https://collector";
  EXPECT_EQ(Fault(), "");
  WriteHeaders("a: b\nhunter2\n");
  EXPECT_THAT(Fault(), AllOf(HasSubstr("otlp-headers-file: line 2"), Not(HasSubstr("hunter2"))));
  WriteHeaders("bad name: x\n");
  EXPECT_THAT(Fault(), HasSubstr("line 1"));
  WriteHeaders("name: b\rInjected: c\n");
  EXPECT_THAT(Fault(), HasSubstr("line 1"));
  WriteHeaders("a: b\n", 0644);
  EXPECT_THAT(Fault(), HasSubstr("chmod 0600"));
  WriteHeaders(std::string(20'000, 'x'));
  chmod(path_, 0600);
  EXPECT_THAT(Fault(), HasSubstr("too large"));
  options_.headers_file = "/nowhere";
  EXPECT_THAT(Fault(), HasSubstr("cannot read /nowhere"));
}

}  // namespace
}  // namespace dispatch::otlp::exporter_test
