#include <fmt/format.h>

#include "cli/src/commands/objects.h"

namespace dispatch::cli {

namespace {

class Get : public Command {
 public:
  Get() {
    info_.name = "get";
    info_.usage = "KIND [NAME...]";
    info_.summary = "show objects, one or all of a kind";
    info_.flags = {{.name = "tag",
                    .value = "KEY=VALUE",
                    .help = "only those that have the tag",
                    .repeatable = true}};
    info_.examples = {"dispatch get topics", "dispatch get sub orders-demo -o yaml",
                      "dispatch get keys -o json"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    const auto& words = invocation.arguments.positionals();
    if (words.empty()) return UsageError(fmt::format("a kind is missing: {}", KindNames()));
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
    invocation.Print(shown, [&] { return MakeTable(kind->columns, objects).Render(); });
    return {};
  }

 private:
  static Status List(Invocation& invocation, Api& api, const Kind& kind) {
    std::string path = kind.path;
    char separator = '?';
    for (const std::string& tag : invocation.arguments.All("tag")) {
      path += fmt::format("{}tags={}", separator, PercentEncode(tag));
      separator = '&';
    }
    ASSIGN_OR_RETURN(auto list, CallJson(api, "GET", path));
    if (!list.is_array()) return Error{Code::kInternal, path + " is no list"};
    invocation.Print(list, [&] { return MakeTable(kind.columns, list.as_array()).Render(); });
    return {};
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakeGet() { return std::make_unique<Get>(); }

}  // namespace dispatch::cli
