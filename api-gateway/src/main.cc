#include <fmt/format.h>

#include <memory>

#include "api-gateway/src/domain/call.h"
#include "api-gateway/src/domain/denial_log.h"
#include "api-gateway/src/domain/directory.h"
#include "api-gateway/src/domain/endpoints/endpoint_answer.h"
#include "api-gateway/src/domain/endpoints/endpoints.h"
#include "api-gateway/src/domain/gateway.h"
#include "api-gateway/src/domain/publisher.h"
#include "api-gateway/src/domain/routes.h"
#include "api-gateway/src/domain/service_client.h"
#include "api-gateway/src/domain/ui_site.h"
#include "api-gateway/src/openapi_document.h"
#include "api-gateway/src/ui_files.h"
#include "broker-adapters/service/run_service.h"
#include "broker-adapters/topics.h"
#include "common/config.h"
#include "common/http/server.h"
#include "common/runtime/service.h"
#include "common/version.h"

// The composition root: what the gateway is made of, and the order of start and stop.
namespace dispatch::gateway {
namespace {

constexpr size_t kMaxRpcInFlight = 2'000;
// Below the time that clients give a publish: they learn the outcome from us.
constexpr std::chrono::milliseconds kDeliveryTimeout{8'000};
constexpr size_t kMaxEndpointBody = 10 * 1024 * 1024;
// A function's source as base64 with what else there is to say of it.
constexpr size_t kMaxFunctionBody = 24 * 1024 * 1024;
constexpr Duration kBulkLinger = std::chrono::milliseconds(1);

std::vector<Config::Setting> Settings() {
  auto settings = CommonSettings(false, "127.0.0.1:9093");
  settings.push_back({.name = "listen",
                      .default_value = "127.0.0.1:8080",
                      .help = "where the API answers",
                      .unit = "host:port"});
  settings.push_back({.name = "endpoints-listen",
                      .default_value = "127.0.0.1:8081",
                      .help = "where the endpoints of functions (kind api) answer",
                      .unit = "host:port"});
  settings.push_back({.name = "endpoints-tls-listen",
                      .default_value = "127.0.0.1:8444",
                      .help = "where they answer over TLS, with endpoints-tls-certificate",
                      .unit = "host:port"});
  settings.push_back({.name = "endpoints-tls-certificate",
                      .help = "certificate of the endpoints and its chain (PEM), read again when "
                              "it changes; empty: no TLS",
                      .unit = "file"});
  settings.push_back({.name = "endpoints-tls-key",
                      .help = "the key of that certificate (PEM, without a passphrase)",
                      .unit = "file"});
  settings.push_back({.name = "access-log",
                      .type = Config::Type::kBool,
                      .default_value = "false",
                      .help = "write a line for every request"});
  return settings;
}

// dispatch.invocations is left to event-manager, which knows its partitions.
std::vector<broker::TopicSpec> NeededTopics(int16_t replication_factor) {
  auto specs = broker::InternalTopics(replication_factor, 1);
  std::erase_if(specs, [](const auto& spec) { return spec.name == broker::kInvocationsTopic; });
  return specs;
}

broker::ProducerOptions EventProducer(Duration linger) {
  broker::ProducerOptions options;
  options.linger = linger;
  options.delivery_timeout = kDeliveryTimeout;
  return options;
}

// Everything behind the HTTP server, made when the topics are there.
struct App {
  App(EventLoop& loop, broker::Broker& broker, const broker::RecordSigner& signer,
      const std::string& service_key, const Config& config, const Tracing& tracing)
      : identity(broker, loop, signer, kIdentity),
        events(broker, loop, signer, kEventManager),
        functions(broker, loop, signer, kFunctionManager),
        directory(loop, service_key),
        rpc(broker, loop, signer, {.client_id = "api-gateway", .max_in_flight = kMaxRpcInFlight}),
        services(rpc, kMaxRpcInFlight),
        prompt(broker.NewProducer(EventProducer(Duration::zero()))),
        bulk(broker.NewProducer(EventProducer(kBulkLinger))),
        publisher(loop, *prompt, *bulk, tracing.tracer),
        browser(loop, broker, {}),
        run_streams(loop, services, {}),
        source_uploads(loop, services),
        lag_streams(loop, services, events, {}),
        denials(loop, *bulk, signer),
        gateway(loop, directory, {identity, events, functions},
                {.access_log = config.Bool("access-log"),
                 .tracing = tracing,
                 .on_denied = [this](const Call& call,
                                     const std::string& route) { denials.Write(call, route); }}),
        endpoints(loop, directory, rpc,
                  {.own_tls = config.IsSet("endpoints-tls-certificate"), .tracing = tracing}),
        backend{loop,
                {identity, events, functions},
                services,
                publisher,
                browser,
                run_streams,
                source_uploads,
                lag_streams,
                directory,
                service_key,
                config.String("endpoints-tls-certificate")} {
    AddRoutes(gateway, backend, OpenApiDocument(),
              {std::string(BuildVersion()), std::string(BuildCommit())});
    identity.OnChanged([this](const auto& kind, const auto& key, const auto&, const auto& entity) {
      directory.OnChanged(kind, key, entity);
    });
    functions.OnChanged([this](const auto& kind, const auto& key, const auto&, const auto& entity) {
      endpoints.table().OnChanged(kind, key, entity);
    });
    identity.Start();
    events.Start();
    functions.Start();
    for (broker::Producer* producer : {prompt.get(), bulk.get()}) Prove(*producer, loop);
  }

  // Takes a producer through its handshakes with Kafka, half a second that the first event would
  // wait for else, by a record without a key where nobody looks at such.
  void Prove(broker::Producer& producer, Loop& loop) {
    auto again = [this, &producer, &loop] {
      loop.After(std::chrono::seconds(1), [this, &producer, &loop] { Prove(producer, loop); });
    };
    Status queued =
        producer.Produce({.topic = broker::kRepliesTopic}, [this, again](auto position) {
          if (!position.ok()) return again();
          ++proven;
        });
    if (!queued.ok()) again();
  }

  std::string NotReady() const {
    if (!identity.ready()) return "reading the state of identity";
    if (!events.ready()) return "reading the state of event-manager";
    if (!functions.ready()) return "reading the state of function-manager";
    if (!rpc.ready()) return "looking for the reply partition";
    if (proven < 2) return "waiting for Kafka to take a record";
    return {};
  }

  broker::StateTable identity;
  broker::StateTable events;
  broker::StateTable functions;
  Directory directory;
  broker::RpcClient rpc;
  ServiceClient services;
  std::unique_ptr<broker::Producer> prompt;
  std::unique_ptr<broker::Producer> bulk;
  int proven = 0;  // producers
  Publisher publisher;
  EventBrowser browser;
  RunStreams run_streams;
  SourceUploads source_uploads;
  LagStreams lag_streams;
  DenialLog denials;
  Gateway gateway;
  Endpoints endpoints;
  Backend backend;
};

// Runs `done` when nothing waits for Kafka any more, or at the deadline.
void Flush(EventLoop& loop, const Publisher& publisher, SteadyTime deadline,
           std::function<void()> done) {
  if (publisher.in_flight() == 0 || loop.Steady() >= deadline) return done();
  loop.After(std::chrono::milliseconds(10), [&loop, &publisher, deadline, done = std::move(done)] {
    Flush(loop, publisher, deadline, done);
  });
}

bool MayHaveSource(const http::Request& request) {
  return request.path.starts_with("/v1/function") &&
         (request.method == "POST" || request.method == "PUT");
}

// TLS for the endpoints, where it is set up.
Status ListenTls(http::Server& endpoints, const Config& config) {
  const std::string& certificate = config.String("endpoints-tls-certificate");
  const std::string& key = config.String("endpoints-tls-key");
  if (certificate.empty() && key.empty()) return OkStatus();
  if (certificate.empty() || key.empty()) {
    return {Code::kInvalidArgument,
            "give endpoints-tls-certificate and endpoints-tls-key, or none of them"};
  }
  auto port = endpoints.ListenTls(config.String("endpoints-tls-listen"), certificate, key);
  if (!port.ok()) return {port.code(), "endpoints-tls: " + port.message()};
  return OkStatus();
}

int Main(int argc, const char* const* argv) {
  Service service("api-gateway", "HTTP in: REST and CloudEvents over Kafka", Settings());
  int exit_code = 0;
  auto base = broker::StartOnKafka(service, "api-gateway", argc, argv, &exit_code);
  if (base == nullptr) return exit_code;
  EventLoop& loop = service.loop();
  const Config& config = service.config();
  broker::Broker& broker = *base->broker;
  broker::RecordSigner signer(base->service_key);

  std::unique_ptr<App> app;
  http::ServerOptions options{.may_be_large = MayHaveSource,
                              .max_large_body_bytes = kMaxFunctionBody};
  UiSite ui(UiFiles());
  http::Server server(loop, options, [&app, &ui](http::Request request, auto writer) {
    if (UiSite::Has(request.path)) return ui.Handle(request, *writer);
    if (app != nullptr) return app->gateway.Handle(std::move(request), std::move(writer));
    Call(std::move(request), std::move(writer))
        .Fail({Code::kUnavailable, "the gateway waits for Kafka: try again"});
  });
  auto port = server.Listen(config.String("listen"));
  if (!port.ok()) {
    service.Fail(port.message());
    return 1;
  }

  http::Server endpoints(loop, {.max_body_bytes = kMaxEndpointBody},
                         [&app](http::Request request, auto writer) {
                           if (app != nullptr && app->functions.ready() && app->identity.ready()) {
                             return app->endpoints.Handle(std::move(request), std::move(writer));
                           }
                           writer->Send(EndpointFault(503, "the gateway waits for Kafka"));
                         });
  auto endpoints_port = endpoints.Listen(config.String("endpoints-listen"));
  if (!endpoints_port.ok()) {
    service.Fail("endpoints-listen: " + endpoints_port.message());
    return 1;
  }

  if (Status secure = ListenTls(endpoints, config); !secure.ok()) {
    service.Fail(secure.message());
    return 1;
  }

  service.AddReadyCheck("kafka", [&app] {
    return app == nullptr ? std::string("waiting for Kafka") : app->NotReady();
  });
  service.AddStopStep("flush", [&](SteadyTime deadline, std::function<void()> done) {
    if (app == nullptr) return done();
    Flush(loop, app->publisher, deadline, std::move(done));
  });
  service.AddStopStep("drain", [&](SteadyTime deadline, std::function<void()> done) {
    if (app != nullptr) {  // streams would last until the deadline
      app->browser.Stop();
      app->run_streams.Stop();
      app->lag_streams.Stop();
    }
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - loop.Steady());
    server.Drain(std::max(left, std::chrono::milliseconds(0)), std::move(done));
  });

  service.AddStopStep("drain endpoints", [&](SteadyTime deadline, std::function<void()> done) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - loop.Steady());
    endpoints.Drain(std::max(left, std::chrono::milliseconds(0)), std::move(done));
  });

  auto replication_factor = static_cast<int16_t>(config.Int("replication-factor"));
  broker::EnsureTopics(broker, loop, NeededTopics(replication_factor), [&] {
    app = std::make_unique<App>(loop, broker, signer, base->service_key, config, service.tracing());
  });
  return service.Run();
}

}  // namespace
}  // namespace dispatch::gateway

int main(int argc, char** argv) { return dispatch::gateway::Main(argc, argv); }
