#include <fmt/format.h>

#include <chrono>

#include "cli/src/command.h"
#include "cli/src/kinds/kind.h"

namespace dispatch::cli {

namespace {

std::string PathOfReplays(const std::string& subscription) {
  return fmt::format("/v1/subscriptions/{}/replays", PercentEncode(subscription));
}

int64_t Pending(const json::object& progress) {
  int64_t sum = 0;
  if (const auto* pending = json::GetObject(progress, "pending")) {
    for (const auto& [state, count] : *pending) sum += count.is_int64() ? count.as_int64() : 0;
  }
  return sum;
}

// "RUNNING: 40 of 100 offsets read, 12 matched, 10 delivered, 2 pending".
std::string StateText(const json::object& replay) {
  std::string text = Printable(json::GetString(replay, "status"));
  const auto* progress = json::GetObject(replay, "progress");
  int64_t offsets = json::GetInt(replay, "offsets");
  if (progress == nullptr) return text + fmt::format(": {} offsets", offsets);
  text += fmt::format(": {} of {} offsets read, {} matched, {} delivered",
                      json::GetInt(*progress, "read"), offsets, json::GetInt(*progress, "matched"),
                      json::GetInt(*progress, "delivered"));
  if (int64_t count = Pending(*progress); count > 0) text += fmt::format(", {} pending", count);
  for (const auto& [field, word] : {std::pair{"deadLettered", "dead-lettered"},
                                    {"cancelled", "cancelled"},
                                    {"lost", "lost to retention"}}) {
    if (int64_t count = json::GetInt(*progress, field); count > 0) {
      text += fmt::format(", {} {}", count, word);
    }
  }
  return text;
}

class Replay : public Command {
 public:
  Replay() {
    info_.name = "replay";
    info_.usage = "SUBSCRIPTION --from WHERE [--to WHERE] [--filter CESQL] [--rate N]";
    info_.summary = "deliver a stretch of the topic once more, beside what is live";
    info_.text =
        "Also: SUBSCRIPTION --list, --show ID, --cancel ID. A replay goes on by itself, also over\n"
        "restarts; --wait shows how far it is and ends with it.\n";
    info_.flags = {
        {.name = "from", .value = "WHERE", .help = "earliest, a time, or {\"offsets\": [...]}"},
        {.name = "to",
         .value = "WHERE",
         .help = "before where it ends (default: what is there now)"},
        {.name = "filter", .value = "CESQL", .help = "beside the filters of the subscription"},
        {.name = "rate", .value = "N", .help = "attempts a second at most"},
        {.name = "wait", .help = "until it is over"},
        {.name = "list", .help = "the replays of the subscription"},
        {.name = "show", .value = "ID", .help = "how far one is"},
        {.name = "cancel", .value = "ID", .help = "end one"}};
    info_.examples = {
        "dispatch replay orders-demo --from 2026-11-21T08:00:00Z \\\n"
        "    --to 2026-11-21T09:00:00Z --filter \"type = 'order.paid'\" --rate 50",
        "dispatch replay orders-demo --list"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    const Arguments& arguments = invocation.arguments;
    RETURN_IF_ERROR(CheckCount(arguments, 1, 1, "a subscription"));
    int ways = 0;
    for (const char* way : {"from", "list", "show", "cancel"}) ways += arguments.Has(way) ? 1 : 0;
    if (ways != 1) return UsageError("one of --from, --list, --show and --cancel is needed");
    for (const char* flag : {"to", "filter", "rate", "wait"}) {
      if (arguments.Has(flag) && !arguments.Has("from")) {
        return UsageError(fmt::format("--{} goes with --from", flag));
      }
    }
    const std::string& name = arguments.positionals()[0];
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    if (arguments.Has("list")) return List(invocation, *api, name);
    if (auto id = arguments.Value("show")) return Show(invocation, *api, "GET", name, *id);
    if (auto id = arguments.Value("cancel")) return Show(invocation, *api, "DELETE", name, *id);
    return Begin(invocation, *api, name);
  }

 private:
  static Status Begin(Invocation& invocation, Api& api, const std::string& name) {
    const Arguments& arguments = invocation.arguments;
    json::object body;
    for (const char* place : {"from", "to"}) {
      auto text = arguments.Value(place);
      if (!text) continue;
      body[place] = *text;
      if (text->starts_with('{')) {
        ASSIGN_OR_RETURN(body[place], JsonOf(place, *text));
      }
    }
    FillText(arguments, "filter", body, "filter");
    ASSIGN_OR_RETURN(auto rate, arguments.Int("rate", 1, 1'000'000));
    if (rate) body["rate"] = *rate;
    std::string path = fmt::format("/v1/subscriptions/{}/replay", PercentEncode(name));
    ASSIGN_OR_RETURN(auto replay, CallJson(api, "POST", path, body));
    const auto* object = replay.if_object();
    std::string id = object != nullptr ? json::GetString(*object, "id") : std::string();
    if (arguments.Has("wait")) return Await(invocation, api, name, id);
    invocation.Print(replay, [&] { return fmt::format("Began replay: {}\n", Printable(id)); });
    return {};
  }

  static Status Await(Invocation& invocation, Api& api, const std::string& name,
                      const std::string& id) {
    std::string path = PathOfReplays(name) + "/" + PercentEncode(id);
    std::string told;
    while (true) {
      ASSIGN_OR_RETURN(auto replay, CallJson(api, "GET", path));
      const auto* object = replay.if_object();
      if (object == nullptr) return Error{Code::kInternal, "the server answered no object"};
      if (json::GetString(*object, "status") != "RUNNING") {
        invocation.Print(replay, [&] { return StateText(*object) + "\n"; });
        return {};
      }
      std::string state = StateText(*object);
      if (state != told) invocation.err << state << std::endl;
      told = std::move(state);
      invocation.environment.sleep(std::chrono::seconds(1));
    }
  }

  static Status List(Invocation& invocation, Api& api, const std::string& name) {
    ASSIGN_OR_RETURN(auto replays, CallJson(api, "GET", PathOfReplays(name)));
    const auto* found = replays.if_array();
    if (found == nullptr) return Error{Code::kInternal, "the server answered no list"};
    invocation.Print(replays, [&] {
      return MakeTable({FieldColumn("ID", "id"),
                        FieldColumn("FROM", "from"),
                        FieldColumn("TO", "to"),
                        {"STATE", StateText},
                        TimeColumn("CREATED", "createdTime")},
                       *found)
          .Render();
    });
    return {};
  }

  static Status Show(Invocation& invocation, Api& api, const char* method, const std::string& name,
                     const std::string& id) {
    ASSIGN_OR_RETURN(auto replay,
                     CallJson(api, method, PathOfReplays(name) + "/" + PercentEncode(id)));
    const auto* object = replay.if_object();
    if (object == nullptr) return Error{Code::kInternal, "the server answered no object"};
    invocation.Print(replay, [&] { return StateText(*object) + "\n"; });
    return {};
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakeReplay() { return std::make_unique<Replay>(); }

}  // namespace dispatch::cli
