#include "event-manager/src/adapters/lag_report.h"

#include <algorithm>
#include <cmath>

#include "schema/objects.h"
#include "schema/rfc3339.h"

namespace dispatch {

namespace {

json::value Time(int64_t ms) {
  return ms > 0 ? json::value(schema::FormatRfc3339(FromMillis(ms))) : json::value(nullptr);
}

double Rounded(double value) { return std::round(value * 100) / 100; }

json::object VerdictForm(const LagVerdict& verdict) {
  json::object form{{"state", LagStateName(verdict.state)},
                    {"severity", LagSeverity(verdict.state)},
                    {"text", verdict.text}};
  if (!verdict.cause.empty()) form["cause"] = verdict.cause;
  if (verdict.since_ms > 0) form["since"] = Time(verdict.since_ms);
  return form;
}

json::object ErrorForm(const FilterErrorSum& errors) {
  json::object kinds;
  for (const auto& [kind, events] : errors.kinds) kinds[kind] = events;
  json::object form{{"events", errors.events}, {"kinds", std::move(kinds)}};
  if (errors.last_ms > 0) {
    form["last"] = {{"time", Time(errors.last_ms)},
                    {"partition", errors.last_partition},
                    {"offset", errors.last_offset}};
  }
  return form;
}

json::object KeyForm(const schema::BlockingKey& key) {
  json::object form{{"key", key.key},
                    {"waiting", key.waiting},
                    {"since", Time(key.since_ms)},
                    {"attempts", key.attempts},
                    {"status", key.last_status},
                    {"nextAttempt", Time(key.next_ms)},
                    {"partition", key.source_partition},
                    {"offset", key.source_offset}};
  if (!key.last_error.empty()) form["cause"] = key.last_error;
  return form;
}

json::array PartitionForms(const std::vector<PartitionLag>& partitions, const char* position) {
  json::array forms;
  for (size_t p = 0; p < partitions.size(); ++p) {
    forms.push_back({{"partition", p},
                     {position, partitions[p].next},
                     {"end", partitions[p].end},
                     {"lag", partitions[p].unread()}});
  }
  return forms;
}

// Leaves those of the page, of subscriptions by name. Returns the `after` of the next one, or
// empty.
std::string CutPage(const json::object& question, std::vector<LagBoard::EntityPtr>* subscriptions) {
  std::string after = json::GetString(question, "after");
  std::erase_if(*subscriptions, [&](const auto& entity) { return entity->name <= after; });
  int64_t limit = json::GetInt(question, "limit", 0);
  if (limit <= 0 || subscriptions->size() <= static_cast<size_t>(limit)) return {};
  subscriptions->resize(static_cast<size_t>(limit));
  return subscriptions->back()->name;
}

}  // namespace

void LagReport::Register(broker::RpcServer& server) {
  server.Handle("lag.get", [this](schema::Request request, Responder respond) {
    Get(request, std::move(respond));
  });
  server.Handle("lag.blocking", [this](schema::Request request, Responder respond) {
    BlockingKeys(request, respond);
  });
}

void LagReport::Get(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  std::string name = json::GetString(*body, "subscription");
  std::vector<LagBoard::EntityPtr> subscriptions;
  state_.ForEach(schema::kSubscriptionKind, [&](const LagBoard::EntityPtr& entity) {
    if (entity->org != request.org || (!name.empty() && entity->name != name)) return;
    subscriptions.push_back(entity);
  });
  if (subscriptions.empty() && !name.empty()) {
    return respond(Error{Code::kNotFound, "subscription '" + name + "' does not exist"});
  }
  std::sort(subscriptions.begin(), subscriptions.end(),
            [](const auto& a, const auto& b) { return a->name < b->name; });
  std::string next = CutPage(*body, &subscriptions);
  survey_.Look(
      std::move(subscriptions), [this, next, respond = std::move(respond)](Result<LagBoard> board) {
        if (!board.ok()) return respond(board.error());
        json::array rows;
        for (const auto& row : board->subscriptions) rows.push_back(Form(row));
        json::array topics;
        for (const auto& topic : board->topics) {
          topics.push_back({{"name", topic.entity->name},
                            {"partitions", PartitionForms(topic.partitions, "position")}});
        }
        broker::RpcReply reply;
        json::object answer{{"subscriptions", std::move(rows)}, {"topics", std::move(topics)}};
        if (!next.empty()) answer["next"] = next;
        reply.body = std::move(answer);
        respond(std::move(reply));
      });
}

json::object LagReport::Form(const LagBoard::Subscription& row) const {
  const LagFigures& figures = row.figures;
  json::object out;
  out["name"] = row.entity->name;
  out["topic"] = row.topic;
  out["matched"] = figures.matched;
  out["delivered"] = figures.delivered;
  out["deadLettered"] = figures.dead_lettered;
  out["cancelled"] = figures.cancelled;
  out["pending"] = {{"queued", figures.queued},
                    {"inFlight", figures.in_flight},
                    {"retrying", figures.retrying},
                    {"scheduled", figures.scheduled}};
  out["unread"] = figures.unread;
  out["lost"] = figures.lost;
  out["evaluationErrors"] = ErrorForm(figures.filter_errors);
  out["mode"] = LagModeName(figures.mode);
  auto seconds = [this](int64_t ms) {
    return std::max(0.0, static_cast<double>(ToMillis(loop_.Now()) - ms) / 1000);
  };
  int64_t oldest_pending = row.progress.oldest_pending_ms;
  out["oldestPending"] = Time(oldest_pending);
  if (oldest_pending > 0) out["oldestPendingSeconds"] = seconds(oldest_pending);
  out["oldestUndelivered"] = Time(figures.oldest_ms);
  out["oldestUndeliveredSeconds"] = figures.oldest_ms > 0 ? seconds(figures.oldest_ms) : 0.0;
  out["oldestUndeliveredAccuracy"] = figures.oldest_exact ? "exact" : "estimated";
  out["deliveredPerSecond"] = Rounded(row.trend.settled_rate);
  out["arrivingPerSecond"] = Rounded(std::max(0.0, row.trend.arrival_rate));
  out["drainSeconds"] = row.verdict.drain_seconds ? json::value(Rounded(*row.verdict.drain_seconds))
                                                  : json::value(nullptr);
  out["retentionSeconds"] = row.verdict.retention_seconds
                                ? json::value(Rounded(*row.verdict.retention_seconds))
                                : json::value(nullptr);
  out["conservationError"] = figures.conservation_error;
  out["verdict"] = VerdictForm(row.verdict);
  if (!row.progress.last_failure.empty()) out["lastFailure"] = row.progress.last_failure;
  if (row.progress.failing_since_ms > 0) out["failingSince"] = Time(row.progress.failing_since_ms);
  if (row.progress.last_success_ms > 0) out["lastSuccess"] = Time(row.progress.last_success_ms);
  if (const auto& blocked = row.progress.blocked; blocked.keys > 0) {
    out["blocked"] = {{"keys", blocked.keys}, {"waiting", blocked.waiting}};
  }
  out["partitions"] = PartitionForms(figures.partitions, "next");
  return out;
}

void LagReport::BlockingKeys(const schema::Request& request, const Responder& respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  std::string name = json::GetString(*body, "subscription");
  auto entity = state_.Find(schema::kSubscriptionKind, request.org + "/" + name);
  if (entity == nullptr) {
    return respond(Error{Code::kNotFound, "subscription '" + name + "' does not exist"});
  }
  json::array keys;
  for (const auto& key : progress_.Of(entity->uuid).blocked.first) keys.push_back(KeyForm(key));
  broker::RpcReply reply;
  reply.body = std::move(keys);
  respond(std::move(reply));
}

}  // namespace dispatch
