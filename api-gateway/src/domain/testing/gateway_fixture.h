#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "api-gateway/src/domain/denial_log.h"
#include "api-gateway/src/domain/routes.h"
#include "broker-adapters/memory/memory_broker.h"
#include "broker-adapters/rpc.h"
#include "broker-adapters/topics.h"
#include "common/testing/simulated_loop.h"
#include "schema/objects.h"

/// A whole gateway over the memory broker on simulated time, beside services that the test plays:
/// it writes their state records and answers their requests.
namespace dispatch::gateway::testing {

/// Keeps the one answer, or what a stream wrote.
class RecordedAnswer : public http::ResponseWriter {
 public:
  void Send(http::Response response) override { response_ = std::move(response); }
  void Start(int status, http::Headers headers) override {
    stream_ = {status, std::move(headers), ""};
  }
  bool Write(std::string piece) override {
    stream_->body += piece;
    return !full_ && !closed_;
  }
  void End() override { ended_ = true; }
  void OnDrain(std::function<void()> drained) override { drained_ = std::move(drained); }
  void OnClosed(std::function<void()> closed) override { on_closed_ = std::move(closed); }
  bool closed() const override { return closed_; }

  // The client reads again, after full_ was set; or goes away.
  void Drain() {
    full_ = false;
    drained_();
  }
  void Close() {
    closed_ = true;
    on_closed_();
  }

  std::optional<http::Response> response_;
  std::optional<http::Response> stream_;
  bool ended_ = false;
  bool full_ = false;

 private:
  bool closed_ = false;
  std::function<void()> drained_;
  std::function<void()> on_closed_;
};

struct Answer {
  int status = 0;
  http::Headers headers;
  std::string body;
  mutable std::optional<json::value> parsed = {};

  const json::value& Json() const {
    if (!parsed) parsed = json::Parse(body).value();
    return *parsed;
  }
  std::string Text(std::string_view field) const {
    return json::GetString(Json().as_object(), field);
  }
  std::string Header(std::string_view name) const {
    return std::string(headers.Get(name).value_or("(none)"));
  }
};

class GatewayTest : public ::testing::Test {
 protected:
  using Fields = std::vector<http::Headers::Field>;

  explicit GatewayTest(const Tracing& tracing = {}) : tracing_(tracing) {
    state_ = services_->NewProducer({});
    for (const char* service : {kIdentity, kEventManager, kFunctionManager}) Heartbeat(service);
    loop_.RunFor(std::chrono::milliseconds(100));
    for (auto* table : {&identity_, &events_, &functions_}) table->Start();
    PutOrganization("acme");
    key_ = PutKey("acme", R"(["admin"])");
    loop_.RunUntil([&] { return identity_.ready() && events_.ready() && functions_.ready(); });
    EXPECT_TRUE(loop_.RunUntil([&] { return rpc_.ready(); }));
  }

  void Heartbeat(const std::string& service) { PutState(service, "heartbeat", "", "", "{}"); }

  // Writes what the owner's relay would.
  void PutState(const std::string& service, const std::string& kind, const std::string& org,
                const std::string& name, const std::string& document, bool deleted = false) {
    schema::StateRecord record;
    record.kind = kind;
    record.org = org;
    record.name = name;
    record.uuid = Uuid::Random();
    record.version = ++version_;
    record.epoch = 1;
    record.deleted = deleted;
    record.document = document;
    record.written_ms = ToMillis(loop_.Now());
    broker::ProduceRecord out{
        broker::StateTopic(service), 0, record.Key(), schema::Encode(record), {}};
    signer_.Sign(out);
    EXPECT_TRUE(state_->Produce(std::move(out), [](auto) {}).ok());
    loop_.RunFor(std::chrono::milliseconds(20));
  }

  void PutOrganization(const std::string& org) {
    PutState(kIdentity, schema::kOrganizationKind, org, org, R"({"name":")" + org + "\"}");
  }

  // Returns the key's text. `more` goes into its document.
  std::string PutKey(const std::string& org, const std::string& scopes,
                     const std::string& more = R"("status":"ACTIVE")") {
    auto key = auth::KeyText::Random();
    PutState(kIdentity, schema::kApiKeyKind, org, key.id,
             R"({"id":")" + key.id + R"(","name":"k","scopes":)" + scopes + "," + more +
                 R"(,"internal":{"hmac":")" + auth::HashSecret(kServiceKey, key.secret) + "\"}}");
    return key.ToString();
  }

  // A topic in the cache and in Kafka.
  void PutTopic(const std::string& org, const std::string& name) {
    bool made = false;
    services_->admin().CreateTopic({.name = org + "." + name, .partitions = 2},
                                   [&](Status) { made = true; });
    EXPECT_TRUE(loop_.RunUntil([&] { return made; }));
    PutState(kEventManager, schema::kTopicKind, org, name,
             R"({"name":")" + name + R"(","partitions":2,"status":"READY"})");
  }

  // Plays a service: `handler` gets each request of `method`.
  void Serve(const std::string& service, const std::string& method,
             std::function<Result<broker::RpcReply>(const schema::Request&)> handler) {
    auto& server = servers_[service];
    bool is_new = server == nullptr;
    if (is_new) server = std::make_unique<broker::RpcServer>(*services_, loop_, signer_, service);
    server->Handle(method,
                   [handler](schema::Request request, broker::RpcServer::Responder respond) {
                     respond(handler(request));
                   });
    if (is_new) server->Start();
    EXPECT_TRUE(loop_.RunUntil([&] { return server->ready(); }));
  }

  static http::Request Request(const std::string& method, const std::string& target,
                               std::string body) {
    http::Request request;
    request.method = method;
    request.target = target;
    size_t question = std::min(target.find('?'), target.size());
    request.path = target.substr(0, question);
    std::string query = question < target.size() ? target.substr(question + 1) : "";
    while (!query.empty()) {
      size_t end = std::min(query.find('&'), query.size());
      std::string pair = query.substr(0, end);
      query.erase(0, end + 1);
      size_t equals = pair.find('=');
      request.query.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
    }
    request.body = std::move(body);
    return request;
  }

  std::shared_ptr<RecordedAnswer> Begin(const std::string& method, const std::string& target,
                                        std::string body = "", Fields fields = {},
                                        bool with_key = true) {
    http::Request request = Request(method, target, std::move(body));
    if (with_key) request.headers.Add("Authorization", "Bearer " + key_);
    for (auto& [name, value] : fields) request.headers.Add(name, value);
    auto writer = std::make_shared<RecordedAnswer>();
    gateway_.Handle(std::move(request), writer);
    return writer;
  }

  Answer Send(const std::string& method, const std::string& target, std::string body = "",
              Fields fields = {}, bool with_key = true) {
    auto writer = Begin(method, target, std::move(body), std::move(fields), with_key);
    EXPECT_TRUE(
        loop_.RunUntil([&] { return writer->response_.has_value(); }, std::chrono::seconds(30)))
        << method << " " << target << " has no answer";
    if (!writer->response_) return {};
    return {writer->response_->status, writer->response_->headers, writer->response_->body};
  }

  const std::string kServiceKey = std::string(32, 'k');
  const Tracing tracing_;
  dispatch::testing::SimulatedLoop loop_;
  broker::MemoryCluster cluster_{loop_, 1};
  broker::RecordSigner signer_{kServiceKey};
  std::unique_ptr<broker::Broker> services_ = cluster_.Connect("services");
  // Before the gateway's parts look for them.
  const bool topics_made_ = [this] {
    bool made = false;
    broker::EnsureTopics(*services_, loop_, broker::InternalTopics(1, 1), [&] { made = true; });
    return loop_.RunUntil([&] { return made; });
  }();
  std::unique_ptr<broker::Producer> state_;
  std::map<std::string, std::unique_ptr<broker::RpcServer>> servers_;
  int64_t version_ = 0;
  std::string key_;

  std::unique_ptr<broker::Broker> broker_ = cluster_.Connect("gateway");
  broker::StateTable identity_{*broker_, loop_, signer_, kIdentity};
  broker::StateTable events_{*broker_, loop_, signer_, kEventManager};
  broker::StateTable functions_{*broker_, loop_, signer_, kFunctionManager};
  Directory directory_{loop_, kServiceKey};
  broker::RpcClient rpc_{*broker_, loop_, signer_, {.client_id = "gateway"}};
  ServiceClient service_client_{rpc_, 2'000};
  std::unique_ptr<broker::Producer> prompt_ =
      broker_->NewProducer({.delivery_timeout = std::chrono::seconds(8)});
  std::unique_ptr<broker::Producer> bulk_ = broker_->NewProducer(
      {.linger = std::chrono::milliseconds(1), .delivery_timeout = std::chrono::seconds(8)});
  Publisher publisher_{loop_, *prompt_, *bulk_, tracing_.tracer};
  DenialLog denials_{loop_, *bulk_, signer_};
  Gateway gateway_{
      loop_,
      directory_,
      {identity_, events_, functions_},
      {.tracing = tracing_, .on_denied = [this](const Call& call, const std::string& route) {
         denials_.Write(call, route);
       }}};
  EventBrowser browser_{loop_, *broker_, {}};
  RunStreams run_streams_{loop_, service_client_, {}};
  SourceUploads uploads_{loop_, service_client_, {.most = 1, .timeout = std::chrono::seconds(10)}};
  LagStreams lag_streams_{loop_, service_client_, events_, {}};
  Backend backend_{loop_,           {identity_, events_, functions_},
                   service_client_, publisher_,
                   browser_,        run_streams_,
                   uploads_,        lag_streams_,
                   directory_,      kServiceKey};
  // Before the tables start, which the constructor's body does.
  const bool wired_ = [this] {
    AddRoutes(gateway_, backend_, "{}", {"1.2.3", "abcdef"});
    identity_.OnChanged([this](const auto& kind, const auto& key, const auto&, const auto& entity) {
      directory_.OnChanged(kind, key, entity);
    });
    return true;
  }();
};

}  // namespace dispatch::gateway::testing
