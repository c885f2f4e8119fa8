#pragma once

#include <functional>
#include <optional>
#include <string>

#include "broker-adapters/entities/entity_store.h"
#include "broker-adapters/rpc.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/pg/pool.h"
#include "common/uuid.h"

namespace dispatch {

/// `drivertype.create|update|delete`, `driver.create|update|delete|rotate|log`. One owner.
class DriverCommands {
 public:
  struct Options {
    std::string drivers_dir;  // executables that types may name; empty: none
    bool engine = false;      // whether types may name images
    std::string service_key;  // what the tokens of webhooks are made from
  };
  DriverCommands(Loop& loop, pg::Pool& pool, Options options, std::function<void()> committed)
      : loop_(loop), pool_(pool), options_(std::move(options)), committed_(std::move(committed)) {}

  void Register(broker::RpcServer& server);

  /// A request to make or change a driver, checked as far as it is known without its type.
  struct AskedDriver {
    std::string org;
    json::object document;
    std::optional<int64_t> if_match;
    Uuid uuid;  // of a new one
    int64_t now_s = 0;
  };

 private:
  using WriteDriver = Result<StoredEntity> (*)(pg::Transaction& tx, const AskedDriver& asked);
  using Responder = broker::RpcServer::Responder;

  void WriteType(const schema::Request& request, bool create, Responder respond);
  void DeleteType(const schema::Request& request, Responder respond);
  void Write(const schema::Request& request, Responder respond, WriteDriver write);
  void Delete(const schema::Request& request, Responder respond);
  void Rotate(const schema::Request& request, Responder respond);
  void Log(const schema::Request& request, Responder respond);
  Status CheckImage(const json::object& type) const;
  // Adds a webhook's token to what is answered, never to what is stored.
  Responder WithToken(Responder respond);

  Loop& loop_;
  pg::Pool& pool_;
  const Options options_;
  std::function<void()> committed_;
};

/// The first driver that emits to the topic or reads it, as "driver 'x'"; empty when none does.
Result<std::string> DriverUsing(EntityStore& store, const std::string& org,
                                const std::string& topic);

/// Removes the drivers and types of a deleted organisation, in its transaction.
Status ClearDrivers(pg::Transaction& tx, const std::string& org);

}  // namespace dispatch
