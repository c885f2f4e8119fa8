#include <fmt/format.h>

#include "cli/src/commands/objects.h"

namespace dispatch::cli {

namespace {

const std::vector<Flag>& OwnFlags() {
  static const std::vector<Flag> flags = {{.name = "file",
                                           .value = "FILE",
                                           .help = "objects as JSON or YAML, several too; - is "
                                                   "standard input",
                                           .letter = 'f'}};
  return flags;
}

class Create : public Command {
 public:
  Create() {
    info_.name = "create";
    info_.usage = "KIND NAME [FLAGS]   or   create [KIND] -f FILE";
    info_.summary = "make an object: " + KindNames();
    info_.text = "`dispatch help create KIND` lists the flags of each kind.\n";
    info_.flags = FlagsOfAllKinds();
    info_.flags.insert(info_.flags.end(), OwnFlags().begin(), OwnFlags().end());
    for (const Kind& kind : Kinds()) info_.examples.push_back(kind.examples[0]);
    info_.examples.emplace_back("dispatch create -f objects.yaml");
  }

  const CommandInfo& info() const override { return info_; }
  std::string HelpFor(const std::string& word) const override { return KindHelp("create", word); }

  Status Run(Invocation& invocation) const override {
    ASSIGN_OR_RETURN(auto documents, Documents(invocation));
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    Report report(invocation);
    for (Document& document : documents) {
      const Kind& kind = *document.kind;
      document.object.stable_erase("kind");
      auto created = CallJson(*api, "POST", kind.path, Writable(std::move(document.object)));
      if (!created.ok()) {
        report.Finish();
        return created.error();
      }
      const auto* object = created->if_object();
      json::object shown = object != nullptr ? *object : json::object();
      std::string line =
          fmt::format("Created {}: {}\n", kind.name, Printable(json::GetString(shown, "name")));
      if (kind.note != nullptr) line += kind.note(shown);
      report.Add(std::move(line), std::move(shown));
    }
    report.Finish();
    return {};
  }

 private:
  static Result<std::vector<Document>> Documents(const Invocation& invocation) {
    const Arguments& arguments = invocation.arguments;
    const Kind* kind = nullptr;
    if (!arguments.positionals().empty()) {
      ASSIGN_OR_RETURN(kind, FindKind(arguments.positionals()[0]));
      RETURN_IF_ERROR(CheckFlags(arguments, *kind, OwnFlags()));
    }
    if (auto file = arguments.Value("file")) {
      RETURN_IF_ERROR(CheckCount(arguments, 0, 1, "a kind"));
      return ReadDocuments(*file, kind);
    }
    RETURN_IF_ERROR(CheckCount(arguments, 2, 2, "a kind and a name, or -f FILE,"));
    Document document{kind, {{"name", arguments.positionals()[1]}}};
    RETURN_IF_ERROR(kind->fill(arguments, invocation.environment, document.object));
    return std::vector<Document>{std::move(document)};
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakeCreate() { return std::make_unique<Create>(); }

}  // namespace dispatch::cli
