#include <fmt/format.h>

#include "cli/src/commands/consumer_groups.h"
#include "cli/src/commands/objects.h"
#include "cli/src/commands/runs.h"

namespace dispatch::cli {

namespace {

class Get : public Command {
 public:
  Get() {
    info_.name = "get";
    info_.usage =
        "KIND [NAME...]   or   get runs [FUNCTION [RUN]]   or   get consumer-groups [NAME]";
    info_.summary = "show objects, one or all of a kind, and runs of functions";
    info_.text =
        "Runs are shown the newest first. With --follow, new and ended ones as they come.\n"
        "Consumer groups are any of the Kafka cluster, for keys of all organisations.\n";
    info_.flags = RunsFlags();
    info_.flags.push_back({.name = "tag",
                           .value = "KEY=VALUE",
                           .help = "only those that have the tag",
                           .repeatable = true});
    info_.flags.push_back({.name = "application",
                           .value = "NAME",
                           .help = "only those of the application",
                           .letter = 'a'});
    info_.flags.push_back(
        {.name = "all", .help = "secrets: what the server tells of their values, too"});
    info_.examples = {"dispatch get topics", "dispatch get sub orders-demo -o yaml",
                      "dispatch get keys -o json", "dispatch get runs hello --last",
                      "dispatch get runs -f"};
  }

  const CommandInfo& info() const override { return info_; }
  // VMware's -f is a function for apis, and its -w for policies shows what is always shown.
  std::vector<Flag> FlagsFor(const std::vector<std::string>& words) const override {
    std::vector<Flag> flags = info_.flags;
    const Kind* kind = KindAmong(words);
    if (kind != nullptr && kind->name == "api") {
      std::erase_if(flags, [](const Flag& flag) { return flag.name == "follow"; });
      flags.push_back(FunctionFlag());
    }
    if (kind != nullptr && kind->name == "policy") {
      flags.push_back({.name = "wide", .letter = 'w', .hidden = true});
    }
    return flags;
  }
  std::string HelpFor(const std::string& word) const override {
    auto kind = FindKind(word);
    if (!kind.ok() || (*kind)->name != "api") return {};
    std::vector<Flag> flags = info_.flags;
    std::erase_if(flags, [](const Flag& flag) { return flag.help.starts_with("runs: "); });
    flags.push_back(FunctionFlag());
    return "Usage: dispatch get api [NAME...] [FLAGS]\n\nFlags:\n" + FlagHelp(flags);
  }

  Status Run(Invocation& invocation) const override {
    const auto& words = invocation.arguments.positionals();
    if (words.empty()) return UsageError(fmt::format("a kind is missing: {}, run", KindNames()));
    if (IsRuns(words[0])) return GetRuns(invocation);
    if (IsConsumerGroups(words[0])) return GetConsumerGroups(invocation);
    for (const Flag& flag : RunsFlags()) {
      if (!invocation.arguments.Has(flag.name)) continue;
      return UsageError(fmt::format("--{} is for `get runs`", flag.name));
    }
    ASSIGN_OR_RETURN(const Kind* kind, FindKind(words[0]));
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    if (words.size() == 1) return List(invocation, *api, *kind);
    json::array objects;
    for (size_t i = 1; i < words.size(); ++i) {
      ASSIGN_OR_RETURN(std::string path, PathOf(*api, *kind, words[i]));
      ASSIGN_OR_RETURN(auto object, CallJson(*api, "GET", path));
      objects.push_back(std::move(object));
    }
    json::value shown = objects.size() == 1 ? objects[0] : json::value(objects);
    return Print(invocation, *kind, shown, objects);
  }

 private:
  static Flag FunctionFlag() {
    return {.name = "func",
            .value = "FUNCTION",
            .help = "apis: only those that serve this function",
            .letter = 'f'};
  }

  static Status List(Invocation& invocation, Api& api, const Kind& kind) {
    std::string path = kind.path;
    char separator = '?';
    for (const std::string& tag : invocation.arguments.All("tag")) {
      path += fmt::format("{}tags={}", separator, PercentEncode(tag));
      separator = '&';
    }
    if (auto application = invocation.arguments.Value("application")) {
      path += fmt::format("{}tags=Application%3D{}", separator, PercentEncode(*application));
    }
    ASSIGN_OR_RETURN(auto list, CallJson(api, "GET", path));
    if (!list.is_array()) return Error{Code::kInternal, path + " is no list"};
    if (auto function = invocation.arguments.Value("func")) {
      json::array all = std::move(list.as_array());
      list.emplace_array();
      for (json::value& api : all) {
        bool serves = api.is_object() && json::GetString(api.as_object(), "function") == *function;
        if (serves) list.as_array().push_back(std::move(api));
      }
    }
    return Print(invocation, kind, list, list.as_array());
  }

  static Status Print(const Invocation& invocation, const Kind& kind, const json::value& shown,
                      json::array objects) {
    auto columns = kind.columns;
    if (kind.name == "secret" && invocation.arguments.Has("all")) {
      columns.back() = FieldColumn("CONTENT", "secrets");
    }
    if (kind.name == "api") {
      ASSIGN_OR_RETURN(auto connection, invocation.connection());
      for (json::value& api : objects) {
        if (!api.is_object()) continue;
        bool secure = IsSecure(api.as_object());
        api.as_object()[kEndpointsUrlField] = connection.EndpointsUrl(secure);
      }
    }
    invocation.Print(shown, [&] { return MakeTable(columns, objects).Render(); });
    return {};
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakeGet() { return std::make_unique<Get>(); }

}  // namespace dispatch::cli
