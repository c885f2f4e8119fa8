#include "common/runtime/service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "common/http/client.h"
#include "common/http/server.h"

namespace dispatch::service_test {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ServiceTest : public ::testing::Test {
 protected:
  int Start(std::vector<const char*> flags) {
    flags.insert(flags.begin(), "test-service");
    return service_.Start(static_cast<int>(flags.size()), flags.data());
  }
  void StartWell() {
    ASSERT_EQ(
        Start({"--service-key-file=/none", "--admin-listen=127.0.0.1:0", "--drain-timeout=5s"}),
        -1);
    http::ClientOptions options;
    options.allow_private_addresses = true;
    client_ = std::make_unique<http::Client>(service_.loop(), options);
  }
  http::ClientResponse Get(const std::string& path) {
    std::optional<http::ClientResponse> response;
    client_->Send({.method = "GET",
                   .url = "http://127.0.0.1:" + std::to_string(service_.admin_port()) + path},
                  [&](http::Client::Outcome outcome) { response = std::move(outcome.response); });
    EXPECT_TRUE(service_.loop().RunUntil([&] { return response.has_value(); }, 10s));
    return response.value_or(http::ClientResponse{});
  }

  Service service_{"test-service", "tests", CommonSettings(false, "127.0.0.1:0")};
  std::unique_ptr<http::Client> client_;
};

TEST_F(ServiceTest, RefusesABadConfigurationAndHelps) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(Start({"--no-such"}), 2);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("no-such"));
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(Start({"--help"}), 0);
  EXPECT_THAT(::testing::internal::GetCapturedStdout(), HasSubstr("--kafka-brokers"));
}

TEST_F(ServiceTest, TellsHealthReadinessAndMetrics) {
  StartWell();
  std::string reason = "no contact since start";
  service_.AddReadyCheck("kafka", [&] { return reason; });
  service_.AddReadyCheck("fine", [] { return std::string(); });
  EXPECT_EQ(Get("/healthz").status, 200);
  auto response = Get("/readyz");
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(
      response.body,
      R"({"status":"not ready","failing":[{"check":"kafka","reason":"no contact since start"}]})");
  reason.clear();
  EXPECT_EQ(Get("/readyz").status, 200);
  std::string metrics = Get("/metrics").body;
  for (const char* name : {"process_resident_memory_bytes ", "process_cpu_seconds_total ",
                           "process_open_fds ", "process_threads ", "process_start_time_seconds ",
                           "dispatch_build_info{service=\"test-service\",version="}) {
    EXPECT_THAT(metrics, HasSubstr(name));
  }
  EXPECT_EQ(Get("/nothing").status, 404);
}

TEST_F(ServiceTest, StopsStepByStepInReverseOrder) {
  StartWell();
  std::vector<std::string> order;
  int readiness_while_stopping = 0;
  service_.AddStopStep("first", [&](SteadyTime, std::function<void()> done) {
    order.push_back("first");
    done();
  });
  service_.AddStopStep("second", [&](SteadyTime deadline, std::function<void()> done) {
    EXPECT_GT(deadline, service_.loop().Steady());
    order.push_back("second");
    client_->Send({.method = "GET",
                   .url = "http://127.0.0.1:" + std::to_string(service_.admin_port()) + "/readyz"},
                  [&, done](http::Client::Outcome outcome) {
                    readiness_while_stopping = outcome.response.status;
                    done();
                    done();  // once is enough
                  });
  });
  raise(SIGTERM);
  EXPECT_EQ(service_.Run(), 0);
  EXPECT_THAT(order, ElementsAre("second", "first"));
  EXPECT_EQ(readiness_while_stopping, 503);
}

TEST_F(ServiceTest, ASecondSignalEndsTheWaiting) {
  StartWell();
  std::vector<std::string> order;
  SteadyTime start = service_.loop().Steady();
  service_.AddStopStep("quick", [&](SteadyTime deadline, std::function<void()> done) {
    EXPECT_LE(deadline, service_.loop().Steady());
    order.push_back("quick");
    done();
  });
  service_.AddStopStep("stuck", [&](SteadyTime, std::function<void()>) {
    order.push_back("stuck");
    raise(SIGTERM);
  });
  raise(SIGTERM);
  EXPECT_EQ(service_.Run(), 0);
  EXPECT_THAT(order, ElementsAre("stuck", "quick"));
  EXPECT_LT(service_.loop().Steady() - start, 4s);
}

TEST_F(ServiceTest, ExportsNoTracesUnlessItIsAsked) {
  StartWell();
  EXPECT_EQ(service_.tracing().tracer, nullptr);
  EXPECT_EQ(service_.tracing().sample_ratio, 0);
}

TEST_F(ServiceTest, RefusesACollectorThatIsNone) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(
      Start({"--service-key-file=/none", "--admin-listen=127.0.0.1:0", "--otlp-endpoint=here"}), 1);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("otlp-endpoint: 'here'"));
}

TEST_F(ServiceTest, ExportsWhatEndsInTheLastStep) {
  std::vector<std::string> bodies;
  http::Server collector(service_.loop(), {}, [&](http::Request request, auto writer) {
    bodies.push_back(std::move(request.body));
    writer->Send(http::Response::Json(200, "{}"));
  });
  auto port = collector.Listen("127.0.0.1:0");
  ASSERT_TRUE(port.ok());
  std::string endpoint = "--otlp-endpoint=http://127.0.0.1:" + std::to_string(*port);
  ASSERT_EQ(Start({"--service-key-file=/none", "--admin-listen=127.0.0.1:0", "--instance-id=one",
                   "--traces-sample-ratio=0.5", endpoint.c_str()}),
            -1);
  EXPECT_EQ(service_.tracing().sample_ratio, 0.5);
  const Tracer* tracer = service_.tracing().tracer;
  ASSERT_NE(tracer, nullptr);
  service_.AddStopStep("work", [&](SteadyTime, std::function<void()> done) {
    auto span = tracer->StartRoot(Span::Kind::kInternal, TraceContext::NewRoot(1));
    span->name = "the last work";
    tracer->End(*span);
    done();
  });
  raise(SIGTERM);
  EXPECT_EQ(service_.Run(), 0);
  ASSERT_EQ(bodies.size(), 1u);
  for (const char* part :
       {"the last work", R"({"key":"service.name","value":{"stringValue":"test-service"}})",
        R"({"key":"service.instance.id","value":{"stringValue":"one"}})", "service.version"}) {
    EXPECT_THAT(bodies[0], HasSubstr(part));
  }
}

TEST_F(ServiceTest, FailRunsTheStepsAndExitsWithOne) {
  StartWell();
  bool stopped = false;
  service_.AddStopStep("only", [&](SteadyTime, std::function<void()> done) {
    stopped = true;
    done();
  });
  service_.Fail("the database is newer than this program");
  EXPECT_EQ(service_.Run(), 1);
  EXPECT_TRUE(stopped);
}

}  // namespace
}  // namespace dispatch::service_test
