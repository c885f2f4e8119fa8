// The composition root of the service `identity`.
#include <unistd.h>

#include <memory>

#include "broker-adapters/audit_log.h"
#include "broker-adapters/entities/doctor.h"
#include "broker-adapters/entities/idempotency.h"
#include "broker-adapters/mac.h"
#include "broker-adapters/outbox_relay.h"
#include "broker-adapters/rpc.h"
#include "broker-adapters/service/run_service.h"
#include "broker-adapters/topics.h"
#include "common/log.h"
#include "common/pg/migrations.h"
#include "common/runtime/service.h"
#include "identity/src/adapters/bootstrap.h"
#include "identity/src/adapters/commands.h"
#include "identity/src/adapters/relay_watch.h"

namespace dispatch::identity {

namespace {

constexpr char kService[] = "identity";
constexpr Duration kRetry = std::chrono::seconds(1);

std::vector<Config::Setting> Settings() {
  auto settings = CommonSettings(true, "127.0.0.1:9094");
  settings.push_back({.name = "bootstrap-organization",
                      .default_value = "default",
                      .help = "the organization to make when there is none yet",
                      .unit = "name"});
  settings.push_back({.name = "bootstrap-key-file",
                      .help = "where the first API key is written (mode 0600); when the file holds "
                              "a key, that one becomes the first",
                      .unit = "file"});
  return settings;
}

pg::PoolOptions PoolOptionsOf(const Config& config) {
  pg::PoolOptions options;
  options.url = config.String("pg-url");
  options.connections = static_cast<int>(config.Int("pg-connections"));
  options.application_name = "dispatch-identity";
  return options;
}

// dispatch.invocations is left to the services that are told how many partitions it has.
std::vector<broker::TopicSpec> Topics(const Config& config) {
  auto specs =
      broker::InternalTopics(static_cast<int16_t>(config.Int("replication-factor")), /*any*/ 1);
  std::erase_if(specs, [](const auto& spec) { return spec.name == broker::kInvocationsTopic; });
  return specs;
}

/// What runs once the configuration is good: database, then topics, then requests and the relay.
class Identity {
 public:
  Identity(Service& service, std::unique_ptr<broker::Broker> broker, std::string service_key)
      : service_(service),
        loop_(service.loop()),
        broker_(std::move(broker)),
        service_key_(service_key),
        signer_(std::move(service_key)),
        pool_(PoolOptionsOf(service.config()), loop_),
        outbox_(pool_, loop_, "outbox-relay"),
        audit_(*broker_, signer_, "identity"),
        rpc_(*broker_, loop_, signer_, kService),
        relay_(*broker_, loop_, signer_, outbox_,
               {.service = kService, .owner = Uuid::V7(loop_.Now()).ToString()}),
        commands_(loop_, pool_, audit_, service_key_, [this] { relay_.Nudge(); }),
        doctor_(loop_, pool_, kService, Migrations()) {
    rpc_.TraceBy(service_.tracing().tracer);
    commands_.Register(rpc_);
    doctor_.Register(rpc_);
    AddReadyChecks();
    AddStopSteps();
    PrepareDatabase();
  }

 private:
  void AddReadyChecks() {
    service_.AddReadyCheck("database", [this] {
      return database_ready_ ? "" : "not migrated yet: waiting for PostgreSQL";
    });
    service_.AddReadyCheck("rpc", [this] {
      return rpc_.ready() ? "" : "has not joined the group of dispatch.rpc.identity";
    });
    service_.AddReadyCheck("relay", [this] {
      bool runs = relay_.leading() || outbox_.somebody_leads();
      return runs ? "" : "nobody is known to publish dispatch.state.identity";
    });
  }

  void AddStopSteps() {
    service_.AddStopStep("audit", [this](SteadyTime, std::function<void()> done) {
      audit_.Flush(loop_, std::move(done));
    });
    // The relay's last word to the database, that its lease is free, must not end with the pool:
    // the next one would wait the lease out. Work begins in order, and what has begun is finished.
    service_.AddStopStep("database", [this](SteadyTime, std::function<void()> done) {
      pool_.Run([](pg::Transaction&) { return OkStatus(); },
                [done = std::move(done)](const Status&) { done(); });
    });
    service_.AddStopStep("relay", [this](SteadyTime, std::function<void()> done) {
      if (!serving_) return done();
      relay_.Stop(std::move(done));
    });
    service_.AddStopStep("rpc", [this](SteadyTime, std::function<void()> done) {
      stopping_ = true;
      if (!serving_) return done();
      rpc_.Stop(std::move(done));
    });
  }

  void PrepareDatabase(Duration delay = Duration(0)) {
    auto migrated = [this](const Status& status) {
      if (stopping_) return;
      if (!status.ok()) return service_.Fail(status.message());
      MakeFirstKey();
    };
    pg::MigrateWhenUp(loop_, pool_, Migrations(), migrated, delay);
  }

  void MakeFirstKey() {
    const Config& config = service_.config();
    BootstrapOptions options{config.String("bootstrap-organization"),
                             config.String("bootstrap-key-file"), service_key_};
    pool_.Query<std::vector<StoredEntity>>(
        [options, now = loop_.Now()](pg::Transaction& tx) { return Bootstrap(tx, options, now); },
        [this](Result<std::vector<StoredEntity>> made) {
          if (stopping_) return;
          if (!made.ok() && made.error().retryable) return PrepareDatabase(kRetry);
          if (!made.ok()) return service_.Fail(made.message());
          database_ready_ = true;
          broker::EnsureTopics(*broker_, loop_, Topics(service_.config()),
                               [this, made = std::move(*made)] { Serve(made); });
        });
  }

  void Serve(const std::vector<StoredEntity>& made) {
    if (stopping_) return;
    serving_ = true;
    rpc_.Start();
    relay_.Start();
    KeepForgettingRequests(loop_, pool_);
    for (const StoredEntity& entity : made) {
      log::Info("first start: made kind={} organization={} name={}", entity.kind, entity.org,
                entity.name);
      audit_.Write({.org = entity.org,
                    .principal = {"service", kService, entity.org},
                    .action = entity.kind + ".create",
                    .resource = entity.kind + "/" + entity.name,
                    .outcome = "allowed",
                    .at_ms = ToMillis(loop_.Now()),
                    .request_id = "bootstrap"});
    }
  }

  Service& service_;
  EventLoop& loop_;
  std::unique_ptr<broker::Broker> broker_;
  const std::string service_key_;
  const broker::RecordSigner signer_;
  pg::Pool pool_;
  RelayWatch outbox_;
  broker::AuditLog audit_;
  broker::RpcServer rpc_;
  broker::OutboxRelay relay_;
  Commands commands_;
  Doctor doctor_;
  bool database_ready_ = false;
  bool serving_ = false;
  bool stopping_ = false;
};

int Main(int argc, char** argv) {
  Service service(kService, "organizations, API keys and policies of Dispatch", Settings());
  return broker::RunService<Identity>(service, kService, argc, argv);
}

}  // namespace

}  // namespace dispatch::identity

int main(int argc, char** argv) { return dispatch::identity::Main(argc, argv); }
