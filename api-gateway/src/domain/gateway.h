#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api-gateway/src/domain/call.h"
#include "api-gateway/src/domain/directory.h"
#include "broker-adapters/state_table.h"
#include "common/clock.h"
#include "common/http/router.h"
#include "common/metrics.h"

namespace dispatch::gateway {

/// The state topics that the gateway follows.
struct Tables {
  broker::StateTable& identity;
  broker::StateTable& events;
  broker::StateTable& functions;
};

/// What a route asks of the principal before its handler runs.
struct Access {
  enum class Check {
    kOpen,    // nothing, not even a principal
    kKey,     // a principal; the handler checks the rest
    kObject,  // one of `actions` on `kind`/{name}
    kSome,    // one of `actions` on some object of `kind`: lists
  };
  Check check = Check::kKey;
  std::vector<std::string_view> actions = {};
  std::string_view kind = {};
};

struct Route {
  std::string method;
  std::string pattern;  // an object's name is {name}
  Access access;
  std::function<void(CallPtr)> handler;
};

/// Takes every request: finds its route, checks key, organisation, freshness and permission, and
/// hands it to the route's handler. One owner.
class Gateway {
 public:
  struct Options {
    bool access_log = false;
    Tracing tracing = {};
    /// Told of each 403: the call and its route, as "GET /v1/topics/{name}".
    std::function<void(const Call& call, const std::string& route)> on_denied = {};
  };
  Gateway(Loop& loop, Directory& directory, Tables tables, Options options);

  void Add(Route route);
  void Handle(http::Request request, std::shared_ptr<http::ResponseWriter> writer);

  std::vector<std::pair<std::string, std::string>> routes() const;  // method, pattern
  size_t in_flight() const { return in_flight_; }

 private:
  struct Entry {
    Route route;
    std::vector<std::pair<int, metrics::Counter>> counters;  // by status
  };

  bool Admit(const CallPtr& call, const Route& route);
  bool ChooseOrganization(Call& call);
  bool CheckFreshness(Call& call, const Route& route);
  bool CheckAccess(Call& call, const Access& access);
  /// Runs the handler once the cache has what X-Dispatch-Min-Version names.
  void AwaitVersion(const CallPtr& call, const Route& route);
  void Reject(const CallPtr& call, const http::Router::Match& match);
  void Trace(const Entry& entry, const Call& call, int status);
  void Count(Entry& entry, const Call& call, int status, SteadyTime started);

  Loop& loop_;
  Directory& directory_;
  Tables tables_;
  Options options_;
  http::Router router_;
  std::vector<std::unique_ptr<Entry>> entries_;  // beside the router's routes
  Entry unknown_;
  size_t in_flight_ = 0;
  metrics::Gauge in_flight_gauge_;
  // Calls may be dropped after us, with whatever they wait for.
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace dispatch::gateway
