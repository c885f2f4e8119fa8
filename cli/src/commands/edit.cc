#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <ostream>

#include "cli/src/commands/objects.h"
#include "cli/src/yaml.h"

namespace dispatch::cli {

namespace {

namespace fs = std::filesystem;

// A file of our own (mode 0600), by whose name editors know what it is.
Result<fs::path> NewFile(const Environment& environment, const std::string& text) {
  std::string path = environment.Get("TMPDIR").value_or("/tmp") + "/dispatch-edit-XXXXXX.yaml";
  int fd = mkstemps(path.data(), 5);
  if (fd < 0) {
    return Error{Code::kInternal, fmt::format("cannot write {}: {}", path, strerror(errno))};
  }
  close(fd);
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) return Error{Code::kInternal, fmt::format("cannot write {}", path)};
  return fs::path(path);
}

class Edit : public Command {
 public:
  Edit() {
    info_.name = "edit";
    info_.usage = "KIND NAME";
    info_.summary = "change an object in your editor";
    info_.text =
        "Opens the object as YAML in $VISUAL or $EDITOR and writes it back when the editor ends,\n"
        "unless nothing changed, or somebody else changed it meanwhile. What the server refuses\n"
        "stays in its file: mend it there and give it to `dispatch update -f`.\n";
    info_.examples = {"dispatch edit function hello", "EDITOR='code --wait' dispatch edit api web"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    RETURN_IF_ERROR(CheckCount(invocation.arguments, 2, 2, "a kind and a name"));
    const auto& words = invocation.arguments.positionals();
    ASSIGN_OR_RETURN(const Kind* kind, FindKind(words[0]));
    const Environment& environment = invocation.environment;
    auto editor = environment.Get("VISUAL");
    if (!editor) editor = environment.Get("EDITOR");
    if (!editor) return UsageError("it is not said with what: set EDITOR, as in EDITOR=vi");
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    ASSIGN_OR_RETURN(std::string path, PathOf(*api, *kind, words[1]));
    ASSIGN_OR_RETURN(auto present, CallJson(*api, "GET", path));
    if (!present.is_object()) return Error{Code::kInternal, path + " is no object"};
    int64_t revision = json::GetInt(present.as_object(), "revision");
    json::object shown{{"kind", kind->document_kind}};
    for (auto& [key, value] : Writable(std::move(present.as_object()))) shown[key] = value;
    std::string before = ToYaml(shown);
    ASSIGN_OR_RETURN(fs::path file, NewFile(environment, before));
    if (int code = environment.edit(*editor, file); code != 0) {
      return Kept(file, {Code::kInternal, fmt::format("{} ended with {}", *editor, code)});
    }
    ASSIGN_OR_RETURN(std::string after, ReadFile(file));
    std::error_code ignored;
    if (after == before) {
      fs::remove(file, ignored);
      invocation.err << "nothing was changed\n";
      return {};
    }
    auto updated = Write(environment, *api, *kind, path, words[1], revision, file);
    if (!updated.ok()) return Kept(file, updated.error());
    fs::remove(file, ignored);
    Report report(invocation);
    report.Add(fmt::format("Updated {}: {}\n", kind->Label(), Printable(words[1])),
               std::move(*updated));
    report.Finish();
    return {};
  }

 private:
  static Result<json::value> Write(const Environment& environment, Api& api, const Kind& kind,
                                   const std::string& path, const std::string& name,
                                   int64_t revision, const fs::path& file) {
    ASSIGN_OR_RETURN(auto documents, ReadDocuments(environment, file, &kind));
    if (documents.size() != 1) return Error{Code::kInternal, "the file holds several documents"};
    json::object object = Writable(std::move(documents[0].object));
    if (json::GetString(object, "name", name) != name) {
      return Error{Code::kInternal, fmt::format("the name cannot change: it is {}", name)};
    }
    object.stable_erase("kind");
    if (kind.named_by_id) object.stable_erase("name");
    http::Headers headers;
    headers.Set("If-Match", fmt::format("\"{}\"", revision));
    return CallJson(api, "PUT", path, object, std::move(headers));
  }

  static Error Kept(const fs::path& file, Error error) {
    error.code = Code::kInternal;  // what was edited is no wrong command line
    error.message += fmt::format(
        "\nwhat you wrote is in {0}: mend it, then `dispatch update -f {0}`", file.string());
    return error;
  }

  CommandInfo info_;
};

}  // namespace

CommandPtr MakeEdit() { return std::make_unique<Edit>(); }

}  // namespace dispatch::cli
