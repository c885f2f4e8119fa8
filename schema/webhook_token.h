#pragma once

#include <cstdint>
#include <string>

#include "common/clock.h"
#include "common/json.h"

namespace dispatch::schema {

/// The token of a webhook driver's URL, in its generation: 43 characters of base64url, from the key
/// that all services share, so that none is stored or crosses a topic.
std::string WebhookToken(const std::string& service_key, const std::string& driver,
                         int64_t generation);

/// Whether `token` is the driver's, or the one before while that still counts: `internal.webhook`
/// of its document is {"generation", "previousUntilMs"}.
bool IsWebhookToken(const std::string& service_key, const std::string& driver,
                    const json::object& document, const std::string& token, WallTime now);

}  // namespace dispatch::schema
