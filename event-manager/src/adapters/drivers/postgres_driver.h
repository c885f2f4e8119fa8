#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/event_loop.h"
#include "common/http/address_check.h"
#include "event-manager/src/adapters/drivers/driver_factory.h"
#include "event-manager/src/adapters/drivers/postgres_outbox.h"

namespace dispatch {

/// `postgres`: the rows of an outbox table become events, and are deleted or marked when these are
/// in our topic: at least once, with ids that a repeat has too. Without a table the notifications
/// of a channel do, those that come while it listens. One owner.
class PostgresDriver : public RunningDriver {
 public:
  PostgresDriver(DriverHost& host, EventLoop& loop, const DriverSettings& settings,
                 DriverSetup setup);
  ~PostgresDriver() override;

 private:
  void Begin(PostgresSourceOptions options);
  void Take(std::vector<OutboxRowText> rows);
  void Settled(const std::string& key, const Status& published);
  void Notified(std::string payload);
  void Fail(const std::string& reason);

  DriverHost& host_;
  EventLoop& loop_;
  const DriverSetup setup_;
  const std::string event_source_;
  http::AddressCheck addresses_;
  std::unique_ptr<PostgresSource> source_;
  size_t waiting_ = 0;
  std::vector<std::string> done_;
  std::vector<std::string> skipped_;
  bool failed_ = false;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace dispatch
