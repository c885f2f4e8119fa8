#include "broker-adapters/rpc.h"

#include <gtest/gtest.h>

#include "broker-adapters/memory/memory_broker.h"
#include "broker-adapters/topics.h"
#include "common/testing/recorded_spans.h"
#include "common/testing/simulated_loop.h"

namespace dispatch::rpc_test {
namespace {

using broker::MemoryCluster;
using broker::RecordSigner;
using broker::RpcClient;
using broker::RpcReply;
using broker::RpcServer;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct World {
  World() : cluster(loop, 1), client_side(cluster.Connect("c")), server_side(cluster.Connect("s")) {
    cluster.set_faults({.min_latency = Duration(100), .max_latency = Duration(2'000)});
    bool made = false;
    EnsureTopics(*server_side, loop, broker::InternalTopics(1, 4), [&] { made = true; });
    loop.RunUntil([&] { return made; });
    server = std::make_unique<RpcServer>(*server_side, loop, signer, "identity", 3);
    client = std::make_unique<RpcClient>(
        *client_side, loop, signer,
        RpcClient::Options{.client_id = "gw", .max_in_flight = 8, .max_in_flight_per_org = 5});
  }

  void Ready() {
    server->Start();
    ASSERT_TRUE(loop.RunUntil([&] { return server->ready() && client->ready(); }));
  }

  void Call(const std::string& method, milliseconds timeout = seconds(5),
            const std::string& org = "acme", std::string body = "") {
    schema::Request request;
    request.method = method;
    request.org = org;
    request.body = std::move(body);
    client->Call("identity", std::move(request), timeout,
                 [this](Result<RpcReply> r) { replies.push_back(std::move(r)); });
  }
  bool Await(size_t count) {
    return loop.RunUntil([&] { return replies.size() >= count; }, seconds(30));
  }

  testing::SimulatedLoop loop;
  MemoryCluster cluster;
  RecordSigner signer{std::string(32, 'k')};
  std::unique_ptr<broker::Broker> client_side;
  std::unique_ptr<broker::Broker> server_side;
  std::unique_ptr<RpcServer> server;
  std::unique_ptr<RpcClient> client;
  std::vector<Result<RpcReply>> replies;
};

TEST(Rpc, ChangesAreToldOfWithWhatCameOfThem) {
  World w;
  std::vector<std::string> told;
  w.server->OnChange([&](const schema::Request& request, const Status& status) {
    told.push_back(request.method + " " + request.body + " " +
                   std::string(CodeName(status.code())));
  });
  w.server->Handle("key.get", [](schema::Request, RpcServer::Responder r) { r(RpcReply{}); });
  w.server->HandleChange("key.create", [](schema::Request request, RpcServer::Responder respond) {
    bool taken = std::exchange(request.body, "") == "taken";
    if (taken) return respond(Error{Code::kAlreadyExists, "taken"});
    respond(RpcReply{});
  });
  w.Ready();
  w.Call("key.get");
  w.Call("key.create", seconds(5), "acme", "new");
  ASSERT_TRUE(w.Await(2));
  w.Call("key.create", seconds(5), "acme", "taken");
  ASSERT_TRUE(w.Await(3));
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0], "key.create new " + std::string(CodeName(Code::kOk)));
  EXPECT_EQ(told[1], "key.create taken " + std::string(CodeName(Code::kAlreadyExists)));
}

TEST(Rpc, RequestsAreSpansBelowTheCallers) {
  World w;
  testing::RecordedSpans spans;
  Tracer tracer(w.loop, spans);
  w.server->TraceBy(&tracer);
  std::vector<std::string> seen;
  w.server->Handle("key.get", [&](const schema::Request& request, const RpcServer::Responder& r) {
    seen.push_back(request.traceparent);
    if (request.body == "gone") return r(Error{Code::kNotFound, "gone"});
    if (request.body == "broken") return r(Error{Code::kInternal, "broken"});
    r(RpcReply{});
    r(Error{Code::kInternal, "a second answer counts for nothing"});
  });
  w.Ready();
  const std::string header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  for (const char* body : {"", "gone", "broken"}) {
    schema::Request request;
    request.method = "key.get";
    request.body = body;
    request.traceparent = header;
    w.client->Call("identity", std::move(request), seconds(5),
                   [&](Result<RpcReply> r) { w.replies.push_back(std::move(r)); });
    ASSERT_TRUE(w.Await(seen.size() + 1));
  }
  w.Call("key.get");
  ASSERT_TRUE(w.Await(4));
  EXPECT_EQ(seen[3], "");
  ASSERT_EQ(spans.spans.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(spans.spans[i].name, "identity/key.get");
    EXPECT_EQ(spans.spans[i].kind, Span::Kind::kServer);
    EXPECT_EQ(spans.spans[i].parent_id, "b7ad6b7169203331");
    EXPECT_EQ(seen[i], spans.spans[i].context.ToTraceparent());
  }
  EXPECT_EQ(spans.spans[0].error, std::nullopt);
  EXPECT_EQ(spans.spans[1].error, std::nullopt) << "the caller's fault";
  EXPECT_EQ(spans.spans[2].error, "broken");
}

TEST(Rpc, AnswersWithTheHandlersReply) {
  World w;
  w.server->Handle("key.create", [](schema::Request request, RpcServer::Responder respond) {
    EXPECT_EQ(request.org, "acme");
    EXPECT_EQ(request.correlation_id.size(), 16u);
    respond(RpcReply{json::object{{"echo", request.body}}, "key", "acme/k1", 42});
    respond(Error{Code::kInternal, "a second answer counts for nothing"});
  });
  w.Ready();
  w.Call("key.create", seconds(5), "acme", "hello");
  ASSERT_TRUE(w.Await(1));
  ASSERT_TRUE(w.replies[0].ok()) << w.replies[0].message();
  EXPECT_EQ(w.replies[0]->body.at("echo").as_string(), "hello");
  EXPECT_EQ(w.replies[0]->state_kind, "key");
  EXPECT_EQ(w.replies[0]->state_key, "acme/k1");
  EXPECT_EQ(w.replies[0]->state_version, 42);
  EXPECT_EQ(w.client->in_flight(), 0u);
}

TEST(Rpc, CarriesErrorsWhole) {
  World w;
  w.server->Handle("fail", [](schema::Request, RpcServer::Responder respond) {
    respond(Error{Code::kUnprocessable, "the sink is no URL", false, {{"sink", "no scheme"}}});
  });
  w.Ready();
  w.Call("fail");
  ASSERT_TRUE(w.Await(1));
  w.Call("no.such.method");
  ASSERT_TRUE(w.Await(2));
  ASSERT_FALSE(w.replies[0].ok());
  EXPECT_EQ(w.replies[0].code(), Code::kUnprocessable);
  EXPECT_EQ(w.replies[0].message(), "the sink is no URL");
  ASSERT_EQ(w.replies[0].error().details.size(), 1u);
  EXPECT_EQ(w.replies[0].error().details[0].field, "sink");
  EXPECT_EQ(w.replies[1].code(), Code::kNotFound);
}

TEST(Rpc, CallsBeforeReadyAreSentWhenReady) {
  World w;
  w.server->Handle("ping",
                   [](schema::Request, RpcServer::Responder respond) { respond(RpcReply{}); });
  EXPECT_FALSE(w.client->ready());
  EXPECT_FALSE(w.server->ready());
  w.Call("ping");
  w.Ready();
  ASSERT_TRUE(w.Await(1));
  EXPECT_TRUE(w.replies[0].ok());
}

TEST(Rpc, TimesOutAndDropsExpiredRequests) {
  World w;
  int handled = 0;
  w.server->Handle("ping", [&](schema::Request, RpcServer::Responder respond) {
    ++handled;
    respond(RpcReply{});
  });
  w.Ready();
  w.cluster.set_partitioned("s", true);
  w.Call("ping", milliseconds(500));
  ASSERT_TRUE(w.Await(1));
  EXPECT_EQ(w.replies[0].code(), Code::kDeadlineExceeded);
  EXPECT_TRUE(w.replies[0].error().retryable);
  w.cluster.set_partitioned("s", false);
  w.loop.RunFor(seconds(20));
  EXPECT_EQ(handled, 0) << "nobody waits for it any more";
  w.Call("ping");
  ASSERT_TRUE(w.Await(2));
  EXPECT_TRUE(w.replies[1].ok()) << w.replies[1].message();
}

TEST(Rpc, BoundsWhatIsInFlightInAllAndPerOrg) {
  World w;
  std::vector<RpcServer::Responder> held;
  w.server->Handle("hold", [&](schema::Request, RpcServer::Responder respond) {
    held.push_back(std::move(respond));
  });
  w.Ready();
  for (int i = 0; i < 6; ++i) w.Call("hold");
  w.loop.RunReady();
  ASSERT_EQ(w.replies.size(), 1u) << "five per organization";
  EXPECT_EQ(w.replies[0].code(), Code::kResourceExhausted);
  for (int i = 0; i < 4; ++i) w.Call("hold", seconds(5), "other");
  ASSERT_TRUE(w.Await(2));
  EXPECT_EQ(w.replies[1].code(), Code::kResourceExhausted) << "eight in all";
  // The server runs three; the rest is refused at once.
  ASSERT_TRUE(w.Await(2 + 5));
  for (size_t i = 2; i < 7; ++i) EXPECT_EQ(w.replies[i].code(), Code::kResourceExhausted);
  EXPECT_EQ(held.size(), 3u);
  for (auto& respond : held) respond(RpcReply{});
  ASSERT_TRUE(w.Await(10));
  EXPECT_TRUE(w.replies.back().ok());
}

TEST(Rpc, ForgedRequestsAndRepliesChangeNothing) {
  World w;
  int handled = 0;
  w.server->Handle("ping", [&](schema::Request request, RpcServer::Responder respond) {
    ++handled;
    // Somebody who can write to the reply topic, but has no key, answers first.
    schema::Reply forged;
    forged.correlation_id = request.correlation_id;
    forged.code = Code::kNotFound;
    auto producer = w.server_side->NewProducer({});
    (void)producer->Produce({.topic = broker::kRepliesTopic,
                             .partition = request.reply_partition,
                             .key = forged.correlation_id,
                             .value = schema::Encode(forged)},
                            [](Result<broker::Position>) {});
    w.loop.After(seconds(1), [respond] { respond(RpcReply{}); });
    w.loop.After(milliseconds(500),
                 [p = std::shared_ptr<broker::Producer>(std::move(producer))] {});
  });
  w.Ready();
  RecordSigner stranger(std::string(32, 'x'));
  schema::Request request;
  request.method = "ping";
  request.deadline_ms = ToMillis(w.loop.Now()) + 60'000;
  broker::ProduceRecord record{
      .topic = broker::RpcTopic("identity"), .key = "id", .value = schema::Encode(request)};
  stranger.Sign(record);
  auto producer = w.client_side->NewProducer({});
  (void)producer->Produce(record, [](Result<broker::Position>) {});
  record.headers.clear();
  record.value = "garbage";
  w.signer.Sign(record);
  (void)producer->Produce(record, [](Result<broker::Position>) {});
  w.loop.RunFor(seconds(1));
  EXPECT_EQ(handled, 0);
  w.Call("ping");
  ASSERT_TRUE(w.Await(1));
  EXPECT_TRUE(w.replies[0].ok()) << w.replies[0].message();
}

TEST(Rpc, StopWaitsForWhatRuns) {
  World w;
  RpcServer::Responder held;
  w.server->Handle(
      "hold", [&](schema::Request, RpcServer::Responder respond) { held = std::move(respond); });
  w.Ready();
  w.Call("hold", seconds(20));
  ASSERT_TRUE(w.loop.RunUntil([&] { return held != nullptr; }));
  bool stopped = false;
  w.server->Stop([&] { stopped = true; });
  w.loop.RunFor(seconds(3));
  EXPECT_FALSE(stopped);
  held(RpcReply{});
  ASSERT_TRUE(w.loop.RunUntil([&] { return stopped; }));
  ASSERT_TRUE(w.Await(1));
  EXPECT_TRUE(w.replies[0].ok());
}

TEST(Rpc, ASecondServerTakesOverFromACrashedOne) {
  World w;
  auto serve = [](RpcServer& server) {
    server.Handle("ping",
                  [](schema::Request, RpcServer::Responder respond) { respond(RpcReply{}); });
  };
  serve(*w.server);
  w.Ready();
  auto other_side = w.cluster.Connect("s2");
  RpcServer other(*other_side, w.loop, w.signer, "identity");
  serve(other);
  other.Start();
  ASSERT_TRUE(w.loop.RunUntil([&] { return other.ready(); }));
  w.server.reset();
  w.server_side.reset();
  for (size_t i = 1; i <= 20; ++i) {
    w.Call("ping", seconds(10));
    ASSERT_TRUE(w.Await(i));
    EXPECT_TRUE(w.replies.back().ok()) << w.replies.back().message();
  }
}

TEST(Rpc, MayEndAtAnyTime) {
  World w;
  RpcServer::Responder held;
  w.server->Handle("hold", [&](schema::Request, RpcServer::Responder respond) {
    held = std::move(respond);
    w.server.reset();
  });
  w.Ready();
  w.Call("hold");
  ASSERT_TRUE(w.loop.RunUntil([&] { return held != nullptr; }));
  held(RpcReply{});
  w.client.reset();
  w.loop.RunFor(seconds(30));
  EXPECT_TRUE(w.replies.empty());
}

}  // namespace
}  // namespace dispatch::rpc_test
