#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <random>

#include "cli/src/commands/objects.h"
#include "cli/src/yaml.h"

namespace dispatch::cli {

namespace {

const std::vector<Flag>& OwnFlags() {
  static const std::vector<Flag> flags = {{.name = "file",
                                           .value = "FILE",
                                           .help = "objects as JSON or YAML, several too; a URL, "
                                                   "or - for standard input",
                                           .letter = 'f'},
                                          WorkDirectoryFlag(),
                                          {.name = "output-file",
                                           .value = "FILE",
                                           .help = "seed-images: write them to a file, make none",
                                           .letter = 'O'},
                                          {.name = "dry-run",
                                           .help = "make nothing: say how many of the last events "
                                                   "a subscription would match"},
                                          {.name = "sample",
                                           .value = "N",
                                           .help = "of how many events, with --dry-run (default "
                                                   "1000)"}};
  return flags;
}

// What ?dryRun=true answers, for people.
std::string DryRunText(const std::string& name, const json::object& report) {
  std::string text = fmt::format("{} would match {} of the last {} events", Printable(name),
                                 json::GetInt(report, "matched"), json::GetInt(report, "scanned"));
  std::string oldest = json::GetString(report, "oldest");
  if (!oldest.empty()) text += ", the oldest of " + Printable(oldest);
  text += "; nothing was made\n";
  if (!json::GetBool(report, "complete")) text += "Time or bytes ran out: not all were looked at\n";
  if (int64_t bad = json::GetInt(report, "notCloudEvents"); bad > 0) {
    text += fmt::format("{} records are no CloudEvents\n", bad);
  }
  const auto* errors = json::GetObject(report, "evaluationErrors");
  if (errors != nullptr && json::GetInt(*errors, "events") > 0) {
    text +=
        fmt::format("CESQL ended with an error for {} events:", json::GetInt(*errors, "events"));
    if (const auto* kinds = json::GetObject(*errors, "kinds")) {
      for (const auto& [kind, count] : *kinds) {
        text += fmt::format(" {} {}", Printable(std::string(kind)), CellText(count));
      }
    }
    text += '\n';
  }
  const auto* examples = json::GetArray(report, "examples");
  if (examples == nullptr || examples->empty()) return text;
  Table table({"EXAMPLE", "TIME", "TYPE", "ID"});
  for (const auto& item : *examples) {
    const auto* example = item.if_object();
    const auto* event = example != nullptr ? json::GetObject(*example, "event") : nullptr;
    if (event == nullptr) continue;
    table.Add({fmt::format("{}:{}", json::GetInt(*example, "partition"),
                           json::GetInt(*example, "offset")),
               json::GetString(*example, "time"), json::GetString(*event, "type"),
               json::GetString(*event, "id")});
  }
  return text + table.Render();
}

// `create subscription FUNCTION --event-type TYPE [--name NAME]`: nothing else says where events
// go.
bool IsVmwareSubscription(const Kind& kind, const Arguments& arguments) {
  if (kind.name != "subscription" || arguments.Has("file")) return false;
  if (arguments.Has("name")) return true;
  constexpr std::array<std::string_view, 3> kOurs = {"function", "sink-url", "topic"};
  return arguments.Has("event-type") &&
         std::none_of(kOurs.begin(), kOurs.end(), [&](auto flag) { return arguments.Has(flag); });
}

// "brave-otter-123456", as VMware's command names what nobody names.
std::string MadeUpName() {
  constexpr std::array<const char*, 8> kAdjectives = {"brave", "calm",  "eager", "fresh",
                                                      "happy", "noble", "quiet", "swift"};
  constexpr std::array<const char*, 8> kNouns = {"badger", "falcon", "heron", "lynx",
                                                 "otter",  "raven",  "seal",  "wren"};
  std::random_device random;
  return fmt::format("{}-{}-{:06}", kAdjectives[random() % kAdjectives.size()],
                     kNouns[random() % kNouns.size()], random() % 1'000'000);
}

class Create : public Command {
 public:
  Create() {
    info_.name = "create";
    info_.usage = "KIND NAME [FLAGS]   or   create [KIND] -f FILE   or   create seed-images";
    info_.summary = "make an object: " + KindNames();
    info_.text = "`dispatch help create KIND` lists the flags of each kind.\n";
    info_.flags = FlagsOfAllKinds();
    info_.flags.insert(info_.flags.end(), OwnFlags().begin(), OwnFlags().end());
    for (const Kind& kind : Kinds()) info_.examples.push_back(kind.examples[0]);
    info_.examples.emplace_back("dispatch create -f objects.yaml");
  }

  const CommandInfo& info() const override { return info_; }
  std::vector<Flag> FlagsFor(const std::vector<std::string>& words) const override {
    return WithFlagsOfKind(words, info_.flags);
  }
  std::string HelpFor(const std::string& word) const override { return KindHelp("create", word); }

  Status Run(Invocation& invocation) const override {
    ASSIGN_OR_RETURN(auto documents, Documents(invocation));
    if (auto file = invocation.arguments.Value("output-file")) {
      return WriteDocuments(invocation, *file, documents);
    }
    if (invocation.arguments.Has("dry-run")) return DryRun(invocation, std::move(documents));
    if (invocation.arguments.Has("sample")) return UsageError("--sample is for --dry-run");
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
      const char* did = IsVmwareSubscription(kind, invocation.arguments) ? "created" : "Created";
      std::string line = fmt::format("{} {}: {}\n", did, LabelOf(document),
                                     Printable(json::GetString(shown, "name")));
      if (kind.note != nullptr) line += kind.note(shown);
      report.Add(std::move(line), std::move(shown));
    }
    report.Finish();
    return {};
  }

 private:
  static Status WriteDocuments(const Invocation& invocation, const std::string& file,
                               const std::vector<Document>& documents) {
    if (!IsSeed(invocation.arguments.positionals().empty()
                    ? ""
                    : invocation.arguments.positionals()[0])) {
      return UsageError("--output-file is for seed-images");
    }
    std::string text;
    for (const Document& document : documents) {
      json::object object{{"kind", document.kind->document_kind}};
      for (const auto& [key, value] : document.object) object[key] = value;
      text += "---\n" + ToYaml(object);
    }
    std::ofstream out(file);
    out << text;
    out.close();
    if (!out) return Error{Code::kInternal, fmt::format("cannot write {}", file)};
    return {};
  }

  static Status DryRun(Invocation& invocation, std::vector<Document> documents) {
    for (const Document& document : documents) {
      if (document.kind->name == "subscription") continue;
      return UsageError(
          fmt::format("--dry-run is for subscriptions, not for a {}", document.kind->name));
    }
    ASSIGN_OR_RETURN(auto sample, invocation.arguments.Int("sample", 1, 10'000));
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    for (Document& document : documents) {
      document.object.stable_erase("kind");
      std::string name = json::GetString(document.object, "name");
      std::string path =
          fmt::format("{}?dryRun=true&sample={}", document.kind->path, sample.value_or(1'000));
      ASSIGN_OR_RETURN(auto report,
                       CallJson(*api, "POST", path, Writable(std::move(document.object))));
      const auto* object = report.if_object();
      if (object == nullptr) return Error{Code::kInternal, "the server answered no object"};
      invocation.Print(report, [&] { return DryRunText(name, *object); });
    }
    return {};
  }

  static Result<std::vector<Document>> Documents(const Invocation& invocation) {
    const Arguments& arguments = invocation.arguments;
    const Kind* kind = nullptr;
    if (!arguments.positionals().empty() && IsSeed(arguments.positionals()[0])) {
      RETURN_IF_ERROR(CheckCount(arguments, 1, 1, ""));
      return SeedImages();
    }
    if (!arguments.positionals().empty()) {
      ASSIGN_OR_RETURN(kind, FindKind(arguments.positionals()[0]));
      RETURN_IF_ERROR(CheckFlags(arguments, *kind, OwnFlags()));
    }
    if (auto file = arguments.Value("file")) {
      RETURN_IF_ERROR(CheckCount(arguments, 0, 1, "a kind"));
      ASSIGN_OR_RETURN(auto documents, ReadDocuments(invocation.environment, *file, kind));
      for (Document& document : documents) {
        RETURN_IF_ERROR(ResolveFiles(document, arguments.ValueOr("work-dir", "")));
      }
      return documents;
    }
    bool more = kind != nullptr && !kind->argument.empty();
    std::string expected = "a kind and a name, or -f FILE,";
    if (more) expected = fmt::format("a kind, a name and {}, or -f FILE,", kind->argument);
    RETURN_IF_ERROR(
        CheckCount(arguments, more && kind->argument_required ? 3 : 2, more ? 3 : 2, expected));
    Document document{kind, {{"name", arguments.positionals()[1]}}};
    if (!kind->word_field.empty()) {
      document.object = {{"name", MadeUpName()}, {kind->word_field, arguments.positionals()[1]}};
    }
    if (IsVmwareSubscription(*kind, arguments)) {
      document.object["name"] = arguments.ValueOr("name", MadeUpName());
      document.object["function"] = arguments.positionals()[1];
    }
    RETURN_IF_ERROR(kind->fill(arguments, invocation.environment, document.object));
    return std::vector<Document>{std::move(document)};
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakeCreate() { return std::make_unique<Create>(); }

}  // namespace dispatch::cli
