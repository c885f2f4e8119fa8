#include "event-manager/src/adapters/drivers/postgres_driver.h"

#include <fmt/format.h>

namespace dispatch {

PostgresDriver::PostgresDriver(DriverHost& host, EventLoop& loop, const DriverSettings& settings,
                               DriverSetup setup)
    : host_(host),
      loop_(loop),
      setup_(std::move(setup)),
      event_source_(fmt::format("/{}/drivers/{}", setup_.claimed.org, setup_.claimed.name)),
      addresses_(loop, settings.allow_private) {
  auto secret = [this](const char* key) {
    auto found = setup_.secrets.find(key);
    return found == setup_.secrets.end() ? std::string() : found->second;
  };
  PostgresSourceOptions options;
  options.url = ConfigValue(setup_.config, "url");
  if (options.url.empty()) options.url = secret("url");
  options.password = secret("password");
  options.table = ConfigValue(setup_.config, "table");
  options.key = ConfigValue(setup_.config, "key", "id");
  options.mark = ConfigValue(setup_.config, "mark");
  options.channel = ConfigValue(setup_.config, "channel");
  options.poll = std::chrono::seconds(std::stoi(ConfigValue(setup_.config, "poll", "1")));
  loop_.Post([this, alive = std::weak_ptr(alive_), options = std::move(options)]() mutable {
    if (!alive.expired()) Begin(std::move(options));
  });
}

PostgresDriver::~PostgresDriver() = default;

void PostgresDriver::Begin(PostgresSourceOptions options) {
  if (options.url.empty()) return Fail("there is no url, in config or in a secret");
  auto host = PostgresHostOf(options.url);
  if (!host.ok()) return Fail(host.message());
  addresses_.Check({*host}, [this, options](Result<std::vector<std::string>> allowed) mutable {
    if (!allowed.ok()) return Fail(allowed.message());
    options.address = (*allowed)[0];
    PostgresSource::Listener listener;
    listener.on_ready = [this] {
      host_.Log("driver", "connected");
      host_.Ready();
    };
    listener.on_rows = [this](std::vector<OutboxRowText> rows) { Take(std::move(rows)); };
    listener.on_notification = [this](std::string payload) { Notified(std::move(payload)); };
    listener.on_failure = [this](const std::string& reason) { Fail(reason); };
    source_ = std::make_unique<PostgresSource>(loop_, std::move(options), std::move(listener));
  });
}

void PostgresDriver::Fail(const std::string& reason) {
  if (failed_) return;
  failed_ = true;
  host_.Fail(reason);
}

void PostgresDriver::Take(std::vector<OutboxRowText> rows) {
  if (failed_) return;
  done_.clear();
  skipped_.clear();
  waiting_ = rows.size();
  for (auto& row : rows) {
    std::string key = row.key;
    host_.Publish(EventOfRow(setup_.claimed.uuid, event_source_, std::move(row)),
                  [this, alive = std::weak_ptr(alive_), key](const Status& published) {
                    if (!alive.expired()) Settled(key, published);
                  });
  }
}

void PostgresDriver::Settled(const std::string& key, const Status& published) {
  if (failed_) return;
  if (published.ok()) {
    done_.push_back(key);
  } else if (published.code() == Code::kTooLarge) {
    host_.Log("driver", fmt::format("row {} stays in its table: {}", key, published.message()));
    skipped_.push_back(key);
  } else {
    return Fail("event not published: " + published.message());
  }
  if (--waiting_ == 0) source_->Done(std::move(done_), std::move(skipped_));
}

void PostgresDriver::Notified(std::string payload) {
  if (failed_) return;
  auto event = EventOfNotification(Uuid::V7(loop_.Now()), event_source_,
                                   ConfigValue(setup_.config, "channel"), std::move(payload));
  host_.Publish(std::move(event), [this, alive = std::weak_ptr(alive_)](const Status& published) {
    if (alive.expired() || published.ok()) return;
    Fail("a notification was lost: " + published.message());
  });
}

}  // namespace dispatch
