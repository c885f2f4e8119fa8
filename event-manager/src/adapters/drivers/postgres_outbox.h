#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "event-manager/src/domain/drivers/postgres_event.h"

namespace dispatch {

struct PostgresSourceOptions {
  std::string url;      // as the user gave it
  std::string address;  // numeric, of its host: what is connected to
  std::string password;
  std::string table;  // "schema.table"; empty: notifications become events
  std::string key = "id";
  std::string mark;     // a column that is set to now(); empty: rows are deleted
  std::string channel;  // empty: none
  std::chrono::seconds poll{1};
};

/// The host in the user's URL of a database. kInvalidArgument for a URL that cannot be read, or
/// that has a parameter which would make the service read files of its own (sslkey, passfile,
/// service, a socket's directory).
Result<std::string> PostgresHostOf(const std::string& url);

/// Reads the outbox or the notifications of somebody's database on a thread of its own, over one
/// connection. Its end leaves the thread alone: libpq may hang for seconds, and what it finds then
/// goes nowhere. Callbacks come on the loop.
class PostgresSource {
 public:
  struct Listener {
    std::function<void()> on_ready;
    /// The next rows come when these were acknowledged by Done.
    std::function<void(std::vector<OutboxRowText>)> on_rows;
    std::function<void(std::string payload)> on_notification;
    std::function<void(std::string reason)> on_failure;
  };

  PostgresSource(Executor& loop, PostgresSourceOptions options, Listener listener);
  ~PostgresSource();

  /// `keys`: rows that are in our topic, to be deleted or marked. `skipped`: to be left alone until
  /// the end of this object.
  void Done(std::vector<std::string> keys, std::vector<std::string> skipped);

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace dispatch
