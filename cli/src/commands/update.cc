#include <fmt/format.h>

#include "cli/src/commands/objects.h"

namespace dispatch::cli {

namespace {

const std::vector<Flag>& OwnFlags() {
  static const std::vector<Flag> flags = {{.name = "file",
                                           .value = "FILE",
                                           .help = "whole objects as JSON or YAML; a URL, or - "
                                                   "for standard input",
                                           .letter = 'f'},
                                          WorkDirectoryFlag()};
  return flags;
}

class Update : public Command {
 public:
  Update() {
    info_.name = "update";
    info_.usage = "KIND NAME [FLAGS]   or   update [KIND] -f FILE";
    info_.summary = "change an object";
    info_.text =
        "With flags: reads the object, changes what they say and writes it back, unless somebody\n"
        "else changed it meanwhile. With a file: what the file says replaces the object.\n"
        "`dispatch help create KIND` lists the flags of each kind.\n";
    info_.flags = FlagsOfAllKinds();
    info_.flags.insert(info_.flags.end(), OwnFlags().begin(), OwnFlags().end());
    info_.examples = {"dispatch update topic orders --partitions 8",
                      "dispatch update sub orders-demo --timeout 10s",
                      "dispatch get sub orders-demo -o yaml > s.yaml; $EDITOR s.yaml; dispatch "
                      "update -f s.yaml"};
  }

  const CommandInfo& info() const override { return info_; }
  std::vector<Flag> FlagsFor(const std::vector<std::string>& words) const override {
    return WithFlagsOfKind(words, info_.flags);
  }
  std::string HelpFor(const std::string& word) const override { return KindHelp("update", word); }

  Status Run(Invocation& invocation) const override {
    const Arguments& arguments = invocation.arguments;
    const Kind* kind = nullptr;
    if (!arguments.positionals().empty()) {
      ASSIGN_OR_RETURN(kind, FindKind(arguments.positionals()[0]));
      RETURN_IF_ERROR(CheckFlags(arguments, *kind, OwnFlags()));
    }
    auto file = arguments.Value("file");
    size_t most = kind != nullptr && !kind->argument.empty() ? 3 : 2;
    RETURN_IF_ERROR(file ? CheckCount(arguments, 0, 1, "a kind")
                         : CheckCount(arguments, 2, most, "a kind and a name, or -f FILE,"));
    Report report(invocation);
    Status status = file ? FromFile(invocation, *file, kind, report)
                         : FromFlags(invocation, *kind, arguments.positionals()[1], report);
    report.Finish();
    return status;
  }

 private:
  static Status FromFile(Invocation& invocation, const std::string& file, const Kind* kind,
                         Report& report) {
    ASSIGN_OR_RETURN(auto documents, ReadDocuments(invocation.environment, file, kind));
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    for (Document& document : documents) {
      std::string name = json::GetString(document.object, "name");
      if (name.empty()) return UsageError("an object without a name cannot be updated");
      RETURN_IF_ERROR(ResolveFiles(document, invocation.arguments.ValueOr("work-dir", "")));
      ASSIGN_OR_RETURN(std::string path, PathOf(*api, *document.kind, name));
      RETURN_IF_ERROR(Put(*api, *document.kind, LabelOf(document), path, name,
                          std::move(document.object), {}, report));
    }
    return {};
  }

  static Status FromFlags(Invocation& invocation, const Kind& kind, const std::string& name,
                          Report& report) {
    // Wrong flags are told before anything is asked.
    json::object unused;
    RETURN_IF_ERROR(kind.fill(invocation.arguments, invocation.environment, unused));
    if (unused.empty()) {
      return UsageError(fmt::format("nothing to change: give a flag of a {}, or -f", kind.name));
    }
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    ASSIGN_OR_RETURN(std::string path, PathOf(*api, kind, name));
    ASSIGN_OR_RETURN(auto present, CallJson(*api, "GET", path));
    if (!present.is_object()) return Error{Code::kInternal, path + " is no object"};
    json::object object = std::move(present.as_object());
    http::Headers headers;
    headers.Set("If-Match", fmt::format("\"{}\"", json::GetInt(object, "revision")));
    RETURN_IF_ERROR(kind.fill(invocation.arguments, invocation.environment, object));
    return Put(*api, kind, kind.Label(), path, name, std::move(object), std::move(headers), report);
  }

  static Status Put(Api& api, const Kind& kind, const std::string& label, const std::string& path,
                    const std::string& name, json::object object, http::Headers headers,
                    Report& report) {
    object = Writable(std::move(object));
    object.stable_erase("kind");
    // The path says which key it is; in the body the name would be a new one.
    if (kind.named_by_id) object.stable_erase("name");
    ASSIGN_OR_RETURN(auto updated, CallJson(api, "PUT", path, object, std::move(headers)));
    report.Add(fmt::format("Updated {}: {}\n", label, Printable(name)), std::move(updated));
    return {};
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakeUpdate() { return std::make_unique<Update>(); }

}  // namespace dispatch::cli
