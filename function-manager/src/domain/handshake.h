#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "schema/objects.h"

/// The CloudEvents webhook handshake ("HTTP 1.1 Web Hooks for Event Delivery" 1.0, section 4): an
/// endpoint says by its answer to OPTIONS whether it wants to be sent to, and how often.
namespace dispatch {

/// What an endpoint allowed.
struct Permission {
  std::optional<int64_t> per_minute;  // requests; nothing: any number
};

/// `WebHook-Request-Rate` (section 4.1.4), in requests a minute: the subscription's own limit.
/// Nothing when it has none.
std::optional<int64_t> RequestRate(const schema::Subscription& subscription);

/// Reads the answer's `WebHook-Allowed-Origin` and `WebHook-Allowed-Rate` (section 4.2). The status
/// does not count: an endpoint that knows nothing of webhooks answers OPTIONS with 200 too. The
/// error tells the endpoint's owner what is missing.
Result<Permission> ReadPermission(std::string_view origin, int status,
                                  std::optional<std::string_view> allowed_origin,
                                  std::optional<std::string_view> allowed_rate);

}  // namespace dispatch
