#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <ostream>

#include "cli/src/commands/objects.h"

namespace dispatch::cli {

namespace {

namespace fs = std::filesystem;

bool IsManifest(const fs::path& path) {
  return path.extension() == ".yaml" || path.extension() == ".yml" || path.extension() == ".json";
}

// The file itself, or the manifests of a directory by name.
Result<std::vector<std::string>> FilesOf(const std::string& path, bool recursive) {
  std::error_code error;
  if (path == "-" || !fs::is_directory(path, error)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  auto add = [&files](const fs::directory_entry& entry) {
    std::error_code ignored;
    if (entry.is_regular_file(ignored) && IsManifest(entry.path())) files.push_back(entry.path());
  };
  if (recursive) {
    for (const auto& entry : fs::recursive_directory_iterator(path, error)) add(entry);
  } else {
    for (const auto& entry : fs::directory_iterator(path, error)) add(entry);
  }
  if (error)
    return Error{Code::kNotFound, fmt::format("cannot read {}: {}", path, error.message())};
  if (files.empty()) {
    return UsageError(fmt::format("{} holds no .yaml, .yml or .json file{}", path,
                                  recursive ? "" : " (--recursive looks below it too)"));
  }
  std::sort(files.begin(), files.end());
  return files;
}

constexpr std::array<std::string_view, 13> kOrder = {
    "organization",    "application", "topic", "secret", "base-image",
    "image",           "function",    "api",   "policy", "subscription",
    "eventdrivertype", "eventdriver", "key"};

// What others refer to comes before them; else their order stays.
std::vector<Document> InOrder(std::vector<Document> all) {
  auto rank_of = [](const Document& document) {
    return std::find(kOrder.begin(), kOrder.end(), document.kind->name) - kOrder.begin();
  };
  std::vector<Document> ordered;
  for (ptrdiff_t rank = 0; rank <= std::ssize(kOrder); ++rank) {
    for (Document& document : all) {
      if (rank_of(document) == rank) ordered.push_back(std::move(document));
    }
  }
  return ordered;
}

Result<std::vector<Document>> ReadAll(const Arguments& arguments, const Environment& environment) {
  std::vector<Document> all;
  for (const std::string& path : arguments.All("file")) {
    ASSIGN_OR_RETURN(auto files, FilesOf(path, arguments.Has("recursive")));
    for (const std::string& file : files) {
      ASSIGN_OR_RETURN(auto documents, ReadDocuments(environment, file, nullptr));
      for (Document& document : documents) {
        RETURN_IF_ERROR(ResolveFiles(document, arguments.ValueOr("work-dir", "")));
      }
      std::move(documents.begin(), documents.end(), std::back_inserter(all));
    }
  }
  for (size_t i = 0; i < all.size(); ++i) {
    std::string name = json::GetString(all[i].object, "name");
    if (name.empty()) return At(all[i].place, UsageError("it has no field `name`"));
    for (size_t j = 0; j < i; ++j) {
      if (all[j].kind != all[i].kind || json::GetString(all[j].object, "name") != name) continue;
      return At(all[i].place, UsageError(fmt::format("the {} '{}' is in {} too", all[i].kind->name,
                                                     name, all[j].place)));
    }
  }
  return InOrder(std::move(all));
}

class Apply : public Command {
 public:
  Apply() {
    info_.name = "apply";
    info_.usage = "-f FILE|DIRECTORY|- [FLAGS]   or   apply seed-images";
    info_.summary = "make what files describe, or change it to that";
    info_.text =
        "Each document is a whole object: one that is missing is created, one that is there is\n"
        "replaced, one that is so already is left alone (unchanged). Several documents in a file "
        "are parted "
        "by\n"
        "lines of ---. All files are read before anything is done; then what others refer to "
        "comes\n"
        "first, and one that fails does not keep the others from being applied (exit code 1).\n"
        "Secrets are written each time: what they hold cannot be compared.\n";
    info_.flags = {{.name = "file",
                    .value = "FILE",
                    .help = "YAML or JSON, also a URL; a directory: all in it; -: standard input",
                    .letter = 'f',
                    .repeatable = true},
                   WorkDirectoryFlag(),
                   {.name = "recursive", .help = "directories below too", .letter = 'R'},
                   {.name = "dry-run", .help = "say what would be made or replaced, do nothing"}};
    info_.examples = {"dispatch apply -f orders.yaml", "dispatch apply -f deploy/ --recursive",
                      "generate | dispatch apply -f -"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    const Arguments& arguments = invocation.arguments;
    bool seed = arguments.positionals().size() == 1 && IsSeed(arguments.positionals()[0]);
    if (!seed) RETURN_IF_ERROR(CheckCount(arguments, 0, 0, ""));
    if (!seed && !arguments.Has("file")) return UsageError("--file is missing: what to apply");
    auto read = seed ? Result<std::vector<Document>>(SeedImages())
                     : ReadAll(arguments, invocation.environment);
    if (!read.ok()) return read.error();
    const std::vector<Document>& documents = *read;
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    Report report(invocation);
    size_t failed = 0;
    Error last;
    for (const Document& document : documents) {
      std::string name = json::GetString(document.object, "name");
      Status status = One(*api, document, name, arguments.Has("dry-run"), report);
      if (status.ok()) continue;
      ++failed;
      last = At(fmt::format("{} ({} {})", document.place, document.kind->name, Printable(name)),
                status.error());
      // What the server refused is no wrong command line.
      last.code = Code::kInternal;
      if (documents.size() > 1) invocation.err << "dispatch: " << last.message << "\n";
    }
    report.Finish();
    if (failed == 0) return {};
    if (documents.size() == 1) return last;
    return {Code::kInternal,
            fmt::format("{} of {} objects were not applied", failed, documents.size())};
  }

 private:
  static Status One(Api& api, const Document& document, const std::string& name, bool dry,
                    Report& report) {
    const Kind& kind = *document.kind;
    json::object object = Writable(document.object);
    object.stable_erase("kind");
    auto tell = [&](const char* did, json::object shown, const std::string& remark = {},
                    const std::string& note = {}) {
      shown["kind"] = kind.document_kind;
      report.Add(
          fmt::format("{} {}: {}{}\n{}", did, LabelOf(document), Printable(name), remark, note),
          std::move(shown));
      return OkStatus();
    };
    ASSIGN_OR_RETURN(std::string path, PathOf(api, kind, name));
    auto present = CallJson(api, "GET", path);
    if (!present.ok() && present.code() != Code::kNotFound) return present.error();
    if (!present.ok()) {
      if (dry) return tell("Would create", std::move(object));
      ASSIGN_OR_RETURN(auto created, CallJson(api, "POST", kind.path, object));
      json::object shown = created.is_object() ? created.as_object() : json::object();
      return tell("Applied", shown, "", kind.note != nullptr ? kind.note(shown) : "");
    }
    if (dry) return tell("Would replace", std::move(object));
    int64_t revision = present->is_object() ? json::GetInt(present->as_object(), "revision") : 0;
    http::Headers headers;
    headers.Set("If-Match", fmt::format("\"{}\"", revision));
    if (kind.named_by_id) object.stable_erase("name");
    ASSIGN_OR_RETURN(auto replaced, CallJson(api, "PUT", path, object, std::move(headers)));
    json::object shown = replaced.is_object() ? replaced.as_object() : json::object();
    bool same = json::GetInt(shown, "revision") == revision;
    return tell("Applied", std::move(shown), same ? " (unchanged)" : "");
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakeApply() { return std::make_unique<Apply>(); }

}  // namespace dispatch::cli
