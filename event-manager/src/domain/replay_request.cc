#include "event-manager/src/domain/replay_request.h"

#include <algorithm>

#include "event-manager/src/domain/filter.h"
#include "schema/request_reader.h"
#include "schema/rfc3339.h"

namespace dispatch {

namespace {

// Fields of a subscription that say where its events go and how.
constexpr const char* kFollowed[] = {"sink",      "function",        "retry",
                                     "timeout",   "maxInFlight",     "ordering",
                                     "onFailure", "deadLetterTopic", "history"};

}  // namespace

Result<ReplayRequest> ParseReplayRequest(const json::object& request) {
  schema::RequestReader reader(request);
  ReplayRequest replay;
  reader.RequiredString("name");
  if (!reader.Has("from")) {
    reader.Fault("from", "is required: \"earliest\", a time, or {\"offsets\": [...]}");
  } else {
    auto from = ParsePlaceOrTime(request.at("from"));
    if (from.ok()) replay.from = *from;
    if (!from.ok()) reader.Fault("from", from.error().message);
  }
  if (reader.Has("to")) {
    auto to = ParsePlaceOrTime(request.at("to"));
    if (to.ok()) replay.to = *to;
    if (!to.ok()) reader.Fault("to", to.error().message);
  }
  replay.filter = reader.String("filter");
  if (!replay.filter.empty()) {
    auto parsed = Filter::Parse(json::object{{"sql", replay.filter}}, "filter");
    if (!parsed.ok()) {
      for (const auto& detail : parsed.error().details) reader.Fault("filter", detail.reason);
    }
  }
  if (reader.Has("rate")) replay.rate = reader.Int("rate", 1, 1, 1'000'000);
  reader.Allow({"from", "to"});
  if (!reader.ok()) return reader.error();
  return replay;
}

json::object ReplayDocument(const json::object& subscription, const ReplayRequest& request,
                            const json::object& given, const std::vector<int64_t>& begins,
                            std::vector<int64_t> ends) {
  json::object replay;
  replay["kind"] = "Replay";
  replay["subscription"] = json::GetString(subscription, "name");
  replay["topic"] = json::GetString(subscription, "topic", "default");
  for (const char* field : {"from", "to", "filter", "rate"}) {
    if (const auto* value = given.if_contains(field); value != nullptr && !value->is_null()) {
      replay[field] = *value;
    }
  }
  std::string type = json::GetString(subscription, "eventType");
  if (!type.empty()) replay["eventType"] = type;
  json::array filters;
  if (const auto* own = json::GetArray(subscription, "filters")) filters = *own;
  if (!request.filter.empty()) filters.push_back({{"sql", request.filter}});
  replay["filters"] = std::move(filters);
  FollowSubscription(subscription, replay);
  replay["status"] = "RUNNING";
  int64_t events = 0;
  ends.resize(begins.size(), 0);
  for (size_t p = 0; p < begins.size(); ++p) {
    ends[p] = std::max(ends[p], begins[p]);
    events += ends[p] - begins[p];
  }
  replay["offsets"] = events;
  const auto* internal = json::GetObject(subscription, "internal");
  replay["internal"] = {
      {"topicUuid", internal != nullptr ? json::GetString(*internal, "topicUuid") : std::string()},
      {"generation", 1},
      {"boundaries", json::array(begins.begin(), begins.end())},
      {"ends", json::array(ends.begin(), ends.end())}};
  return replay;
}

void FollowSubscription(const json::object& subscription, json::object& replay) {
  for (const char* field : kFollowed) {
    replay.erase(field);
    if (const auto* value = subscription.if_contains(field)) replay[field] = *value;
  }
  // At the rate of the replay, if it has one; a replay is not faster than the subscription.
  replay.erase("rateLimit");
  const auto* limit = json::GetObject(subscription, "rateLimit");
  int64_t rate = json::GetInt(replay, "rate", 0);
  if (rate > 0) {
    replay["rateLimit"] = {{"events", rate}, {"per", "1s"}};
  } else if (limit != nullptr) {
    replay["rateLimit"] = *limit;
  }
}

}  // namespace dispatch
