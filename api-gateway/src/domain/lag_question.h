#pragma once

#include <chrono>
#include <functional>

#include "api-gateway/src/domain/service_client.h"

namespace dispatch::gateway {

/// The whole of event-manager's lag.get for the call's organisation: {"subscriptions": [...],
/// "topics": [...]}. One answer has no room for thousands of subscriptions, so it is asked for in
/// pages, each of which may take `timeout`. `done` runs once, with the document or the first error,
/// which is event-manager's own: see ServiceClient::Explain.
void AskForLag(ServiceClient& services, const CallPtr& call, std::chrono::milliseconds timeout,
               std::function<void(Result<json::object>)> done);

}  // namespace dispatch::gateway
