// What executables and images have in common: their words, their lines, and where events are taken.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/http/client.h"
#include "event-manager/src/adapters/drivers/driver_endpoint.h"
#include "event-manager/src/adapters/drivers/driver_words.h"
#include "event-manager/src/adapters/drivers/line_splitter.h"

namespace dispatch::driver_programs_contract {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

DriverSetup Given() {
  DriverSetup setup;
  setup.claimed.org = "acme";
  setup.claimed.name = "w1";
  setup.claimed.document = {{"type", "weather"}};
  setup.config = {{"units", "metric"}, {"topic", "events"}, {"quiet", ""}};
  setup.secrets = {{"apiToken", "a"},  {"api-key2", "b"},   {"path", "c"},
                   {"home", "d"},      {"ld_preload", "e"}, {"dispatchEndpoint", "f"},
                   {"AUTH_TOKEN", "g"}};
  return setup;
}

TEST(DriverWords, AreVMwares) {
  EXPECT_THAT(DriverArguments(Given(), 8080),
              ElementsAre("--units=metric", "--quiet", "--dispatch-api-endpoint=127.0.0.1:8080"));
  EXPECT_THAT(DriverEnvironment(Given(), 8080, "T"),
              ElementsAre("API_KEY2=b", "API_TOKEN=a", "HOME=/tmp", "TMPDIR=/tmp", "AUTH_TOKEN=T",
                          "DISPATCH_ENDPOINT=http://127.0.0.1:8080/T",
                          "DISPATCH_LISTENER_HTTP_PORT=8080", "DISPATCH_ORGANIZATION=acme",
                          "DISPATCH_DRIVER_NAME=w1", "DISPATCH_DRIVER_TYPE=weather"));
}

TEST(LineSplitter, MakesLinesHoweverTheyCome) {
  const std::string text = "one\n\ntwo\nthree";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    std::vector<std::string> lines;
    LineSplitter splitter([&](std::string line) { lines.push_back(std::move(line)); });
    for (size_t at = 0; at < text.size(); at += piece) splitter.Append(text.substr(at, piece));
    splitter.Finish();
    EXPECT_THAT(lines, ElementsAre("one", "", "two", "three")) << piece;
  }
  std::vector<std::string> lines;
  LineSplitter splitter([&](std::string line) { lines.push_back(std::move(line)); });
  splitter.Append(std::string(5000, 'x'));
  EXPECT_THAT(lines, ElementsAre(std::string(5000, 'x')));
}

/// Takes events as a topic would.
class Host : public DriverHost {
 public:
  explicit Host(EventLoop& loop) : loop_(loop) {}

  Loop& loop() override { return loop_; }
  void Publish(cloudevents::Event event, std::function<void(Status)> done) override {
    published.push_back(*event.Find("type"));
    loop_.Post([this, done = std::move(done)] { done(answer); });
  }
  void SavePosition(json::object, std::function<void(Status)>) override {}
  void Log(const std::string&, std::string) override {}
  void Ready() override {}
  void Fail(std::string) override {}

  Status answer;
  std::vector<std::string> published;

 private:
  EventLoop& loop_;
};

class EndpointTest : public ::testing::Test {
 protected:
  int Post(DriverEndpoint& endpoint, const std::string& path, const std::string& body) {
    if (port_ == 0) port_ = endpoint.Listen("127.0.0.1:0").value();
    http::ClientRequest request;
    request.url = "http://127.0.0.1:" + std::to_string(port_) + path;
    request.headers.Add("Content-Type", "application/json");
    request.body = body;
    int status = 0;
    client_.Send(std::move(request),
                 [&](const http::Client::Outcome& outcome) { status = outcome.response.status; });
    EXPECT_TRUE(loop_.RunUntil([&] { return status != 0; }, 10s));
    return status;
  }

  EventLoop loop_;
  http::Client client_{loop_, {.allow_private_addresses = true}};
  Host host_{loop_};
  uint16_t port_ = 0;
};

constexpr char kOld[] = R"({"eventType":"t.old","cloudEventsVersion":"0.1","source":"s",)"
                        R"("eventID":"1","data":{}})";
constexpr char kNew[] = R"({"specversion":"1.0","type":"t.new","source":"s","id":"2"})";

TEST_F(EndpointTest, WantsTheTokenWhereOthersReachIt) {
  DriverEndpoint endpoint(host_, loop_, DriverEndpoint::Callers::kMany);
  EXPECT_EQ(Post(endpoint, "/v1/event/ingest?authToken=" + endpoint.token(), kOld), 201);
  EXPECT_EQ(Post(endpoint, "/" + endpoint.token(), kNew), 201);
  for (const std::string path : {"/", "/v1/event/ingest", "/v1/event/ingest?authToken=x"}) {
    EXPECT_EQ(Post(endpoint, path, kNew), 401) << path;
  }
  EXPECT_THAT(host_.published, ElementsAre("t.old", "t.new"));
}

TEST_F(EndpointTest, WantsNoneWhereOnlyTheDriverDoes) {
  DriverEndpoint endpoint(host_, loop_, DriverEndpoint::Callers::kOne);
  EXPECT_EQ(Post(endpoint, "/", kNew), 201);
  EXPECT_EQ(Post(endpoint, "/", "{}"), 400);
}

TEST_F(EndpointTest, TellsWhatBecameOfTheEvent) {
  DriverEndpoint endpoint(host_, loop_, DriverEndpoint::Callers::kOne);
  host_.answer = {Code::kUnavailable, "Kafka is away"};
  EXPECT_EQ(Post(endpoint, "/", kNew), 500);
  host_.answer = {Code::kTooLarge, "too large"};
  EXPECT_EQ(Post(endpoint, "/", kNew), 400);
  endpoint.Refuse();
  EXPECT_EQ(Post(endpoint, "/", kNew), 500);
  EXPECT_EQ(host_.published.size(), 2u);
}

}  // namespace
}  // namespace dispatch::driver_programs_contract
