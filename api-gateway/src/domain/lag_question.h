#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "api-gateway/src/domain/service_client.h"
#include "broker-adapters/state_table.h"
#include "common/clock.h"

namespace dispatch::gateway {

struct LagAnswer {
  json::object document;  // {"subscriptions": [...], "topics": [...]}
  Duration took{};        // of the asks that were answered: what is waited for the dead is no work
};

/// The whole of event-manager's lag.get for the call's organisation. One answer has no room for
/// thousands of subscriptions, so it is asked for in pages, each of which may take `timeout` and is
/// asked for again each half second, since one of the instances may be dead. `done` runs once, with
/// the answer or the first error, which is event-manager's own: see ServiceClient::Explain.
void AskForLag(Loop& loop, ServiceClient& services, const CallPtr& call,
               std::chrono::milliseconds timeout, std::function<void(Result<LagAnswer>)> done);

/// How long a look may take: whoever asks is told within five seconds that nothing is known any
/// more, and sooner while event-manager is silent anyway.
std::chrono::milliseconds LookTime(const broker::StateTable& events);

/// When event-manager was heard last, if its heartbeats, which come each second, are missing.
std::optional<WallTime> SilentSince(const broker::StateTable& events, WallTime now);

/// ServiceClient::Explain, but that a silent event-manager is told with since when.
Error ExplainLag(const ServiceClient& services, const Call& call, const broker::StateTable& events,
                 WallTime now, Error error);

}  // namespace dispatch::gateway
