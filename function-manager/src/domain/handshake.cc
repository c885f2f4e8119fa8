#include "function-manager/src/domain/handshake.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace dispatch {

namespace {

bool SameName(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::optional<int64_t> RequestRate(const schema::Subscription& subscription) {
  if (!subscription.rate_limit) return std::nullopt;
  const auto& limit = *subscription.rate_limit;
  int64_t per_minute = limit.events * 60'000 / std::max<int64_t>(1, limit.per.count());
  return std::max<int64_t>(1, per_minute);
}

Result<Permission> ReadPermission(std::string_view origin, int status,
                                  std::optional<std::string_view> allowed_origin,
                                  std::optional<std::string_view> allowed_rate) {
  auto refused = [](std::string why) { return Error{Code::kPermissionDenied, std::move(why)}; };
  if (!allowed_origin) {
    return refused(fmt::format(
        "the endpoint answered OPTIONS with {} and without WebHook-Allowed-Origin: {} or *", status,
        origin));
  }
  std::string_view allowed = Trimmed(*allowed_origin);
  if (allowed != "*" && !SameName(allowed, origin)) {
    return refused(fmt::format("the endpoint's WebHook-Allowed-Origin is '{}', not {} or *",
                               allowed.substr(0, 100), origin));
  }
  Permission permission;
  std::string_view rate = allowed_rate ? Trimmed(*allowed_rate) : "*";
  if (rate == "*") return permission;
  int64_t number = 0;
  auto [end, fault] = std::from_chars(rate.data(), rate.data() + rate.size(), number);
  if (fault != std::errc() || end != rate.data() + rate.size() || number < 1) {
    return refused(
        fmt::format("the endpoint's WebHook-Allowed-Rate is '{}', not a number of requests a "
                    "minute, nor *",
                    rate.substr(0, 100)));
  }
  permission.per_minute = std::min<int64_t>(number, 60'000'000);
  return permission;
}

}  // namespace dispatch
