#include <fmt/format.h>

#include "cli/src/commands/objects.h"

namespace dispatch::cli {

namespace {

class Delete : public Command {
 public:
  Delete() {
    info_.name = "delete";
    info_.usage = "KIND NAME...";
    info_.summary = "delete objects; deleting a key revokes it";
    info_.examples = {"dispatch delete sub orders-demo", "dispatch delete key ci"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    const auto& words = invocation.arguments.positionals();
    RETURN_IF_ERROR(CheckCount(invocation.arguments, 2, SIZE_MAX, "a kind and a name"));
    ASSIGN_OR_RETURN(const Kind* kind, FindKind(words[0]));
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    Report report(invocation);
    for (size_t i = 1; i < words.size(); ++i) {
      Status status = DeleteOne(*api, *kind, words[i], report);
      if (status.ok()) continue;
      report.Finish();
      return status;
    }
    report.Finish();
    return {};
  }

 private:
  static Status DeleteOne(Api& api, const Kind& kind, const std::string& name, Report& report) {
    ASSIGN_OR_RETURN(std::string path, PathOf(api, kind, name));
    ASSIGN_OR_RETURN(auto deleted, CallJson(api, "DELETE", path));
    if (deleted.is_null()) deleted = json::object{{"name", name}};
    report.Add(fmt::format("Deleted {}: {}\n", kind.name, Printable(name)), std::move(deleted));
    return {};
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakeDelete() { return std::make_unique<Delete>(); }

}  // namespace dispatch::cli
