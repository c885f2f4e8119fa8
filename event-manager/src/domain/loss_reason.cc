#include "event-manager/src/domain/loss_reason.h"

#include <fmt/format.h>

#include <string>

#include "schema/rfc3339.h"

namespace dispatch {

namespace {
constexpr char kReason[] = "events were lost";
}

bool NoteLoss(json::object& document, const std::map<int32_t, int64_t>& lost, WallTime now) {
  auto& internal = document["internal"].as_object();
  if (!internal.contains("lost")) internal["lost"] = json::object{};
  auto& known = internal["lost"].as_object();
  bool news = false;
  for (const auto& [partition, count] : lost) {
    std::string key = std::to_string(partition);
    if (json::GetInt(known, key, 0) >= count) continue;
    known[key] = count;
    news = true;
  }
  if (!news) return false;
  int64_t total = 0;
  for (const auto& [partition, count] : known) total += count.to_number<int64_t>();
  json::array reasons;
  if (const auto* before = json::GetArray(document, "reason")) {
    for (const auto& reason : *before) {
      bool ours = reason.is_string() && reason.as_string().starts_with(kReason);
      if (!ours) reasons.push_back(reason);
    }
  }
  reasons.push_back(json::value(
      fmt::format("{}: retention took {} of the topic before they were read, noticed last at {}; "
                  "let the topic keep more, or the endpoint take faster",
                  kReason, total, schema::FormatRfc3339(now))));
  document["reason"] = std::move(reasons);
  return true;
}

}  // namespace dispatch
