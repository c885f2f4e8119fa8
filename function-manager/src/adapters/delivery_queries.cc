#include "function-manager/src/adapters/delivery_queries.h"

#include <algorithm>

#include "function-manager/src/adapters/columns.h"
#include "function-manager/src/adapters/dead_letter_rows.h"
#include "function-manager/src/domain/key_order.h"
#include "schema/objects.h"
#include "schema/rfc3339.h"

namespace dispatch {

namespace {

constexpr char kAttemptsByPosition[] = R"(
  select subscription_name, number, at_ms, latency_us, status, outcome, message, answer_head,
    next_attempt_ms
  from attempts where topic = $1::uuid and source_partition = $2::int and source_offset = $3::bigint
    and org = $4
  order by subscription_name, at_ms, number limit 10000)";
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
constexpr char kAttemptsBySubscription[] = R"(
  select topic, source_partition, source_offset, number, at_ms, latency_us, status, outcome, message,
    answer_head, next_attempt_ms
  from attempts where org = $1 and subscription = $2::uuid and at_ms >= $3::bigint
    and ($4 = '' or outcome = $4)
  order by at_ms desc limit $5::int)";

std::string Time(int64_t ms) { return schema::FormatRfc3339(FromMillis(ms)); }

json::object AttemptForm(const pg::Row& row, size_t first) {
  json::object attempt;
  attempt["attempt"] = row.Int(first);
  attempt["time"] = Time(row.Int(first + 1));
  attempt["latencyMs"] = static_cast<double>(row.Int(first + 2)) / 1000;
  attempt["status"] = row.Int(first + 3);
  attempt["outcome"] = row.Text(first + 4);
  if (!row.Text(first + 5).empty()) attempt["message"] = row.Text(first + 5);
  if (!row.Text(first + 6).empty()) attempt["answer"] = row.Text(first + 6);
  if (row.Int(first + 7) > 0) attempt["nextAttempt"] = Time(row.Int(first + 7));
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
  std::vector<pg::Value> position{json::GetString(*body, "topicUuid"),
                                  std::to_string(json::GetInt(*body, "partition")),
                                  std::to_string(json::GetInt(*body, "offset")), request.org};
  // The retry store knows subscriptions by id; the cache knows their names.
  std::map<Uuid, std::string> names;
  subscriptions_.ForEach(schema::kSubscriptionKind, [&](const auto& entity) {
    if (entity->org == request.org) names[entity->uuid] = entity->name;
  });
  Answer(
      [position, names](pg::Transaction& tx) -> Result<json::value> {
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
        ASSIGN_OR_RETURN(auto attempts, tx.Exec(kAttemptsByPosition, position));
        for (size_t i = 0; i < attempts.size(); ++i) {
          auto& entry = slot(attempts[i].Text(0));
          entry["attempts"].as_array().push_back(AttemptForm(attempts[i], 1));
          const std::string& outcome = attempts[i].Text(5);
          if (outcome == "delivered") entry["status"] = "DELIVERED";
          if (entry["status"] == "DELIVERED") continue;
          if (outcome == "retry") entry["status"] = "RETRYING";
          if (outcome == "dead-lettered") entry["status"] = "DEAD_LETTERED";
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
  int64_t since_ms = 0;
  std::string since = json::GetString(*body, "since");
  if (!since.empty()) {
    auto time = schema::ParseRfc3339(since);
    if (!time.ok()) return respond(Error{Code::kInvalidArgument, "since: " + time.message()});
    since_ms = ToMillis(*time);
  }
  int64_t limit = std::clamp<int64_t>(json::GetInt(*body, "limit", 100), 1, 1000);
  Answer(
      [org = request.org, subscription = *subscription, since_ms, limit,
       outcome = json::GetString(*body, "status")](pg::Transaction& tx) -> Result<json::value> {
        ASSIGN_OR_RETURN(auto rows, tx.Exec(kAttemptsBySubscription,
                                            {org, subscription.ToString(), std::to_string(since_ms),
                                             outcome, std::to_string(limit)}));
        json::array all;
        for (size_t i = 0; i < rows.size(); ++i) {
          json::object attempt = AttemptForm(rows[i], 3);
          attempt["partition"] = rows[i].Int(1);
          attempt["offset"] = rows[i].Int(2);
          all.push_back(std::move(attempt));
        }
        return json::value(std::move(all));
      },
      std::move(respond));
}

}  // namespace dispatch
