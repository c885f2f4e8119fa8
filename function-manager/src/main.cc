#include <memory>
#include <random>

#include "broker-adapters/audit_log.h"
#include "broker-adapters/entities/doctor.h"
#include "broker-adapters/entities/idempotency.h"
#include "broker-adapters/entities/outbox_store_pg.h"
#include "broker-adapters/outbox_relay.h"
#include "broker-adapters/rpc.h"
#include "broker-adapters/service/run_service.h"
#include "broker-adapters/state_table.h"
#include "broker-adapters/topics.h"
#include "common/crypto.h"
#include "common/key_ring.h"
#include "common/log.h"
#include "common/pg/migrations.h"
#include "common/runtime/service.h"
#include "function-manager/src/adapters/api_commands.h"
#include "function-manager/src/adapters/application_commands.h"
#include "function-manager/src/adapters/dead_letter_commands.h"
#include "function-manager/src/adapters/dead_letter_index.h"
#include "function-manager/src/adapters/delivery_queries.h"
#include "function-manager/src/adapters/function_commands.h"
#include "function-manager/src/adapters/function_files.h"
#include "function-manager/src/adapters/function_sender.h"
#include "function-manager/src/adapters/function_worker.h"
#include "function-manager/src/adapters/handshaker.h"
#include "function-manager/src/adapters/http_functions.h"
#include "function-manager/src/adapters/http_sender.h"
#include "function-manager/src/adapters/image_commands.h"
#include "function-manager/src/adapters/pg_attempt_log.h"
#include "function-manager/src/adapters/pg_invoke_store.h"
#include "function-manager/src/adapters/ready_functions.h"
#include "function-manager/src/adapters/redrive_commands.h"
#include "function-manager/src/adapters/run_commands.h"
#include "function-manager/src/adapters/secret_commands.h"
#include "function-manager/src/adapters/source_uploads.h"
#include "function-manager/src/adapters/state_catalog.h"
#include "function-manager/src/domain/invoker.h"
#include "function-manager/src/runtime/container_runner.h"
#include "function-manager/src/runtime/process_runner.h"

namespace dispatch {
namespace {

std::string DefaultPorts() {
  std::string text;
  for (uint16_t port : NetworkOptions().ports) {
    text += (text.empty() ? "" : ",") + std::to_string(port);
  }
  return text;
}

std::vector<Config::Setting> Settings() {
  auto settings = CommonSettings(true, "127.0.0.1:9092");
  settings.push_back({.name = "invocations-partitions",
                      .type = Config::Type::kInt,
                      .default_value = "16",
                      .help = "partitions of dispatch.invocations; fixed when it is first made",
                      .min = 1,
                      .max = 1024});
  settings.push_back({.name = "allow-private-sinks",
                      .type = Config::Type::kBool,
                      .default_value = "false",
                      .help = "deliver to loopback and private addresses too"});
  settings.push_back({.name = "webhook-origin",
                      .default_value = "dispatch.local",
                      .help = "the name that endpoints are asked to allow deliveries from "
                              "(WebHook-Request-Origin)"});
  settings.push_back({.name = "secrets-key-file",
                      .help = "key that the values of secrets are encrypted under (64 hexadecimal "
                              "digits, mode 0600), and on further lines those of before; empty: no "
                              "secrets are taken",
                      .unit = "file"});
  settings.push_back({.name = "functions-dir",
                      .default_value = "/var/lib/dispatch/functions",
                      .help = "cache of the files that functions run from, of this instance only; "
                              "what is missing is made again",
                      .unit = "directory"});
  settings.push_back({.name = "runtimes-dir",
                      .default_value = "/usr/share/dispatch/runtimes",
                      .help = "the language workers that functions run in",
                      .unit = "directory"});
  settings.push_back({.name = "functions-idle",
                      .type = Config::Type::kDuration,
                      .default_value = "5m",
                      .help = "how long what runs a function is kept when no run comes; the next "
                              "run starts it anew",
                      .min = 100'000});
  settings.push_back({.name = "functions-engine-socket",
                      .help = "socket of a container engine with Docker's API, for images that no "
                              "language worker runs (/var/run/docker.sock); empty: there is none",
                      .unit = "file"});
  settings.push_back({.name = "registry-auth-file",
                      .help = "credentials of the registries that the engine pulls images from, as "
                              "`docker login` writes them (config.json), mode 0600; empty: none",
                      .unit = "file"});
  settings.push_back({.name = "functions-network-allow",
                      .help = "IPv4 addresses and prefixes, by commas, that builds of images and "
                              "functions with a network reach besides public ones",
                      .unit = "addresses"});
  settings.push_back({.name = "functions-network-ports",
                      .default_value = DefaultPorts(),
                      .help = "TCP ports that they reach",
                      .unit = "ports"});
  settings.push_back({.name = "max-in-flight",
                      .type = Config::Type::kInt,
                      .default_value = "2048",
                      .help = "attempts under way in this instance at most",
                      .min = 1,
                      .max = 100'000});
  settings.push_back({.name = "attempts-retention",
                      .type = Config::Type::kDuration,
                      .default_value = "72h",
                      .help =
                          "how long failed attempts, and all of subscriptions with history all, "
                          "are kept for \"where is my event\"",
                      .min = 60'000'000});
  settings.push_back({.name = "attempts-window",
                      .type = Config::Type::kDuration,
                      .default_value = "24h",
                      .help = "how long other successful attempts are kept",
                      .min = 60'000'000});
  settings.push_back({.name = "attempts-window-bytes",
                      .type = Config::Type::kInt,
                      .default_value = "1000000000",
                      .help = "how much room they have in PostgreSQL; the oldest go first",
                      .unit = "bytes",
                      .min = 1'000'000,
                      .max = int64_t{1} << 50});
  settings.push_back({.name = "runs-retention",
                      .type = Config::Type::kDuration,
                      .default_value = "72h",
                      .help = "how long runs of functions are kept after their end",
                      .min = 60'000'000});
  return settings;
}

constexpr std::chrono::milliseconds kReplyTimeout{10'000};

/// The composition root: who is given what, and in which order they start.
class FunctionManager {
 public:
  FunctionManager(Service& service, std::unique_ptr<broker::Broker> broker, std::string key)
      : service_(service),
        broker_(std::move(broker)),
        signer_(std::move(key)),
        pool_(PoolOptionsOf(service.config()), service.loop()),
        store_(pool_),
        attempts_(service.loop(), pool_, AttemptOptions(service.config())),
        outbox_(pool_, "function-manager.relay"),
        relay_(*broker_, service.loop(), signer_, outbox_,
               {.service = "function-manager", .owner = Uuid::Random().ToString()}),
        subscriptions_(*broker_, service.loop(), signer_, "event-manager"),
        functions_(*broker_, service.loop(), signer_, "function-manager"),
        catalog_(subscriptions_, functions_,
                 [this](const Uuid& id) {
                   handshaker_.Changed(id, catalog_.Find(id, 0, Duration::zero()).subscription);
                   invoker_.SubscriptionChanged(id);
                 }),
        vault_(pool_, functions_, SecretsKeys(service)),
        replies_(broker_->NewProducer({.delivery_timeout = kReplyTimeout, .shared = true})),
        sender_(service.loop(), ClientOptionsOf(service.config()), vault_, *replies_),
        processes_(service.loop(), RunnerOptions(service)),
        containers_(service.loop(), ContainerOptions(service), processes_),
        runner_(service.loop(), ClientOptionsOf(service.config()), containers_),
        files_(service.loop(), pool_, FileOptions(service)),
        process_functions_(service.loop(), functions_, files_, containers_),
        ready_functions_(service.loop(), functions_, process_functions_),
        execution_(
            runner_,
            [this](const std::string& org, const std::string& name, auto done) {
              vault_.Get(org, name, std::move(done));
            },
            service.tracing().tracer),
        run_writer_(pool_),
        function_sender_(service.loop(), run_writer_, ready_functions_, execution_, sender_),
        calls_(*broker_, service.loop(), signer_, {.client_id = "function-manager"}),
        handshaker_(
            service.loop(), ClientOptionsOf(service.config()),
            {.origin = service.config().String("webhook-origin")},
            [this](const schema::Subscription& s, const Result<Permission>& p) { Permit(s, p); }),
        invoker_(
            *broker_, service.loop(), store_, catalog_, function_sender_, attempts_,
            [this] { return std::uniform_real_distribution<double>(0, 1)(random_); },
            [this](const schema::Subscription& s, const std::string& why) { Disable(s, why); },
            InvokerOptions(service)),
        dead_letters_(*broker_, service.loop(), pool_),
        rpc_(*broker_, service.loop(), signer_, "function-manager"),
        audit_(*broker_, signer_, "function-manager"),
        worker_(service.loop(), pool_, files_, containers_, containers_,
                [this] { relay_.Nudge(); }),
        images_(service.loop(), pool_, [this] { FunctionsChanged(); }),
        commands_(service.loop(), pool_, subscriptions_, [this] { FunctionsChanged(); }),
        uploads_(service.loop(), pool_),
        secrets_(service.loop(), pool_, vault_, subscriptions_,
                 [this] {
                   vault_.Forget();
                   relay_.Nudge();
                 }),
        applications_(service.loop(), pool_, [this] { relay_.Nudge(); }),
        apis_(service.loop(), pool_, [this] { relay_.Nudge(); }),
        runs_(service.loop(), pool_, ready_functions_, execution_, run_writer_,
              RunOptions(service.config())),
        letters_(service.loop(), pool_, subscriptions_),
        redrives_(service.loop(), pool_, subscriptions_, [this] { invoker_.NudgeRedrives(); }),
        queries_(pool_, subscriptions_),
        doctor_(service.loop(), pool_, "function-manager", Migrations()) {
    service_.AddReadyCheck(
        "database", [this] { return migrated_ ? "" : "not migrated yet: waiting for PostgreSQL"; });
    pg::MigrateWhenUp(service.loop(), pool_, Migrations(), [this](const Status& status) {
      if (!status.ok()) return service_.Fail(status.message());
      migrated_ = true;
      Serve();
    });
  }

 private:
  // The database first, then topics, relay and state; the invoker last, which must know every
  // subscription before it delivers.
  void Serve() {
    attempts_.Start();
    service_.AddReadyCheck("state", [this] {
      return subscriptions_.ready() && functions_.ready()
                 ? ""
                 : "the state topics are not read to their ends yet";
    });
    service_.AddReadyCheck("invoking", [this] {
      return invoker_.ready() ? "" : "the consumer group has not assigned partitions yet";
    });
    service_.AddReadyCheck("rpc",
                           [this] { return rpc_.ready() ? "" : "not serving requests yet"; });
    rpc_.OnChange([this](const schema::Request& request, const Status& status) {
      audit_.WriteChange(request, broker::AuditedResource(request), status, service_.loop().Now());
    });
    rpc_.TraceBy(service_.tracing().tracer);
    images_.Register(rpc_);
    commands_.Register(rpc_);
    uploads_.Register(rpc_);
    secrets_.Register(rpc_);
    applications_.Register(rpc_);
    apis_.Register(rpc_);
    runs_.Register(rpc_);
    letters_.Register(rpc_);
    redrives_.Register(rpc_);
    queries_.Register(rpc_);
    doctor_.AddCheck([this](auto done) {
      done({JudgeFreeSpace("disk.functions", "what functions run from",
                           service_.config().String("functions-dir"))});
    });
    doctor_.Register(rpc_);
    const Config& config = service_.config();
    auto specs = broker::InternalTopics(static_cast<int16_t>(config.Int("replication-factor")),
                                        static_cast<int32_t>(config.Int("invocations-partitions")));
    broker::EnsureTopics(*broker_, service_.loop(), specs, [this] {
      relay_.Start();
      KeepForgettingRequests(service_.loop(), pool_);
      uploads_.KeepForgetting();
      secrets_.PublishSealingKey();
      secrets_.KeepRewrapping();
      subscriptions_.Start();
      functions_.Start();
      dead_letters_.Start();
      redrives_.Start();
      worker_.Start();
      process_functions_.Start();
      rpc_.Start();
      AwaitState();
    });
    // Run in the reverse order: the last is stopped first. What the others tell the database at
    // their end, such as that the relay's lease is free, must not end with the pool.
    service_.AddStopStep("audit", [this](SteadyTime, std::function<void()> done) {
      audit_.Flush(service_.loop(), std::move(done));
    });
    service_.AddStopStep("database", [this](SteadyTime, std::function<void()> done) {
      pool_.Run([](pg::Transaction&) { return OkStatus(); },
                [done = std::move(done)](const Status&) { done(); });
    });
    service_.AddStopStep("attempts", [this](SteadyTime, std::function<void()> done) {
      attempts_.Flush(std::move(done));
    });
    service_.AddStopStep("runs of deliveries", [this](SteadyTime, std::function<void()> done) {
      run_writer_.Flush(std::move(done));
    });
    service_.AddStopStep("containers", [this](SteadyTime, std::function<void()> done) {
      containers_.Close(std::move(done));
    });
    service_.AddStopStep(
        "runs", [this](SteadyTime, std::function<void()> done) { runs_.Stop(std::move(done)); });
    service_.AddStopStep(
        "relay", [this](SteadyTime, std::function<void()> done) { relay_.Stop(std::move(done)); });
    service_.AddStopStep("dead letters", [this](SteadyTime, std::function<void()> done) {
      dead_letters_.Stop(std::move(done));
    });
    service_.AddStopStep(
        "rpc", [this](SteadyTime, std::function<void()> done) { rpc_.Stop(std::move(done)); });
    service_.AddStopStep("functions", [this](SteadyTime, std::function<void()> done) {
      worker_.Stop(std::move(done));
    });
    service_.AddStopStep("invoking", [this](SteadyTime, std::function<void()> done) {
      invoker_.Stop(std::move(done));
    });
  }

  static pg::PoolOptions PoolOptionsOf(const Config& config) {
    pg::PoolOptions options;
    options.url = config.String("pg-url");
    options.connections = static_cast<int>(config.Int("pg-connections"));
    options.application_name = "dispatch-function-manager";
    return options;
  }
  static std::vector<std::string> SecretsKeys(Service& service) {
    std::string file = service.config().String("secrets-key-file");
    if (file.empty()) return {};
    auto keys = crypto::ReadKeyRing(file);
    if (keys.ok()) return std::move(*keys);
    service.Fail("secrets-key-file: " + keys.message());
    return {};
  }
  static http::ClientOptions ClientOptionsOf(const Config& config) {
    http::ClientOptions options;
    options.allow_private_addresses = config.Bool("allow-private-sinks");
    return options;
  }
  static NetworkOptions NetworkOptionsOf(Service& service) {
    NetworkOptions network;
    auto allow = ParseNetworkAllow(service.config().String("functions-network-allow"));
    auto ports = ParseNetworkPorts(service.config().String("functions-network-ports"));
    if (!allow.ok()) service.Fail("functions-network-allow: " + allow.message());
    if (!ports.ok()) service.Fail("functions-network-ports: " + ports.message());
    if (allow.ok()) network.allow = std::move(*allow);
    if (ports.ok()) network.ports = std::move(*ports);
    return network;
  }
  static ProcessRunnerOptions RunnerOptions(Service& service) {
    return {.runtimes_dir = service.config().String("runtimes-dir"),
            .network = NetworkOptionsOf(service),
            .idle = std::chrono::duration_cast<std::chrono::milliseconds>(
                service.config().GetDuration("functions-idle"))};
  }
  static ContainerRunnerOptions ContainerOptions(Service& service) {
    const Config& config = service.config();
    ContainerRunnerOptions options{.socket = config.String("functions-engine-socket"),
                                   .registry_file = config.String("registry-auth-file"),
                                   .owner = {},
                                   .idle = std::chrono::duration_cast<std::chrono::milliseconds>(
                                       config.GetDuration("functions-idle"))};
    if (options.socket.empty()) return options;
    auto owner = ContainerOwner(config.String("functions-dir"));
    if (!owner.ok()) service.Fail("functions-dir: " + owner.message());
    if (owner.ok()) options.owner = std::move(*owner);
    return options;
  }
  static FunctionFiles::Options FileOptions(Service& service) {
    return {.directory = service.config().String("functions-dir"),
            .tools = {.runtimes_dir = service.config().String("runtimes-dir"),
                      .network = NetworkOptionsOf(service)}};
  }
  static PgAttemptLog::Options AttemptOptions(const Config& config) {
    PgAttemptLog::Options options;
    auto millis = [&](const char* setting) {
      return std::chrono::duration_cast<std::chrono::milliseconds>(config.GetDuration(setting));
    };
    options.slices.kept = millis("attempts-retention");
    options.slices.window = millis("attempts-window");
    options.slices.window_bytes = config.Int("attempts-window-bytes");
    return options;
  }
  static RunCommands::Options RunOptions(const Config& config) {
    RunCommands::Options options;
    options.retention =
        std::chrono::duration_cast<std::chrono::milliseconds>(config.GetDuration("runs-retention"));
    return options;
  }
  static Invoker::Options InvokerOptions(const Service& service) {
    const Config& config = service.config();
    Invoker::Options options;
    options.dispatcher.tracer = service.tracing().tracer;
    options.dispatcher.scheduler.max_in_flight = static_cast<int32_t>(config.Int("max-in-flight"));
    options.partitions = static_cast<int32_t>(config.Int("invocations-partitions"));
    return options;
  }

  void AwaitState() {
    if (subscriptions_.ready() && functions_.ready()) {
      runs_.Start();
      return invoker_.Start();
    }
    service_.loop().After(std::chrono::milliseconds(20), [this] { AwaitState(); });
  }

  void FunctionsChanged() {
    relay_.Nudge();
    worker_.Nudge();
  }

  // An endpoint that is gone: event-manager owns the subscription. A failed call is made again by
  // the next event that finds the endpoint gone.
  void Disable(const schema::Subscription& subscription, const std::string& why) {
    Tell(subscription, "subscription.disable",
         json::object{{"name", subscription.name}, {"reason", why}});
  }

  void Tell(const schema::Subscription& subscription, const std::string& method,
            const json::object& body) {
    schema::Request request;
    request.method = method;
    request.org = subscription.org;
    request.principal = {"service", "function-manager", subscription.org};
    request.body = json::Serialize(body);
    calls_.Call("event-manager", std::move(request), std::chrono::seconds(5),
                [name = subscription.Key(), method](Result<broker::RpcReply> reply) {
                  if (reply.ok()) return;
                  log::Warning("not told method={} subscription={} error=\"{}\"", method, name,
                               reply.message());
                });
  }

  // What an endpoint said in the handshake; of a failed call it is asked again.
  void Permit(const schema::Subscription& subscription, const Result<Permission>& permission) {
    json::object body{
        {"name", subscription.name}, {"url", subscription.sink->url}, {"allowed", permission.ok()}};
    if (!permission.ok()) body["reason"] = permission.message();
    if (permission.ok() && permission->per_minute) body["rate"] = *permission->per_minute;
    Tell(subscription, "subscription.permit", std::move(body));
  }

  Service& service_;
  bool migrated_ = false;
  std::unique_ptr<broker::Broker> broker_;
  broker::RecordSigner signer_;
  pg::Pool pool_;
  PgInvokeStore store_;
  PgAttemptLog attempts_;
  broker::PgOutboxStore outbox_;
  broker::OutboxRelay relay_;
  broker::StateTable subscriptions_;
  broker::StateTable functions_;
  StateCatalog catalog_;
  SecretVault vault_;
  std::unique_ptr<broker::Producer> replies_;
  HttpSender sender_;
  ProcessRunner processes_;
  ContainerRunner containers_;
  HttpFunctionRunner runner_;
  FunctionFiles files_;
  ReadyFunctions process_functions_;
  HttpFunctionCatalog ready_functions_;
  RunExecution execution_;
  RunWriter run_writer_;
  FunctionSender function_sender_;
  broker::RpcClient calls_;
  Handshaker handshaker_;
  std::mt19937_64 random_{crypto::RandomU64()};
  Invoker invoker_;
  DeadLetterIndex dead_letters_;
  broker::RpcServer rpc_;
  broker::AuditLog audit_;
  FunctionWorker worker_;
  ImageCommands images_;
  FunctionCommands commands_;
  SourceUploads uploads_;
  SecretCommands secrets_;
  ApplicationCommands applications_;
  ApiCommands apis_;
  RunCommands runs_;
  DeadLetterCommands letters_;
  RedriveCommands redrives_;
  DeliveryQueries queries_;
  Doctor doctor_;
};

int Main(int argc, char** argv) {
  Service service("function-manager",
                  "Delivers matched events to functions and webhooks, and retries.", Settings());
  return broker::RunService<FunctionManager>(service, "function-manager", argc, argv);
}

}  // namespace
}  // namespace dispatch

int main(int argc, char** argv) { return dispatch::Main(argc, argv); }
