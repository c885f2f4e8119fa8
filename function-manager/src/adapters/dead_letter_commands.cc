#include "function-manager/src/adapters/dead_letter_commands.h"

#include <algorithm>
#include <string>

#include "broker-adapters/entities/idempotency.h"
#include "common/metrics.h"
#include "function-manager/src/adapters/columns.h"
#include "function-manager/src/adapters/dead_letter_rows.h"
#include "schema/cloudevents.h"
#include "schema/rfc3339.h"

namespace dispatch {

namespace {

constexpr int64_t kMostPurged = 10'000;  // with one request: it has a deadline

const std::string kColumns =
    " log_partition, log_offset, topic_name, source_partition, source_offset, reason, message,"
    " attempts, last_status, first_attempt_ms, last_attempt_ms, dead_lettered_ms, event, redrive,"
    " nullif(subscription, owner) ";

const std::string kList = "select" + kColumns + "from dead_letters where" + kLetterFilter + R"(
    and (dead_lettered_ms, log_partition, log_offset) > ($9::bigint, $10::int, $11::bigint)
  order by dead_lettered_ms, log_partition, log_offset limit $12::int)";

const std::string kGet = "select" + kColumns + R"(from dead_letters where owner = $1::uuid
    and log_partition = $2::int and log_offset = $3::bigint)";

// What a redrive has chosen is its own.
const std::string kPurge = std::string("with chosen as (select") + kLetterKey +
                           "from dead_letters where" + kLetterFilter + R"(
    and redrive is null
  order by dead_lettered_ms, log_partition, log_offset limit $9::int for update skip locked),
  gone as (delete from dead_letters where ()" +
                           kLetterKey + ") in (select * from chosen) returning" + kLetterKey + R"(),
  kept as (insert into dead_letter_removals (topic, source_partition, source_offset, subscription,
    generation, replay, removed_ms) select gone.*, $10::bigint from gone on conflict do nothing)
  select count(*) from gone)";

const std::string kLeft =
    std::string("select count(*) from dead_letters where") + kLetterFilter + "and redrive is null";

std::string Time(int64_t ms) { return schema::FormatRfc3339(FromMillis(ms)); }

json::object LetterForm(const pg::Row& row, bool with_event) {
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
  if (!row.IsNull(13)) letter["redrive"] = row.Text(13);
  if (!row.IsNull(14)) letter["replay"] = row.Text(14);
  auto data = DecodeEvent(row.Bytes(12));
  if (!data.ok()) return letter;
  auto event = cloudevents::FromKafka(*data);
  if (!event.ok()) return letter;
  if (const auto* id = event->Find("id")) letter["eventId"] = *id;
  if (const auto* type = event->Find("type")) letter["eventType"] = *type;
  if (with_event) {
    auto parsed = json::Parse(cloudevents::ToJson(*event), json::kDataDepth);
    if (parsed.ok()) letter["event"] = std::move(*parsed);
  }
  return letter;
}

// Where a page ended: "<ms>-<partition>-<offset>".
struct Cursor {
  int64_t ms = -1;
  std::pair<int32_t, int64_t> at{-1, -1};
};

Result<Cursor> ParseCursor(const std::string& text) {
  if (text.empty()) return Cursor();
  size_t dash = text.find('-');
  bool digits = dash != std::string::npos && dash > 0 && dash <= 15 &&
                std::all_of(text.begin(), text.begin() + static_cast<ptrdiff_t>(dash),
                            [](char c) { return c >= '0' && c <= '9'; });
  auto at = digits ? ParseDeadLetterId(std::string_view(text).substr(dash + 1)) : std::nullopt;
  if (!at) return Error{Code::kInvalidArgument, "cursor is not one that a page gave"};
  return Cursor{std::stoll(text.substr(0, dash)), *at};
}

struct Asked {
  json::object body;
  Uuid subscription;
  DeadLetterFilter filter;
};

// They come from a query: what is wrong with them is malformed.
Result<Asked> ReadAsked(const broker::StateTable& subscriptions, const schema::Request& request) {
  Asked asked;
  ASSIGN_OR_RETURN(asked.body, json::ParseObject(request.body));
  ASSIGN_OR_RETURN(asked.subscription, SubscriptionOf(subscriptions, request, asked.body));
  std::vector<FieldError> faults;
  asked.filter = ReadDeadLetterFilter(asked.body, "", &faults);
  if (faults.empty()) return asked;
  std::string message = faults[0].field + " " + faults[0].reason;
  return Error{Code::kInvalidArgument, std::move(message), false, std::move(faults)};
}

// Reads rows as JSON on a pool thread and answers with that.
void Answer(pg::Pool& pool, std::function<Result<json::value>(pg::Transaction&)> read,
            broker::RpcServer::Responder respond) {
  pool.Query<json::value>(std::move(read),
                          [respond = std::move(respond)](Result<json::value> value) {
                            if (!value.ok()) return respond(value.error());
                            broker::RpcReply reply;
                            reply.body = std::move(*value);
                            respond(std::move(reply));
                          });
}

}  // namespace

void DeadLetterCommands::Register(broker::RpcServer& server) {
  server.Handle("deadletter.list", [this](const schema::Request& r, Responder respond) {
    List(r, std::move(respond));
  });
  server.Handle("deadletter.get", [this](const schema::Request& r, Responder respond) {
    Get(r, std::move(respond));
  });
  server.HandleChange("deadletter.purge",
                      AnsweringRepeats(pool_, [this](const auto& r, auto respond) {
                        Purge(r, std::move(respond));
                      }));
}

void DeadLetterCommands::List(const schema::Request& request, Responder respond) {
  auto asked = ReadAsked(subscriptions_, request);
  if (!asked.ok()) return respond(asked.error());
  auto cursor = ParseCursor(json::GetString(asked->body, "cursor"));
  if (!cursor.ok()) return respond(cursor.error());
  auto limit = std::clamp<int64_t>(json::GetInt(asked->body, "limit", 100), 1, 1000);
  auto params = LetterFilterParams(asked->subscription, asked->filter);
  for (int64_t number : {cursor->ms, int64_t{cursor->at.first}, cursor->at.second, limit + 1}) {
    params.emplace_back(std::to_string(number));
  }
  Answer(
      pool_,
      [params, limit](pg::Transaction& tx) -> Result<json::value> {
        ASSIGN_OR_RETURN(auto rows, tx.Exec(kList, params));
        auto shown = std::min(rows.size(), static_cast<size_t>(limit));
        json::array items;
        for (size_t i = 0; i < shown; ++i) items.push_back(LetterForm(rows[i], false));
        json::object page;
        if (rows.size() > shown) {
          auto last = rows[shown - 1];
          page["next"] = last.Text(11) + "-" + last.Text(0) + "-" + last.Text(1);
        }
        page["items"] = std::move(items);
        return json::value(std::move(page));
      },
      std::move(respond));
}

void DeadLetterCommands::Get(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto subscription = SubscriptionOf(subscriptions_, request, *body);
  if (!subscription.ok()) return respond(subscription.error());
  std::string id = json::GetString(*body, "id");
  Error none{Code::kNotFound, "no dead letter has the id '" + id + "'"};
  auto at = ParseDeadLetterId(id);
  if (!at) return respond(none);
  std::vector<pg::Value> params{subscription->ToString(), std::to_string(at->first),
                                std::to_string(at->second)};
  Answer(
      pool_,
      [params, none](pg::Transaction& tx) -> Result<json::value> {
        ASSIGN_OR_RETURN(auto rows, tx.Exec(kGet, params));
        if (rows.empty()) return none;
        return json::value(LetterForm(rows[0], true));
      },
      std::move(respond));
}

void DeadLetterCommands::Purge(const schema::Request& request, Responder respond) {
  auto asked = ReadAsked(subscriptions_, request);
  if (!asked.ok()) return respond(asked.error());
  auto filter = LetterFilterParams(asked->subscription, asked->filter);
  auto purge = filter;
  purge.emplace_back(std::to_string(kMostPurged));
  purge.emplace_back(std::to_string(ToMillis(loop_.Now())));
  pool_.Query<broker::RpcReply>(
      [request, filter, purge](pg::Transaction& tx) {
        return Once(tx, request, [&]() -> Result<broker::RpcReply> {
          ASSIGN_OR_RETURN(auto purged, tx.Exec(kPurge, purge));
          ASSIGN_OR_RETURN(auto left, tx.Exec(kLeft, filter));
          broker::RpcReply reply;
          reply.body = json::object{{"purged", purged[0].Int(0)}, {"left", left[0].Int(0)}};
          return reply;
        });
      },
      [respond = std::move(respond)](Result<broker::RpcReply> reply) {
        static const auto counter =
            metrics::GetCounter("dispatch_dead_letters_purged_total",
                                "Dead letters that users removed, repeated answers included");
        if (reply.ok()) {
          counter.Add(static_cast<double>(json::GetInt(reply->body.as_object(), "purged")));
        }
        respond(std::move(reply));
      });
}

}  // namespace dispatch
