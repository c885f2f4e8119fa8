#include <fmt/format.h>

#include <charconv>
#include <set>

#include "api-gateway/src/domain/resource.h"
#include "api-gateway/src/domain/routes.h"
#include "schema/objects.h"

namespace dispatch::gateway {

namespace {

constexpr int64_t kMaxPage = 1000;
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

// Subscriptions of the topic that no delivery is recorded for, and why that may be.
json::object WithoutRecord(const schema::Subscription& subscription, int32_t partition,
                           int64_t offset) {
  int64_t boundary = subscription.Boundary(partition);
  bool before = offset < boundary;
  return {{"subscription", subscription.name},
          {"subscriptionId", subscription.uuid.ToString()},
          {"status", before ? "BEFORE_START" : "NO_RECORD"},
          {"attempts", json::array()},
          {"reason", before ? fmt::format("the subscription starts at offset {}", boundary)
                            : "the event did not match, is not matched yet, or its delivery is "
                              "no longer recorded"}};
}

void SendDeliveries(const CallPtr& call, Backend& backend, int32_t partition, int64_t offset,
                    const broker::RpcReply& reply) {
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
    deliveries.push_back(WithoutRecord(subscription, partition, offset));
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
      [call, &backend, partition = static_cast<int32_t>(*partition), offset = *offset](
          broker::RpcReply reply) { SendDeliveries(call, backend, partition, offset, reply); });
}

}  // namespace

void AddDeliveryRoutes(Gateway& gateway, Backend& backend) {
  // They show payloads and answers, so that `read` is not enough.
  const Access runs{Access::Check::kObject, {auth::kReadRuns}, schema::kSubscriptionKind};
  for (const char* path : {kSubscriptions, "/v1/subscriptions"}) {
    gateway.Add(
        {"GET", fmt::format("{}/{{name}}/dead-letters", path), runs,
         [&backend](CallPtr call) { AskAbout(call, backend, "deadletter.list", {"cursor"}); }});
    gateway.Add({"GET", fmt::format("{}/{{name}}/dead-letters/{{id}}", path), runs,
                 [&backend](CallPtr call) { AskAbout(call, backend, "deadletter.get", {}); }});
    gateway.Add(
        {"GET", fmt::format("{}/{{name}}/deliveries", path), runs, [&backend](CallPtr call) {
           AskAbout(call, backend, "delivery.list", {"cursor", "status", "since"});
         }});
  }
  gateway.Add({"GET",
               "/v1/topics/{name}/events/{partition}/{offset}/deliveries",
               {Access::Check::kObject, {auth::kReadRuns}, schema::kTopicKind},
               [&backend](CallPtr call) { ByPosition(call, backend); }});
}

}  // namespace dispatch::gateway
