#include "function-manager/src/adapters/delivery_queries.h"

#include <algorithm>

#include "function-manager/src/adapters/attempt_rows.h"
#include "function-manager/src/adapters/columns.h"
#include "function-manager/src/adapters/dead_letter_rows.h"
#include "function-manager/src/domain/key_order.h"
#include "schema/objects.h"
#include "schema/rfc3339.h"

namespace dispatch {

namespace {

constexpr char kWaitingByPosition[] = R"(
  select subscription, attempts, due_ms, deliver_at_ms from retries
  where topic = $1::uuid and source_partition = $2::int and source_offset = $3::bigint
    and org = $4)";
constexpr char kDeadByPosition[] = R"(
  select subscription_name, reason, message, attempts, dead_lettered_ms from dead_letters
  where topic = $1::uuid and source_partition = $2::int and source_offset = $3::bigint
    and org = $4)";
constexpr char kPurgedByPosition[] = R"(
  select subscription, removed_ms from dead_letter_removals
  where topic = $1::uuid and source_partition = $2::int and source_offset = $3::bigint
    and redrive is null)";
std::string Time(int64_t ms) { return schema::FormatRfc3339(FromMillis(ms)); }

json::object AttemptForm(const Attempt& a) {
  json::object attempt;
  attempt["attempt"] = a.number;
  attempt["time"] = Time(a.at_ms);
  attempt["latencyMs"] = static_cast<double>(a.latency_us) / 1000;
  attempt["status"] = a.status;
  attempt["outcome"] = a.outcome;
  if (!a.message.empty()) attempt["message"] = a.message;
  if (!a.answer_head.empty()) attempt["answer"] = a.answer_head;
  if (a.next_attempt_ms > 0) attempt["nextAttempt"] = Time(a.next_attempt_ms);
  if (!a.id.replay.is_nil()) attempt["replay"] = a.id.replay.ToString();
  return attempt;
}

}  // namespace

void DeliveryQueries::Register(broker::RpcServer& server) {
  server.Handle("delivery.byPosition", [this](const schema::Request& r, Responder respond) {
    ByPosition(r, std::move(respond));
  });
  server.Handle("delivery.list", [this](const schema::Request& r, Responder respond) {
    List(r, std::move(respond));
  });
}

void DeliveryQueries::Answer(std::function<Result<json::value>(pg::Transaction&)> read,
                             Responder respond) {
  pool_.Query<json::value>(std::move(read),
                           [respond = std::move(respond)](Result<json::value> value) {
                             if (!value.ok()) return respond(value.error());
                             broker::RpcReply reply;
                             reply.body = std::move(*value);
                             respond(std::move(reply));
                           });
}

void DeliveryQueries::ByPosition(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto topic_uuid = Uuid::Parse(json::GetString(*body, "topicUuid"));
  if (!topic_uuid.ok()) return respond(topic_uuid.error());
  Uuid topic = *topic_uuid;
  auto partition = static_cast<int32_t>(json::GetInt(*body, "partition"));
  int64_t offset = json::GetInt(*body, "offset");
  std::vector<pg::Value> position{topic.ToString(), std::to_string(partition),
                                  std::to_string(offset), request.org};
  // The retry store knows subscriptions by id; the cache knows their names.
  std::map<Uuid, std::string> names;
  subscriptions_.ForEach(schema::kSubscriptionKind, [&](const auto& entity) {
    if (entity->org == request.org) names[entity->uuid] = entity->name;
  });
  Answer(
      [position, names, topic, partition, offset,
       org = request.org](pg::Transaction& tx) -> Result<json::value> {
        std::map<std::string, json::object> by_subscription;
        auto slot = [&](const std::string& name) -> json::object& {
          auto& entry = by_subscription[name];
          if (entry.empty()) {
            entry["subscription"] = name;
            entry["status"] = "PENDING";
            entry["attempts"] = json::array();
          }
          return entry;
        };
        ASSIGN_OR_RETURN(auto attempts, ReadAttemptsAt(tx, org, topic, partition, offset));
        for (const Attempt& attempt : attempts) {
          auto& entry = slot(attempt.subscription);
          entry["attempts"].as_array().push_back(AttemptForm(attempt));
          if (attempt.outcome == kDelivered) entry["status"] = "DELIVERED";
          if (entry["status"] == "DELIVERED") continue;
          if (attempt.outcome == "retry") entry["status"] = "RETRYING";
          if (attempt.outcome == "dead-lettered") entry["status"] = "DEAD_LETTERED";
        }
        ASSIGN_OR_RETURN(auto waiting, tx.Exec(kWaitingByPosition, position));
        for (size_t i = 0; i < waiting.size(); ++i) {
          auto name = names.find(ReadUuid(waiting[i], 0));
          if (name == names.end()) continue;
          auto& entry = slot(name->second);
          if (entry["status"] == "DELIVERED") continue;
          bool scheduled = waiting[i].Int(1) == 0 && waiting[i].Int(3) == waiting[i].Int(2);
          entry["status"] = scheduled ? "SCHEDULED" : "RETRYING";
          if (scheduled) entry["message"] = "scheduled for " + Time(waiting[i].Int(2));
          if (waiting[i].Int(2) == kNeverDue) {
            entry["message"] = "waits behind another event of its partition key";
          } else {
            entry["nextAttempt"] = Time(waiting[i].Int(2));
          }
        }
        ASSIGN_OR_RETURN(auto dead, tx.Exec(kDeadByPosition, position));
        for (size_t i = 0; i < dead.size(); ++i) {
          auto& entry = slot(dead[i].Text(0));
          entry["status"] = "DEAD_LETTERED";
          entry["reason"] = dead[i].Text(1);
          entry["message"] = dead[i].Text(2);
          entry["deadLetteredTime"] = Time(dead[i].Int(4));
        }
        ASSIGN_OR_RETURN(auto purged,
                         tx.Exec(kPurgedByPosition, {position[0], position[1], position[2]}));
        for (size_t i = 0; i < purged.size(); ++i) {
          auto name = names.find(ReadUuid(purged[i], 0));
          if (name == names.end()) continue;
          auto& entry = slot(name->second);
          if (entry["status"] != "PENDING" && entry["status"] != "DEAD_LETTERED") continue;
          entry["status"] = "DEAD_LETTERED";
          entry["message"] = "its dead letter was purged at " + Time(purged[i].Int(1));
        }
        json::array all;
        for (auto& [name, entry] : by_subscription) all.push_back(std::move(entry));
        return json::value(std::move(all));
      },
      std::move(respond));
}

void DeliveryQueries::List(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto subscription = SubscriptionOf(subscriptions_, request, *body);
  if (!subscription.ok()) return respond(subscription.error());
  AttemptQuery query;
  std::string since = json::GetString(*body, "since");
  if (!since.empty()) {
    auto time = schema::ParseRfc3339(since);
    if (!time.ok()) return respond(Error{Code::kInvalidArgument, "since: " + time.message()});
    query.since_ms = ToMillis(*time);
  }
  auto cursor = AttemptCursor::Parse(json::GetString(*body, "cursor"));
  if (!cursor.ok()) return respond(cursor.error());
  query.before = *cursor;
  query.limit =
      static_cast<size_t>(std::clamp<int64_t>(json::GetInt(*body, "limit", 100), 1, 1000));
  query.outcome = json::GetString(*body, "status");
  Answer(
      [org = request.org, subscription = *subscription,
       query](pg::Transaction& tx) -> Result<json::value> {
        ASSIGN_OR_RETURN(auto found, ReadAttemptsOf(tx, org, subscription, query));
        json::array all;
        for (const Attempt& a : found.attempts) {
          json::object attempt = AttemptForm(a);
          attempt["partition"] = a.id.partition;
          attempt["offset"] = a.id.offset;
          all.push_back(std::move(attempt));
        }
        json::object page;
        page["items"] = std::move(all);
        if (found.next) page["next"] = found.next->ToString();
        return json::value(std::move(page));
      },
      std::move(respond));
}

}  // namespace dispatch
