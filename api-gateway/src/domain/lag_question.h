#pragma once

#include <functional>

#include "api-gateway/src/domain/service_client.h"

namespace dispatch::gateway {

/// The whole of event-manager's lag.get for the call's organisation: {"subscriptions": [...],
/// "topics": [...]}. One answer has no room for thousands of subscriptions, so it is asked for in
/// pages. `done` runs once, with the document or the first error as the caller may see it.
void AskForLag(ServiceClient& services, const CallPtr& call,
               std::function<void(Result<json::object>)> done);

}  // namespace dispatch::gateway
