#include "function-manager/src/adapters/redrive_commands.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "broker-adapters/entities/idempotency.h"
#include "common/config.h"
#include "common/log.h"
#include "function-manager/src/adapters/columns.h"
#include "function-manager/src/adapters/dead_letter_rows.h"
#include "schema/objects.h"
#include "schema/request_reader.h"
#include "schema/rfc3339.h"

namespace dispatch {

namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr Duration kTidyEvery = std::chrono::seconds(10);
constexpr milliseconds kKeep = hours(30 * 24);

const std::string kColumns =
    " id, subscription_name, filter, rate_events, rate_ms, state, message, total, moved, "
    "created_ms,"
    " finished_ms ";

const std::string kTotal = std::string("select count(*) from dead_letters where") + kLetterFilter +
                           kOwnLetter +
                           R"(and redrive is null and shard is not null and sequence is not null
  and dead_lettered_ms < $9::bigint)";
constexpr char kRunning[] = R"(
  select id from redrives where subscription = $1::uuid and state = 'RUNNING')";
const std::string kInsert = R"(
  insert into redrives (id, org, subscription, subscription_name, filter, rate_events, rate_ms,
    paced_us, state, total, created_ms)
  values ($1::uuid, $2, $3::uuid, $4, $5, $6::bigint, $7::bigint, $8::bigint * 1000, 'RUNNING',
    $9::bigint, $8::bigint) returning)" +
                            kColumns;
const std::string kList = "select" + kColumns + R"(from redrives where subscription = $1::uuid
  order by created_ms desc, id desc limit $2::int)";
const std::string kGet =
    "select" + kColumns + "from redrives where subscription = $1::uuid and id = $2::uuid";
const std::string kCancel = R"(
  update redrives set state = 'CANCELLED', finished_ms = $3::bigint, message = $4
  where subscription = $1::uuid and id = $2::uuid and state = 'RUNNING' returning)" +
                            kColumns;
// What is not pending again stays a dead letter.
constexpr char kRelease[] = "update dead_letters set redrive = null where redrive = $1::uuid";
constexpr char kAllRunning[] = R"(
  select id, subscription, org, subscription_name from redrives where state = 'RUNNING'
    and created_ms < $1::bigint)";
constexpr char kForget[] = R"(
  delete from redrives where state <> 'RUNNING' and finished_ms < $1::bigint)";

json::object Form(const pg::Row& row) {
  json::object form;
  form["id"] = row.Text(0);
  form["subscription"] = row.Text(1);
  auto filter = json::ParseObject(row.Text(2));
  form["filter"] = filter.ok() ? std::move(*filter) : json::object();
  if (row.Int(3) > 0) {
    form["rate"] = {{"events", row.Int(3)}, {"per", FormatDuration(milliseconds(row.Int(4)))}};
  }
  form["state"] = row.Text(5);
  if (!row.Text(6).empty()) form["message"] = row.Text(6);
  form["total"] = row.Int(7);
  form["moved"] = row.Int(8);
  form["createdTime"] = schema::FormatRfc3339(FromMillis(row.Int(9)));
  if (row.Int(10) > 0) form["finishedTime"] = schema::FormatRfc3339(FromMillis(row.Int(10)));
  return form;
}

broker::RpcReply ReplyWith(json::value body) {
  broker::RpcReply reply;
  reply.body = std::move(body);
  return reply;
}

struct NewRedrive {
  std::string subscription_name;
  Uuid subscription;
  DeadLetterFilter filter;
  int64_t rate_events = 0;
  int64_t rate_ms = 1'000;
};

void ReadRate(schema::RequestReader& reader, NewRedrive& redrive) {
  const auto* given = reader.Object("rate");
  if (given == nullptr) return;
  schema::RequestReader inner(*given, "rate");
  if (!inner.Has("events")) inner.Fault("events", "is required: how many in each \"per\"");
  redrive.rate_events = inner.Int("events", 1, 1, 1'000'000);
  redrive.rate_ms =
      inner.Duration("per", std::chrono::seconds(1), milliseconds(100), hours(24)).count();
  inner.Allow({});
  reader.Take(inner);
}

Result<NewRedrive> ReadNew(const broker::StateTable& subscriptions,
                           const schema::Request& request) {
  NewRedrive redrive;
  ASSIGN_OR_RETURN(auto body, json::ParseObject(request.body));
  ASSIGN_OR_RETURN(redrive.subscription, SubscriptionOf(subscriptions, request, body));
  redrive.subscription_name = json::GetString(body, "subscription");
  schema::RequestReader reader(body);
  if (const auto* filter = reader.Object("filter")) {
    std::vector<FieldError> faults;
    redrive.filter = ReadDeadLetterFilter(*filter, "", &faults);
    schema::RequestReader inner(*filter, "filter");
    for (auto& fault : faults) inner.Fault(fault.field, fault.reason);
    inner.Allow({"reason", "type", "status", "since", "until", "id"});
    reader.Take(inner);
  }
  ReadRate(reader, redrive);
  reader.Allow({"subscription", "subscriptionId"});
  if (!reader.ok()) return reader.error();
  return redrive;
}

Result<broker::RpcReply> Insert(pg::Transaction& tx, const NewRedrive& redrive,
                                const std::string& org, const Uuid& id, int64_t now_ms) {
  ASSIGN_OR_RETURN(auto running, tx.Exec(kRunning, {redrive.subscription.ToString()}));
  if (!running.empty()) {
    return Error{Code::kConflict, "redrive " + running[0].Text(0) +
                                      " of this subscription is under way: wait for its end, or "
                                      "cancel it"};
  }
  auto params = LetterFilterParams(redrive.subscription, redrive.filter);
  params.emplace_back(std::to_string(now_ms));
  ASSIGN_OR_RETURN(auto total, tx.Exec(kTotal, params));
  ASSIGN_OR_RETURN(
      auto row,
      tx.Exec(kInsert,
              {id.ToString(), org, redrive.subscription.ToString(), redrive.subscription_name,
               json::Serialize(DeadLetterFilterForm(redrive.filter)),
               std::to_string(redrive.rate_events), std::to_string(redrive.rate_ms),
               std::to_string(now_ms), total[0].Text(0)}));
  return ReplyWith(Form(row[0]));
}

// The job as it was when it has ended before.
Result<broker::RpcReply> CancelIn(pg::Transaction& tx, const std::string& subscription,
                                  const std::string& id, int64_t now_ms,
                                  const std::string& message) {
  ASSIGN_OR_RETURN(auto row, tx.Exec(kCancel, {subscription, id, std::to_string(now_ms), message}));
  if (!row.empty()) {
    RETURN_IF_ERROR(tx.Exec(kRelease, {id}));
  } else {
    ASSIGN_OR_RETURN(row, tx.Exec(kGet, {subscription, id}));
    if (row.empty()) return Error{Code::kNotFound, "no redrive has the id '" + id + "'"};
  }
  return ReplyWith(Form(row[0]));
}

struct Named {
  std::string subscription;
  std::string id;
};

Result<Named> ReadNamed(const broker::StateTable& subscriptions, const schema::Request& request) {
  ASSIGN_OR_RETURN(auto body, json::ParseObject(request.body));
  ASSIGN_OR_RETURN(auto subscription, SubscriptionOf(subscriptions, request, body));
  std::string id = json::GetString(body, "id");
  auto parsed = Uuid::Parse(id);
  if (!parsed.ok()) return Error{Code::kNotFound, "no redrive has the id '" + id + "'"};
  return Named{subscription.ToString(), parsed->ToString()};
}

}  // namespace

RedriveCommands::~RedriveCommands() { loop_.Cancel(tidy_); }

void RedriveCommands::Register(broker::RpcServer& server) {
  auto change = [this, &server](const char* method, auto handler) {
    server.HandleChange(method, AnsweringRepeats(pool_, handler));
  };
  change("redrive.create", [this](const auto& r, auto d) { Create(r, std::move(d)); });
  change("redrive.cancel", [this](const auto& r, auto d) { Cancel(r, std::move(d)); });
  server.Handle("redrive.list", [this](const schema::Request& r, Responder respond) {
    List(r, std::move(respond));
  });
  server.Handle("redrive.get", [this](const schema::Request& r, Responder respond) {
    Get(r, std::move(respond));
  });
}

void RedriveCommands::Create(const schema::Request& request, Responder respond) {
  auto redrive = ReadNew(subscriptions_, request);
  if (!redrive.ok()) return respond(redrive.error());
  pool_.Query<broker::RpcReply>(
      [request, redrive = *redrive, id = Uuid::V7(loop_.Now()),
       now_ms = ToMillis(loop_.Now())](pg::Transaction& tx) {
        return Once(tx, request, [&] { return Insert(tx, redrive, request.org, id, now_ms); });
      },
      [this, alive = std::weak_ptr(alive_),
       respond = std::move(respond)](Result<broker::RpcReply> reply) {
        if (reply.code() == Code::kAlreadyExists) {
          return respond(Error{Code::kConflict, "another redrive of this subscription has begun"});
        }
        if (reply.ok() && !alive.expired()) begun_();
        respond(std::move(reply));
      });
}

void RedriveCommands::List(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto subscription = SubscriptionOf(subscriptions_, request, *body);
  if (!subscription.ok()) return respond(subscription.error());
  auto limit = std::clamp<int64_t>(json::GetInt(*body, "limit", 100), 1, 1000);
  pool_.Query<broker::RpcReply>(
      [id = subscription->ToString(), limit](pg::Transaction& tx) -> Result<broker::RpcReply> {
        ASSIGN_OR_RETURN(auto rows, tx.Exec(kList, {id, std::to_string(limit)}));
        json::array all;
        for (size_t i = 0; i < rows.size(); ++i) all.push_back(Form(rows[i]));
        return ReplyWith(std::move(all));
      },
      std::move(respond));
}

void RedriveCommands::Get(const schema::Request& request, Responder respond) {
  auto named = ReadNamed(subscriptions_, request);
  if (!named.ok()) return respond(named.error());
  pool_.Query<broker::RpcReply>(
      [named = *named](pg::Transaction& tx) -> Result<broker::RpcReply> {
        ASSIGN_OR_RETURN(auto row, tx.Exec(kGet, {named.subscription, named.id}));
        if (row.empty()) return Error{Code::kNotFound, "no redrive has the id '" + named.id + "'"};
        return ReplyWith(Form(row[0]));
      },
      std::move(respond));
}

void RedriveCommands::Cancel(const schema::Request& request, Responder respond) {
  auto named = ReadNamed(subscriptions_, request);
  if (!named.ok()) return respond(named.error());
  pool_.Query<broker::RpcReply>(
      [request, named = *named, now_ms = ToMillis(loop_.Now())](pg::Transaction& tx) {
        return Once(tx, request,
                    [&] { return CancelIn(tx, named.subscription, named.id, now_ms, ""); });
      },
      std::move(respond));
}

void RedriveCommands::Tidy() {
  tidy_ = loop_.After(kTidyEvery, [this] { Tidy(); });
  struct Running {
    Named named;
    Uuid subscription;
    std::string key;
  };
  int64_t now_ms = ToMillis(loop_.Now());
  pool_.Query<std::vector<Running>>(
      [now_ms](pg::Transaction& tx) -> Result<std::vector<Running>> {
        RETURN_IF_ERROR(tx.Exec(kForget, {std::to_string(now_ms - kKeep.count())}));
        // A younger one may be of a subscription that we have not heard of yet.
        ASSIGN_OR_RETURN(auto rows, tx.Exec(kAllRunning, {std::to_string(now_ms - 10'000)}));
        std::vector<Running> all;
        for (size_t i = 0; i < rows.size(); ++i) {
          auto row = rows[i];
          all.push_back(
              {{row.Text(1), row.Text(0)}, ReadUuid(row, 1), row.Text(2) + "/" + row.Text(3)});
        }
        return all;
      },
      [this, alive = std::weak_ptr(alive_), now_ms](Result<std::vector<Running>> running) {
        if (alive.expired() || !running.ok() || !subscriptions_.ready()) return;
        for (const auto& redrive : *running) {
          auto entity = subscriptions_.Find(schema::kSubscriptionKind, redrive.key);
          if (entity != nullptr && entity->uuid == redrive.subscription) continue;
          pool_.Run(
              [named = redrive.named, now_ms](pg::Transaction& tx) {
                return CancelIn(tx, named.subscription, named.id, now_ms,
                                "the subscription was deleted")
                    .status();
              },
              [](const Status&) {});  // the next time, else
        }
      });
}

}  // namespace dispatch
