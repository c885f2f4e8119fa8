#include "function-manager/src/adapters/delivery_queries.h"

#include <algorithm>
#include <charconv>

#include "function-manager/src/adapters/columns.h"
#include "function-manager/src/domain/key_order.h"
#include "schema/cloudevents.h"
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
  select subscription, attempts, due_ms, last_status, last_error from retries
  where topic = $1::uuid and source_partition = $2::int and source_offset = $3::bigint
    and org = $4)";
constexpr char kDeadByPosition[] = R"(
  select subscription_name, reason, message, attempts, dead_lettered_ms from dead_letters
  where topic = $1::uuid and source_partition = $2::int and source_offset = $3::bigint
    and org = $4)";
constexpr char kAttemptsBySubscription[] = R"(
  select topic, source_partition, source_offset, number, at_ms, latency_us, status, outcome, message,
    answer_head, next_attempt_ms
  from attempts where org = $1 and subscription = $2::uuid and at_ms >= $3::bigint
    and ($4 = '' or outcome = $4)
  order by at_ms desc limit $5::int)";
constexpr char kDeadLetters[] = R"(
  select log_partition, log_offset, topic_name, source_partition, source_offset, reason, message,
    attempts, last_status, first_attempt_ms, last_attempt_ms, dead_lettered_ms, event
  from dead_letters where org = $1 and subscription_name = $2 and subscription = $3::uuid
    and (dead_lettered_ms, log_partition, log_offset) > ($4::bigint, $5::int, $6::bigint)
  order by dead_lettered_ms, log_partition, log_offset limit $7::int)";
constexpr char kDeadLetter[] = R"(
  select log_partition, log_offset, topic_name, source_partition, source_offset, reason, message,
    attempts, last_status, first_attempt_ms, last_attempt_ms, dead_lettered_ms, event
  from dead_letters where org = $1 and subscription_name = $2 and subscription = $3::uuid
    and log_partition = $4::int and log_offset = $5::bigint)";

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

// Dead letters are named by where they are in dispatch.dead-letters: "<partition>-<offset>".
Result<std::pair<int64_t, int64_t>> ParsePair(std::string_view text) {
  std::pair<int64_t, int64_t> pair;
  const char* end = text.data() + text.size();
  auto first = std::from_chars(text.data(), end, pair.first);
  if (first.ec == std::errc() && first.ptr != end && *first.ptr == '-') {
    auto second = std::from_chars(first.ptr + 1, end, pair.second);
    if (second.ec == std::errc() && second.ptr == end) return pair;
  }
  return Error{Code::kNotFound, "no dead letter has the id '" + std::string(text) + "'"};
}

json::object DeadLetterForm(const pg::Row& row, bool with_event) {
  json::object letter;
  letter["id"] = row.Text(0) + "-" + row.Text(1);
  letter["topic"] = row.Text(2);
  letter["partition"] = row.Int(3);
  letter["offset"] = row.Int(4);
  letter["reason"] = row.Text(5);
  letter["message"] = row.Text(6);
  letter["attempts"] = row.Int(7);
  letter["lastStatus"] = row.Int(8);
  if (row.Int(9) > 0) letter["firstAttempt"] = Time(row.Int(9));
  if (row.Int(10) > 0) letter["lastAttempt"] = Time(row.Int(10));
  letter["deadLetteredTime"] = Time(row.Int(11));
  auto data = DecodeEvent(row.Bytes(12));
  if (!data.ok()) return letter;
  auto event = cloudevents::FromKafka(*data);
  if (!event.ok()) return letter;
  if (const auto* id = event->Find("id")) letter["eventId"] = *id;
  if (const auto* type = event->Find("type")) letter["eventType"] = *type;
  if (with_event) {
    auto parsed = json::Parse(cloudevents::ToJson(*event));
    if (parsed.ok()) letter["event"] = std::move(*parsed);
  }
  return letter;
}

}  // namespace

void DeliveryQueries::Register(broker::RpcServer& server) {
  server.Handle("delivery.byPosition", [this](const schema::Request& r, Responder respond) {
    ByPosition(r, std::move(respond));
  });
  server.Handle("delivery.list", [this](const schema::Request& r, Responder respond) {
    List(r, std::move(respond));
  });
  server.Handle("deadletter.list", [this](const schema::Request& r, Responder respond) {
    DeadLetterList(r, std::move(respond));
  });
  server.Handle("deadletter.get", [this](const schema::Request& r, Responder respond) {
    DeadLetterGet(r, std::move(respond));
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

Result<Uuid> DeliveryQueries::SubscriptionOf(const schema::Request& request,
                                             const json::object& body) const {
  std::string name = json::GetString(body, "subscription");
  auto entity = subscriptions_.Find(schema::kSubscriptionKind, request.org + "/" + name);
  if (entity == nullptr) {
    return Error{Code::kNotFound, "subscription '" + name + "' does not exist"};
  }
  return entity->uuid;
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
          if (attempts[i].Text(5) == "delivered") entry["status"] = "DELIVERED";
          if (attempts[i].Text(5) == "retry" && entry["status"] != "DELIVERED") {
            entry["status"] = "RETRYING";
          }
        }
        ASSIGN_OR_RETURN(auto waiting, tx.Exec(kWaitingByPosition, position));
        for (size_t i = 0; i < waiting.size(); ++i) {
          auto name = names.find(ReadUuid(waiting[i], 0));
          if (name == names.end()) continue;
          auto& entry = slot(name->second);
          if (entry["status"] == "DELIVERED") continue;
          entry["status"] = "RETRYING";
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
        json::array all;
        for (auto& [name, entry] : by_subscription) all.push_back(std::move(entry));
        return json::value(std::move(all));
      },
      std::move(respond));
}

void DeliveryQueries::List(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto subscription = SubscriptionOf(request, *body);
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

void DeliveryQueries::DeadLetterList(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto subscription = SubscriptionOf(request, *body);
  if (!subscription.ok()) return respond(subscription.error());
  int64_t limit = std::clamp<int64_t>(json::GetInt(*body, "limit", 100), 1, 1000);
  // The cursor is where the last page ended: "<ms>-<partition>-<offset>".
  std::string cursor = json::GetString(*body, "cursor");
  std::string after_ms = "0";
  std::string after_partition = "-1";
  std::string after_offset = "-1";
  if (!cursor.empty()) {
    size_t dash = cursor.find('-');
    auto rest =
        ParsePair(dash == std::string::npos ? "" : std::string_view(cursor).substr(dash + 1));
    bool digits = dash != std::string::npos && dash > 0 &&
                  std::all_of(cursor.begin(), cursor.begin() + static_cast<ptrdiff_t>(dash),
                              [](char c) { return c >= '0' && c <= '9'; });
    if (!rest.ok() || !digits || dash > 15) {
      return respond(Error{Code::kInvalidArgument, "cursor is not one that a page gave"});
    }
    after_ms = cursor.substr(0, dash);
    after_partition = std::to_string(rest->first);
    after_offset = std::to_string(rest->second);
  }
  std::vector<pg::Value> params{request.org,
                                json::GetString(*body, "subscription"),
                                subscription->ToString(),
                                after_ms,
                                after_partition,
                                after_offset,
                                std::to_string(limit + 1)};
  Answer(
      [params, limit](pg::Transaction& tx) -> Result<json::value> {
        ASSIGN_OR_RETURN(auto rows, tx.Exec(kDeadLetters, params));
        json::array items;
        json::object page;
        for (size_t i = 0; i < rows.size() && i < static_cast<size_t>(limit); ++i) {
          items.push_back(DeadLetterForm(rows[i], false));
        }
        if (rows.size() > static_cast<size_t>(limit)) {
          auto last = rows[static_cast<size_t>(limit) - 1];
          page["next"] = last.Text(11) + "-" + last.Text(0) + "-" + last.Text(1);
        }
        page["items"] = std::move(items);
        return json::value(std::move(page));
      },
      std::move(respond));
}

void DeliveryQueries::DeadLetterGet(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto subscription = SubscriptionOf(request, *body);
  if (!subscription.ok()) return respond(subscription.error());
  std::string id = json::GetString(*body, "id");
  auto position = ParsePair(id);
  if (!position.ok()) return respond(position.error());
  std::vector<pg::Value> params{request.org, json::GetString(*body, "subscription"),
                                subscription->ToString(), std::to_string(position->first),
                                std::to_string(position->second)};
  Answer(
      [params, id](pg::Transaction& tx) -> Result<json::value> {
        ASSIGN_OR_RETURN(auto rows, tx.Exec(kDeadLetter, params));
        if (rows.empty()) return Error{Code::kNotFound, "no dead letter has the id '" + id + "'"};
        return json::value(DeadLetterForm(rows[0], true));
      },
      std::move(respond));
}

}  // namespace dispatch
