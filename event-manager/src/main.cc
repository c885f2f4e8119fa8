#include <memory>

#include "broker-adapters/audit_log.h"
#include "broker-adapters/entities/doctor.h"
#include "broker-adapters/entities/idempotency.h"
#include "broker-adapters/entities/outbox_store_pg.h"
#include "broker-adapters/outbox_relay.h"
#include "broker-adapters/rpc.h"
#include "broker-adapters/service/run_service.h"
#include "broker-adapters/state_table.h"
#include "broker-adapters/topics.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/pg/migrations.h"
#include "common/runtime/service.h"
#include "event-manager/src/adapters/cluster_doctor.h"
#include "event-manager/src/adapters/drivers/driver_commands.h"
#include "event-manager/src/adapters/drivers/driver_factory.h"
#include "event-manager/src/adapters/drivers/driver_hosting.h"
#include "event-manager/src/adapters/drivers/secret_client.h"
#include "event-manager/src/adapters/dry_runs.h"
#include "event-manager/src/adapters/group_report.h"
#include "event-manager/src/adapters/lag_archive.h"
#include "event-manager/src/adapters/lag_history_report.h"
#include "event-manager/src/adapters/lag_monitor.h"
#include "event-manager/src/adapters/lag_report.h"
#include "event-manager/src/adapters/lag_survey.h"
#include "event-manager/src/adapters/loss_notes.h"
#include "event-manager/src/adapters/pg_match_store.h"
#include "event-manager/src/adapters/progress_table.h"
#include "event-manager/src/adapters/replays.h"
#include "event-manager/src/adapters/state_feed.h"
#include "event-manager/src/adapters/subscription_commands.h"
#include "event-manager/src/adapters/topic_commands.h"
#include "event-manager/src/domain/match_engine.h"

namespace dispatch {
namespace {

// Who takes a driver over waits for so long.
constexpr Duration kDriverLease = std::chrono::seconds(5);

std::vector<Config::Setting> Settings() {
  auto settings = CommonSettings(true, "127.0.0.1:9091");
  settings.push_back({.name = "invocations-partitions",
                      .type = Config::Type::kInt,
                      .default_value = "16",
                      .help = "partitions of dispatch.invocations; fixed when it is first made",
                      .min = 1,
                      .max = 1024});
  settings.push_back({.name = "max-pending",
                      .type = Config::Type::kInt,
                      .default_value = "10000",
                      .help =
                          "deliveries of a subscription under way, or 32 MB of them; more wait in "
                          "their topic; 0: no bound, nor those of organizations and in all",
                      .min = 0,
                      .max = 1'000'000});
  settings.push_back({.name = "max-pending-per-organization",
                      .type = Config::Type::kInt,
                      .default_value = "1000000",
                      .help = "deliveries under way of all subscriptions of an organization",
                      .min = 1,
                      .max = 1'000'000'000});
  settings.push_back({.name = "max-pending-total",
                      .type = Config::Type::kInt,
                      .default_value = "2000000",
                      .help = "deliveries under way of all subscriptions",
                      .min = 1,
                      .max = 1'000'000'000});
  settings.push_back({.name = "max-scheduled",
                      .type = Config::Type::kInt,
                      .default_value = "100000",
                      .help =
                          "deliveries of a subscription that wait for their time (deliverat), or 1 "
                          "GB of them; more count as pending, and then wait in their topic",
                      .min = 0,
                      .max = 1'000'000});
  settings.push_back({.name = "max-scheduled-per-organization",
                      .type = Config::Type::kInt,
                      .default_value = "500000",
                      .help = "deliveries that wait for their time, of all its subscriptions",
                      .min = 0,
                      .max = 1'000'000'000});
  settings.push_back({.name = "catch-up-lateness",
                      .type = Config::Type::kDuration,
                      .default_value = "5ms",
                      .help = "how much later than at best live events may come because of "
                              "subscriptions that catch up, which slow down for it; 0: no bound",
                      .min = 0,
                      .max = 60'000'000});
  settings.push_back({.name = "lag-interval",
                      .type = Config::Type::kDuration,
                      .default_value = "5s",
                      .help = "between two looks at all subscriptions, for trends and metrics",
                      .min = 100'000,
                      .max = 300'000'000});
  settings.push_back({.name = "max-subscription-metrics",
                      .type = Config::Type::kInt,
                      .default_value = "1000",
                      .help = "subscriptions with metrics of their own at most",
                      .min = 0,
                      .max = 100'000});
  settings.push_back({.name = "drivers-dir",
                      .help = "executables that driver types may name; empty: none are run",
                      .unit = "directory"});
  settings.push_back({.name = "drivers-engine-socket",
                      .help = "socket of a container engine with Docker's API, for driver types "
                              "that name an image (/var/run/docker.sock); empty: there is none",
                      .unit = "file"});
  settings.push_back({.name = "registry-auth-file",
                      .help = "credentials of the registries that the engine pulls images from, as "
                              "`docker login` writes them (config.json), mode 0600; empty: none",
                      .unit = "file"});
  settings.push_back({.name = "allow-private-sources",
                      .type = Config::Type::kBool,
                      .default_value = "false",
                      .help = "let drivers connect to loopback and private addresses too"});
  return settings;
}

/// The composition root: who is given what, and in which order they start.
class EventManager {
 public:
  EventManager(Service& service, std::unique_ptr<broker::Broker> broker, const std::string& key)
      : service_(service),
        broker_(std::move(broker)),
        signer_(key),
        pool_(PoolOptionsOf(service.config()), service.loop()),
        store_(pool_),
        outbox_(pool_, "event-manager.relay"),
        relay_(*broker_, service.loop(), signer_, outbox_,
               {.service = "event-manager", .owner = Uuid::Random().ToString()}),
        state_(*broker_, service.loop(), signer_, "event-manager"),
        organizations_(*broker_, service.loop(), signer_, "identity"),
        engine_(*broker_, service.loop(), store_,
                EngineOptions(service.config(), service.tracing().tracer)),
        progress_(*broker_, service.loop()),
        rpc_(*broker_, service.loop(), signer_, "event-manager"),
        rpc_client_(*broker_, service.loop(), signer_, {.client_id = "event-manager"}),
        functions_(*broker_, service.loop(), signer_, "function-manager"),
        secrets_(rpc_client_),
        audit_(*broker_, signer_, "event-manager"),
        topics_(*broker_, service.loop(), pool_, Replication(service.config()),
                [this] { relay_.Nudge(); }),
        subscriptions_(*broker_, service.loop(), pool_, [this] { relay_.Nudge(); }),
        dry_runs_(*broker_, service.loop(), state_, {}),
        drivers_(service.loop(), pool_,
                 {.drivers_dir = service.config().String("drivers-dir"),
                  .engine = !service.config().String("drivers-engine-socket").empty(),
                  .service_key = key},
                 [this] {
                   relay_.Nudge();
                   hosting_.Nudge();
                 }),
        driver_store_(pool_, Uuid::Random().ToString(), kDriverLease),
        hosting_(*broker_, service.loop(), driver_store_,
                 MakeDrivers(service.loop(), *broker_, secrets_, DriverLimits(service.config())),
                 [this] { relay_.Nudge(); }),
        losses_(service.loop(), pool_, [this] { relay_.Nudge(); }),
        survey_(*broker_, service.loop(), pool_, state_, progress_,
                EngineOptions(service.config(), nullptr).allowance),
        lag_(service.loop(), state_, progress_, survey_),
        groups_(*broker_, service.loop()),
        replays_(
            *broker_, service.loop(), pool_, state_, survey_, [this] { return relay_.leading(); },
            [this] { relay_.Nudge(); }, {}),
        monitor_(
            service.loop(), state_, survey_, [this] { return relay_.leading(); },
            MonitorOptions(service.config())),
        archive_(service.loop(), pool_, [this] { return relay_.leading(); }),
        history_(state_, archive_),
        doctor_(service.loop(), pool_, "event-manager", Migrations()),
        cluster_(*broker_, state_, survey_, Topics(service.config())) {
    service_.AddReadyCheck(
        "database", [this] { return migrated_ ? "" : "not migrated yet: waiting for PostgreSQL"; });
    pg::MigrateWhenUp(service.loop(), pool_, Migrations(), [this](const Status& status) {
      if (!status.ok()) return service_.Fail(status.message());
      migrated_ = true;
      Serve();
    });
  }

 private:
  // The database first, then topics, relay and state; the engine last, which must know every
  // subscription before it matches.
  void Serve() {
    service_.AddReadyCheck("state", [this] {
      return state_.ready() ? "" : "the state topic is not read to its end yet";
    });
    service_.AddReadyCheck("progress", [this] {
      return progress_.ready() ? "" : "the progress topic is not read to its end yet";
    });
    service_.AddReadyCheck("matching", [this] {
      return engine_.ready() ? "" : "the consumer group has not assigned partitions yet";
    });
    service_.AddReadyCheck("rpc",
                           [this] { return rpc_.ready() ? "" : "not serving requests yet"; });
    rpc_.OnChange([this](const schema::Request& request, const Status& status) {
      audit_.WriteChange(request, broker::AuditedResource(request), status, service_.loop().Now());
    });
    rpc_.TraceBy(service_.tracing().tracer);
    topics_.Register(rpc_);
    subscriptions_.Register(rpc_);
    dry_runs_.Register(rpc_);
    lag_.Register(rpc_);
    history_.Register(rpc_);
    monitor_.OnLook([this](const LagBoard& board) { archive_.Take(board); });
    doctor_.AddCheck([this](auto done) { cluster_.LookAtKafka(std::move(done)); });
    doctor_.AddCheck([this](auto done) { cluster_.LookAtSubscriptions(std::move(done)); });
    doctor_.Register(rpc_);
    groups_.Register(rpc_);
    replays_.Register(rpc_);
    drivers_.Register(rpc_);
    functions_.OnChanged([this](const std::string& kind, const std::string& key, const auto& before,
                                const auto& entity) {
      // Not of those that are read at the start, which nobody used yet.
      if (kind != schema::kSecretKind || before == nullptr || entity == nullptr) return;
      hosting_.SecretChanged(entity->org, key.substr(key.find('/') + 1));
    });
    FeedEngine(state_, engine_);
    engine_.OnLost([this](const schema::Subscription& subscription, const PartitionId& partition,
                          int64_t lost) { losses_.Note(subscription, partition, lost); });
    progress_.OnChanged([this](const Uuid& subscription, const ProgressTable::Sum& sum) {
      engine_.SetSettled(subscription, sum.counters.settled(), sum.scheduled,
                         progress_.CircuitOf(subscription));
    });
    FollowOrganizations(
        organizations_, [this](const std::string& org) { topics_.EnsureDefault(org); },
        [this](const std::string& org) { topics_.RemoveOrganization(org); });
    broker::EnsureTopics(*broker_, service_.loop(), Topics(service_.config()), [this] {
      relay_.Start();
      KeepForgettingRequests(service_.loop(), pool_);
      state_.Start();
      organizations_.Start();
      progress_.Start();
      monitor_.Start();
      replays_.Start();
      functions_.Start();
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
    service_.AddStopStep("history", [this](SteadyTime, std::function<void()> done) {
      archive_.Flush(std::move(done));
    });
    service_.AddStopStep(
        "rpc", [this](SteadyTime, std::function<void()> done) { rpc_.Stop(std::move(done)); });
    service_.AddStopStep(
        "relay", [this](SteadyTime, std::function<void()> done) { relay_.Stop(std::move(done)); });
    service_.AddStopStep("drivers", [this](SteadyTime, std::function<void()> done) {
      hosting_.Stop(std::move(done));
    });
    service_.AddStopStep("matching", [this](SteadyTime, std::function<void()> done) {
      engine_.Stop(std::move(done));
    });
  }

  static pg::PoolOptions PoolOptionsOf(const Config& config) {
    pg::PoolOptions options;
    options.url = config.String("pg-url");
    options.connections = static_cast<int>(config.Int("pg-connections"));
    options.application_name = "dispatch-event-manager";
    return options;
  }
  static DriverSettings DriverLimits(const Config& config) {
    DriverSettings settings;
    settings.drivers_dir = config.String("drivers-dir");
    settings.engine_socket = config.String("drivers-engine-socket");
    settings.registry_file = config.String("registry-auth-file");
    settings.allow_private = config.Bool("allow-private-sources");
    return settings;
  }
  static MatchEngine::Options EngineOptions(const Config& config, const Tracer* tracer) {
    MatchEngine::Options options;
    options.tracer = tracer;
    options.invocations_partitions = static_cast<int32_t>(config.Int("invocations-partitions"));
    options.allowance.deliveries = config.Int("max-pending");
    options.allowance.organization = config.Int("max-pending-per-organization");
    options.allowance.total = config.Int("max-pending-total");
    options.allowance.scheduled = config.Int("max-scheduled");
    options.allowance.scheduled_organization = config.Int("max-scheduled-per-organization");
    options.catch_up.lateness = std::chrono::duration_cast<std::chrono::milliseconds>(
        config.GetDuration("catch-up-lateness"));
    return options;
  }
  static LagMonitor::Options MonitorOptions(const Config& config) {
    LagMonitor::Options options;
    options.interval = config.GetDuration("lag-interval");
    options.max_subscriptions = static_cast<size_t>(config.Int("max-subscription-metrics"));
    return options;
  }
  static std::vector<broker::TopicSpec> Topics(const Config& config) {
    return broker::InternalTopics(Replication(config),
                                  static_cast<int32_t>(config.Int("invocations-partitions")));
  }
  static int16_t Replication(const Config& config) {
    return static_cast<int16_t>(config.Int("replication-factor"));
  }

  void AwaitState() {
    if (state_.ready() && progress_.ready()) {
      hosting_.Start();
      return engine_.Start();
    }
    service_.loop().After(std::chrono::milliseconds(20), [this] { AwaitState(); });
  }

  Service& service_;
  bool migrated_ = false;
  std::unique_ptr<broker::Broker> broker_;
  broker::RecordSigner signer_;
  pg::Pool pool_;
  PgMatchStore store_;
  broker::PgOutboxStore outbox_;
  broker::OutboxRelay relay_;
  broker::StateTable state_;
  broker::StateTable organizations_;
  MatchEngine engine_;
  ProgressTable progress_;
  broker::RpcServer rpc_;
  broker::RpcClient rpc_client_;
  broker::StateTable functions_;
  SecretClient secrets_;
  broker::AuditLog audit_;
  TopicCommands topics_;
  SubscriptionCommands subscriptions_;
  DryRuns dry_runs_;
  DriverCommands drivers_;
  DriverStore driver_store_;
  DriverHosting hosting_;
  LossNotes losses_;
  LagSurvey survey_;
  LagReport lag_;
  GroupReport groups_;
  Replays replays_;
  LagMonitor monitor_;
  LagArchive archive_;
  LagHistoryReport history_;
  Doctor doctor_;
  ClusterDoctor cluster_;
};

int Main(int argc, char** argv) {
  Service service("event-manager",
                  "Topics and subscriptions, and the matching of events to subscriptions.",
                  Settings());
  return broker::RunService<EventManager>(service, "event-manager", argc, argv);
}

}  // namespace
}  // namespace dispatch

int main(int argc, char** argv) { return dispatch::Main(argc, argv); }
