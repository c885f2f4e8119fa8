#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <map>
#include <optional>
#include <set>

#include "api-gateway/src/domain/resource.h"
#include "api-gateway/src/domain/routes.h"
#include "schema/objects.h"

namespace dispatch::gateway {

namespace {

constexpr int64_t kMaxPage = 1000;
constexpr std::chrono::milliseconds kLagBudget{500};
constexpr char kSubscriptions[] = "/v1/event/subscriptions";

// Forwards ?limit= and the named texts of the query as the body of a read.
bool ReadQuery(Call& call, std::initializer_list<std::string_view> names, json::object* body) {
  auto limit = ReadLimit(call.request, kMaxPage);
  if (!limit.ok()) {
    call.Fail(limit.error());
    return false;
  }
  if (*limit) (*body)["limit"] = **limit;
  for (std::string_view name : names) {
    if (auto value = call.request.Query(name)) (*body)[name] = *value;
  }
  return true;
}

// A page of the owner: {"items": [...], "next": "<cursor>"}.
void SendPage(const CallPtr& call, const broker::RpcReply& reply) {
  const json::object* page = reply.body.if_object();
  const json::array* items = page ? json::GetArray(*page, "items") : nullptr;
  if (items == nullptr) return call->SendJson(200, reply.body);
  if (std::string next = json::GetString(*page, "next"); !next.empty()) LinkNext(*call, next);
  call->SendJson(200, json::value(*items));
}

void AskAbout(const CallPtr& call, Backend& backend, const std::string& method,
              std::initializer_list<std::string_view> query) {
  auto subscription =
      FindNamed(*call, backend.tables.events, schema::kSubscriptionKind, kSubscriptions);
  if (subscription == nullptr) return;
  json::object body{{"subscription", subscription->name},
                    {"subscriptionId", subscription->uuid.ToString()}};
  if (!ReadQuery(*call, query, &body)) return;
  if (std::string id = call->request.Param("id"); !id.empty()) body["id"] = id;
  backend.services.Ask(call, kFunctionManager, method, std::move(body),
                       [call](broker::RpcReply reply) { SendPage(call, reply); });
}

std::optional<int64_t> ParsePosition(const std::string& text) {
  int64_t number = 0;
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  bool whole = fault == std::errc() && end == text.data() + text.size() && number >= 0;
  return whole ? std::optional(number) : std::nullopt;
}

// What lag.get says of the first offset of a partition that each subscription has not read yet, by
// name. Nothing of those that it does not know.
std::map<std::string, int64_t> NextUnread(const json::value& lag, int32_t partition) {
  std::map<std::string, int64_t> next;
  const json::object* body = lag.if_object();
  const json::array* rows = body ? json::GetArray(*body, "subscriptions") : nullptr;
  for (const json::value& row : rows != nullptr ? *rows : json::array()) {
    const json::object* subscription = row.if_object();
    const json::array* partitions =
        subscription ? json::GetArray(*subscription, "partitions") : nullptr;
    auto index = static_cast<size_t>(partition);
    if (partitions == nullptr || index >= partitions->size()) continue;
    if (const json::object* place = (*partitions)[index].if_object()) {
      next[json::GetString(*subscription, "name")] = json::GetInt(*place, "next");
    }
  }
  return next;
}

// Subscriptions of the topic that no delivery is recorded for, and why that may be.
json::object WithoutRecord(const schema::Subscription& subscription, int32_t partition,
                           int64_t offset, std::optional<int64_t> next_unread) {
  int64_t boundary = subscription.Boundary(partition);
  const char* status = "NO_RECORD";
  std::string reason =
      "the event did not match, waits for its first attempt, or its delivery is no longer recorded";
  if (offset < boundary) {
    status = "BEFORE_START";
    reason = fmt::format("the subscription starts at offset {}", boundary);
  } else if (next_unread && offset >= *next_unread) {
    status = "UNREAD";
    reason = fmt::format("not matched yet: the subscription is at offset {}{}", *next_unread,
                         subscription.paused ? ", and paused" : "");
  }
  return {{"subscription", subscription.name},
          {"subscriptionId", subscription.uuid.ToString()},
          {"status", status},
          {"attempts", json::array()},
          {"reason", std::move(reason)}};
}

void SendDeliveries(const CallPtr& call, Backend& backend, int32_t partition, int64_t offset,
                    const broker::RpcReply& reply,
                    const std::map<std::string, int64_t>& next_unread) {
  json::array deliveries;
  std::set<std::string> recorded;
  const json::object* body = reply.body.if_object();
  const json::array* found = reply.body.if_array();
  if (body != nullptr) found = json::GetArray(*body, "items");
  if (found != nullptr) {
    for (const json::value& delivery : *found) {
      if (!delivery.is_object()) continue;
      recorded.insert(json::GetString(delivery.get_object(), "subscriptionId"));
      recorded.insert(json::GetString(delivery.get_object(), "subscription"));
      deliveries.push_back(delivery);
    }
  }
  std::string topic = call->request.Param("name");
  backend.tables.events.ForEach(schema::kSubscriptionKind, [&](const EntityPtr& e) {
    if (e->org != call->org || json::GetString(e->document, "topic", "default") != topic) return;
    if (recorded.contains(e->uuid.ToString()) || recorded.contains(e->name)) return;
    auto subscription =
        schema::ParseSubscription(e->uuid, e->org, e->name, e->version, e->document);
    auto next = next_unread.find(e->name);
    deliveries.push_back(
        WithoutRecord(subscription, partition, offset,
                      next == next_unread.end() ? std::nullopt : std::optional(next->second)));
  });
  call->SendJson(200, json::object{{"topic", topic},
                                   {"partition", partition},
                                   {"offset", offset},
                                   {"deliveries", std::move(deliveries)}});
}

void ByPosition(const CallPtr& call, Backend& backend) {
  auto topic = FindNamed(*call, backend.tables.events, schema::kTopicKind, "/v1/topics");
  if (topic == nullptr) return;
  auto partition = ParsePosition(call->request.Param("partition"));
  auto offset = ParsePosition(call->request.Param("offset"));
  if (!partition || !offset) {
    return call->Fail({Code::kInvalidArgument, "partition and offset must be numbers"});
  }
  int64_t partitions = json::GetInt(topic->document, "partitions", 1);
  if (*partition >= partitions) {
    return call->Fail({Code::kNotFound, fmt::format("topic {} has partitions 0 to {}", topic->name,
                                                    partitions - 1)});
  }
  backend.services.Ask(
      call, kFunctionManager, "delivery.byPosition",
      json::object{{"topic", topic->name},
                   {"topicUuid", topic->uuid.ToString()},
                   {"partition", *partition},
                   {"offset", *offset}},
      [call, &backend, partition = static_cast<int32_t>(*partition),
       offset = *offset](broker::RpcReply reply) {
        // How far each has read is worth half a second, not the answer.
        backend.services.TryAsk(
            call, kEventManager, "lag.get", json::object(), kLagBudget,
            [call, &backend, partition, offset, reply](Result<broker::RpcReply> lag) {
              SendDeliveries(call, backend, partition, offset, reply,
                             NextUnread(lag.ok() ? lag->body : json::value(), partition));
            });
      });
}

// event-manager hears of them with the progress.
void SendBlockingKeys(const CallPtr& call, Backend& backend) {
  auto subscription =
      FindNamed(*call, backend.tables.events, schema::kSubscriptionKind, kSubscriptions);
  if (subscription == nullptr) return;
  backend.services.Ask(call, kEventManager, "lag.blocking",
                       json::object{{"subscription", subscription->name}},
                       [call](broker::RpcReply reply) { call->SendJson(200, reply.body); });
}

}  // namespace

void AddDeliveryRoutes(Gateway& gateway, Backend& backend) {
  // They show payloads and answers, so that `read` is not enough.
  const Access runs{Access::Check::kObject, {auth::kReadRuns}, schema::kSubscriptionKind};
  for (const char* path : {kSubscriptions, "/v1/subscriptions"}) {
    gateway.Add(
        {"GET", fmt::format("{}/{{name}}/dead-letters", path), runs, [&backend](CallPtr call) {
           AskAbout(call, backend, "deadletter.list",
                    {"cursor", "reason", "type", "status", "since", "until"});
         }});
    gateway.Add({"GET", fmt::format("{}/{{name}}/dead-letters/{{id}}", path), runs,
                 [&backend](CallPtr call) { AskAbout(call, backend, "deadletter.get", {}); }});
    gateway.Add(
        {"GET", fmt::format("{}/{{name}}/deliveries", path), runs, [&backend](CallPtr call) {
           AskAbout(call, backend, "delivery.list", {"cursor", "status", "since"});
         }});
    gateway.Add({"GET", fmt::format("{}/{{name}}/blocking-keys", path), runs,
                 [&backend](CallPtr call) { SendBlockingKeys(call, backend); }});
  }
  gateway.Add({"GET",
               "/v1/topics/{name}/events/{partition}/{offset}/deliveries",
               {Access::Check::kObject, {auth::kReadRuns}, schema::kTopicKind},
               [&backend](CallPtr call) { ByPosition(call, backend); }});
}

}  // namespace dispatch::gateway
