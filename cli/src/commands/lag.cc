#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <thread>
#include <tuple>

#include "cli/src/command.h"
#include "common/config.h"

namespace dispatch::cli {

namespace {

std::string Pending(const json::object& subscription) {
  const auto* pending = json::GetObject(subscription, "pending");
  if (pending == nullptr) return "";
  int64_t queued = json::GetInt(*pending, "queued");
  int64_t in_flight = json::GetInt(*pending, "inFlight");
  int64_t retrying = json::GetInt(*pending, "retrying");
  std::string text = std::to_string(queued + in_flight + retrying);
  int64_t scheduled = json::GetInt(*pending, "scheduled");
  if (retrying > 0) text += fmt::format(" ({} retrying)", retrying);
  if (scheduled > 0) text += fmt::format(" +{} scheduled", scheduled);
  return text;
}

// "12 (3 errors)": for so many events a filter could not tell.
std::string Matched(const json::object& subscription) {
  std::string text = std::to_string(json::GetInt(subscription, "matched"));
  const auto* errors = json::GetObject(subscription, "evaluationErrors");
  int64_t events = errors != nullptr ? json::GetInt(*errors, "events") : 0;
  if (events > 0) text += fmt::format(" ({} error{})", events, events == 1 ? "" : "s");
  return text;
}

std::string Seconds(double seconds) {
  if (seconds < 120) return fmt::format("{:.1f} s", seconds);
  if (seconds < 7'200) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3'600);
}

std::string Oldest(const json::object& subscription) {
  if (json::GetString(subscription, "oldestUndelivered").empty()) return "";
  bool exact = json::GetString(subscription, "oldestUndeliveredAccuracy") == "exact";
  return (exact ? "" : "~") + Seconds(json::GetDouble(subscription, "oldestUndeliveredSeconds"));
}

std::string Drain(const json::object& subscription) {
  const auto* drain = subscription.if_contains("drainSeconds");
  if (drain == nullptr || drain->is_null()) return "-";
  double seconds = json::GetDouble(subscription, "drainSeconds");
  return seconds <= 0 ? "" : Seconds(seconds);
}

std::string Verdict(const json::object& subscription) {
  const auto* verdict = json::GetObject(subscription, "verdict");
  if (verdict == nullptr) return "";
  return json::GetString(*verdict, "state") + ": " + json::GetString(*verdict, "text");
}

// What hurts most comes first.
void SortByPain(json::value& lag) {
  auto* object = lag.if_object();
  auto* found = object != nullptr ? object->if_contains("subscriptions") : nullptr;
  if (found == nullptr || !found->is_array()) return;
  auto pain = [](const json::value& value) {
    static const json::object kNothing;
    const auto& row = value.is_object() ? value.get_object() : kNothing;
    const auto* verdict = json::GetObject(row, "verdict");
    return std::tuple(verdict != nullptr ? -json::GetInt(*verdict, "severity") : 0,
                      -json::GetDouble(row, "oldestUndeliveredSeconds"),
                      json::GetString(row, "name"));
  };
  json::array& rows = found->get_array();
  std::sort(rows.begin(), rows.end(),
            [&](const json::value& a, const json::value& b) { return pain(a) < pain(b); });
}

const std::vector<Column>& SubscriptionColumns() {
  static const std::vector<Column> columns = {FieldColumn("SUBSCRIPTION", "name"),
                                              FieldColumn("TOPIC", "topic"),
                                              FieldColumn("MODE", "mode"),
                                              FieldColumn("UNREAD", "unread"),
                                              {"MATCHED", Matched},
                                              FieldColumn("DELIVERED", "delivered"),
                                              {"PENDING", Pending},
                                              FieldColumn("DEAD", "deadLettered"),
                                              FieldColumn("LOST", "lost"),
                                              {"OLDEST", Oldest},
                                              {"DRAIN", Drain},
                                              {"VERDICT", Verdict}};
  return columns;
}

std::string PartitionTable(const json::object& lag) {
  Table table({"TOPIC", "PARTITION", "POSITION", "END", "LAG"});
  const auto* topics = json::GetArray(lag, "topics");
  for (const auto& element : topics != nullptr ? *topics : json::array()) {
    const auto* topic = element.if_object();
    const auto* partitions = topic != nullptr ? json::GetArray(*topic, "partitions") : nullptr;
    for (const auto& entry : partitions != nullptr ? *partitions : json::array()) {
      const auto* partition = entry.if_object();
      if (partition == nullptr) continue;
      std::vector<std::string> row = {json::GetString(*topic, "name")};
      for (const char* field : {"partition", "position", "end", "lag"}) {
        row.push_back(std::to_string(json::GetInt(*partition, field)));
      }
      table.Add(std::move(row));
    }
  }
  return table.Render();
}

std::string Behind(const json::object& key) { return std::to_string(json::GetInt(key, "waiting")); }

std::string Tries(const json::object& key) { return std::to_string(json::GetInt(key, "attempts")); }

std::string Place(const json::object& key) {
  return fmt::format("{}@{}", json::GetInt(key, "partition"), json::GetInt(key, "offset"));
}

std::string Cause(const json::object& key) {
  std::string cause = json::GetString(key, "cause");
  return cause.empty() ? "no answer" : cause;
}

std::string Next(const json::object& key) {
  std::string next = json::GetString(key, "nextAttempt");
  return next.empty() ? "now" : next;
}

const std::vector<Column>& KeyColumns() {
  static const std::vector<Column> columns = {FieldColumn("BLOCKING KEY", "key"),
                                              {"BEHIND", Behind},
                                              {"EVENT", Place},
                                              FieldColumn("SINCE", "since"),
                                              {"TRIES", Tries},
                                              {"NEXT", Next},
                                              {"CAUSE", Cause}};
  return columns;
}

// Leaves one subscription with its topic, and adds which keys block it, if any do.
Status KeepOne(Api& api, const std::string& name, json::value& lag) {
  static const json::object kNothing;
  const auto& whole = lag.is_object() ? lag.get_object() : kNothing;
  json::array kept;
  json::array topics;
  const auto* rows = json::GetArray(whole, "subscriptions");
  for (const auto& element : rows != nullptr ? *rows : json::array()) {
    const auto* row = element.if_object();
    if (row != nullptr && json::GetString(*row, "name") == name) kept.push_back(*row);
  }
  if (kept.empty()) return {Code::kNotFound, "subscription '" + name + "' does not exist"};
  auto& row = kept[0].get_object();
  const auto* all = json::GetArray(whole, "topics");
  for (const auto& element : all != nullptr ? *all : json::array()) {
    const auto* topic = element.if_object();
    bool its = topic != nullptr && json::GetString(*topic, "name") == json::GetString(row, "topic");
    if (its) topics.push_back(*topic);
  }
  if (json::GetObject(row, "blocked") != nullptr) {
    ASSIGN_OR_RETURN(
        auto keys,
        CallJson(api, "GET", "/v1/subscriptions/" + PercentEncode(name) + "/blocking-keys"));
    row["blockingKeys"] = std::move(keys);
  }
  lag = json::object{{"subscriptions", std::move(kept)}, {"topics", std::move(topics)}};
  return {};
}

std::string BlockingTable(const json::object& lag) {
  const auto* rows = json::GetArray(lag, "subscriptions");
  const auto* row = rows != nullptr && rows->size() == 1 ? rows->front().if_object() : nullptr;
  const auto* keys = row != nullptr ? json::GetArray(*row, "blockingKeys") : nullptr;
  return keys == nullptr || keys->empty() ? "" : "\n" + MakeTable(KeyColumns(), *keys).Render();
}

std::string LagTable(const json::value& value, bool partitions) {
  static const json::object kNothing;
  const auto* lag = value.is_object() ? &value.get_object() : &kNothing;
  const auto* subscriptions = json::GetArray(*lag, "subscriptions");
  std::string text =
      MakeTable(SubscriptionColumns(), subscriptions != nullptr ? *subscriptions : json::array())
          .Render();
  text += BlockingTable(*lag);
  if (partitions) text += "\n" + PartitionTable(*lag);
  return text;
}

class Lag : public Command {
 public:
  Lag() {
    info_.name = "lag";
    info_.usage = "[SUBSCRIPTION] [FLAGS]";
    info_.summary = "how far each subscription is behind";
    info_.text =
        "UNREAD events lie ahead in the topic; MATCHED = DELIVERED + DEAD + cancelled + PENDING.\n"
        "For those in (errors) a CESQL filter ended with an error, which is no match; kinds and "
        "the\n"
        "place of the last are in -o json. LOST ones were gone by retention before they could be\n"
        "read. OLDEST is the age of the oldest event that is unread or pending, DRAIN the time "
        "until\n"
        "none is, as things go (-: never). What hurts most comes first.\n"
        "Of one SUBSCRIPTION that is ordered by key also the keys that are in the way: their "
        "first\n"
        "event failed or gets no answer, and BEHIND so many wait (permission read-runs).\n";
    info_.flags = {{.name = "partitions", .help = "also each partition of the topics"},
                   {.name = "watch", .help = "again and again, until Ctrl-C", .letter = 'w'},
                   {.name = "interval", .value = "DURATION", .help = "of --watch (default 2s)"}};
    info_.examples = {"dispatch lag", "dispatch lag --watch --partitions", "dispatch lag orders"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    const Arguments& arguments = invocation.arguments;
    RETURN_IF_ERROR(CheckCount(arguments, 0, 1, "at most one subscription"));
    auto interval = ParseDuration(arguments.ValueOr("interval", "2s"));
    if (!interval.ok() || interval->count() <= 0) {
      return UsageError("--interval is a duration as 2s");
    }
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    bool watch = arguments.Has("watch");
    while (true) {
      ASSIGN_OR_RETURN(auto lag, CallJson(*api, "GET", "/v1/lag"));
      if (!arguments.positionals().empty()) {
        RETURN_IF_ERROR(KeepOne(*api, arguments.positionals()[0], lag));
      }
      SortByPain(lag);
      // From the top of an empty screen.
      if (watch && invocation.format == Format::kTable) invocation.out << "\033[H\033[2J";
      invocation.Print(lag, [&] { return LagTable(lag, arguments.Has("partitions")); });
      if (!watch) return {};
      invocation.out.flush();
      std::this_thread::sleep_for(*interval);
    }
  }

 private:
  CommandInfo info_;
};

}  // namespace

CommandPtr MakeLag() { return std::make_unique<Lag>(); }

}  // namespace dispatch::cli
