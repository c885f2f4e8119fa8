#include <fmt/format.h>

#include "cli/src/commands/objects.h"

namespace dispatch::cli {

namespace {

class Delete : public Command {
 public:
  Delete() {
    info_.name = "delete";
    info_.usage = "KIND NAME...   or   delete -f FILE   or   delete seed-images";
    info_.summary = "delete objects; deleting a key revokes it";
    info_.text = "Objects of a file are deleted in the reverse order, what others refer to last.\n";
    info_.flags = {{.name = "file",
                    .value = "FILE",
                    .help = "objects as JSON or YAML, by kind and name; a URL, or - for standard "
                            "input",
                    .letter = 'f'},
                   WorkDirectoryFlag()};
    info_.flags.back().hidden = true;  // no file that they name is read
    info_.examples = {"dispatch delete sub orders-demo", "dispatch delete key ci"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    const auto& words = invocation.arguments.positionals();
    if (auto file = invocation.arguments.Value("file")) {
      RETURN_IF_ERROR(CheckCount(invocation.arguments, 0, 0, ""));
      ASSIGN_OR_RETURN(auto documents, ReadDocuments(invocation.environment, *file, nullptr));
      return DeleteAll(invocation, documents);
    }
    if (words.size() == 1 && IsSeed(words[0])) return DeleteAll(invocation, SeedImages());
    RETURN_IF_ERROR(CheckCount(invocation.arguments, 2, SIZE_MAX, "a kind and a name"));
    ASSIGN_OR_RETURN(const Kind* kind, FindKind(words[0]));
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    Report report(invocation);
    for (size_t i = 1; i < words.size(); ++i) {
      Status status = DeleteOne(*api, *kind, kind->DeletedLabel(), words[i], report);
      if (status.ok()) continue;
      report.Finish();
      return status;
    }
    report.Finish();
    return {};
  }

 private:
  static Status DeleteAll(Invocation& invocation, const std::vector<Document>& documents) {
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    Report report(invocation);
    Status status;
    for (auto document = documents.rbegin(); status.ok() && document != documents.rend();
         ++document) {
      std::string name = json::GetString(document->object, "name");
      status = name.empty() ? At(document->place, UsageError("it has no field `name`"))
                            : DeleteOne(*api, *document->kind, LabelOf(*document), name, report);
    }
    report.Finish();
    return status;
  }

  static Status DeleteOne(Api& api, const Kind& kind, const std::string& label,
                          const std::string& name, Report& report) {
    ASSIGN_OR_RETURN(std::string path, PathOf(api, kind, name));
    ASSIGN_OR_RETURN(auto deleted, CallJson(api, "DELETE", path));
    if (deleted.is_null()) deleted = json::object{{"name", name}};
    report.Add(fmt::format("Deleted {}: {}\n", label, Printable(name)), std::move(deleted));
    return {};
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakeDelete() { return std::make_unique<Delete>(); }

}  // namespace dispatch::cli
