#include "cli/src/commands/objects.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <ostream>

#include "cli/src/source_archive.h"
#include "cli/src/yaml.h"

namespace dispatch::cli {

namespace {

bool Has(const std::vector<Flag>& flags, std::string_view name) {
  return std::any_of(flags.begin(), flags.end(), [&](const Flag& f) { return f.name == name; });
}

Result<Document> ToDocument(json::value value, const Kind* kind, std::string place) {
  auto* object = value.if_object();
  if (object == nullptr) return UsageError("it is no object");
  Document document;
  document.place = std::move(place);
  std::string stated = json::GetString(*object, "kind");
  if (stated.empty() && kind == nullptr) {
    return UsageError(fmt::format("it has no field `kind`: one of {}", KindNames()));
  }
  document.kind = kind;
  if (!stated.empty()) {
    ASSIGN_OR_RETURN(document.kind, FindKind(stated));
    if (kind != nullptr && document.kind != kind) {
      return UsageError(fmt::format("it is a {}, not a {}", stated, kind->name));
    }
  }
  document.object = std::move(*object);
  return document;
}

std::filesystem::path Located(const Document& document, const std::string& work_directory,
                              const std::string& path) {
  std::filesystem::path here = std::filesystem::path(work_directory) / path;
  std::filesystem::path beside = std::filesystem::path(document.directory) / path;
  std::error_code error;
  return std::filesystem::exists(here, error) || !std::filesystem::exists(beside, error) ? here
                                                                                         : beside;
}

}  // namespace

Flag WorkDirectoryFlag() {
  return {.name = "work-dir",
          .value = "DIRECTORY",
          .help = "what files that objects name (sourcePath, @manifest) are relative to",
          .letter = 'w'};
}

Status ResolveFiles(Document& document, const std::string& work_directory) {
  json::object& object = document.object;
  std::string source = json::GetString(object, "sourcePath");
  if (document.kind->name == "function" && !source.empty()) {
    auto archive = SourceArchive(Located(document, work_directory, source));
    if (!archive.ok()) return At(document.place, archive.error());
    object["source"] = std::move(*archive);
    object.stable_erase("sourcePath");
  }
  auto* runtime = object.if_contains("runtimeDependencies");
  if (document.kind->name != "image" || runtime == nullptr || !runtime->is_object()) return {};
  std::string manifest = json::GetString(runtime->as_object(), "manifest");
  if (!manifest.starts_with('@')) return {};
  auto text = ReadFile(Located(document, work_directory, manifest.substr(1)));
  if (!text.ok()) return At(document.place, text.error());
  runtime->as_object()["manifest"] = std::move(*text);
  return {};
}

bool IsSeed(std::string_view word) { return word == "seed-images" || word == "seed"; }

std::vector<Document> SeedImages() {
  struct Seed {
    const char* image;
    const char* tag;
  };
  std::vector<Document> documents;
  auto base_image = FindKind("BaseImage");
  auto image = FindKind("Image");
  constexpr std::array<Seed, 4> kSeeds{
      {{"nodejs", "0.0.12"}, {"python3", "0.0.13"}, {"powershell", "0.0.14"}, {"java", "0.0.13"}}};
  for (const Seed& seed : kSeeds) {
    std::string base = fmt::format("{}-base", seed.image);
    documents.push_back({*base_image,
                         {{"name", base},
                          {"dockerUrl", fmt::format("dispatchframework/{}:{}", base, seed.tag)},
                          {"language", seed.image},
                          {"tags", {{{"key", "role"}, {"value", "seed"}}}}},
                         "seed images"});
  }
  for (const Seed& seed : kSeeds) {
    documents.push_back({*image,
                         {{"name", seed.image},
                          {"baseImageName", fmt::format("{}-base", seed.image)},
                          {"tags", {{{"key", "role"}, {"value", "seed"}}}}},
                         "seed images"});
  }
  return documents;
}

std::string LabelOf(const Document& document) {
  return document.place.empty() ? document.kind->Label() : document.kind->document_kind;
}

Error At(const std::string& place, Error error) {
  error.message = fmt::format("{}: {}", place, error.message);
  return error;
}

Result<std::vector<Document>> ReadDocuments(const Environment& environment, const std::string& path,
                                            const Kind* kind) {
  std::string file = path == "-" ? "standard input" : path;
  bool remote = path.starts_with("http://") || path.starts_with("https://");
  ASSIGN_OR_RETURN(std::string text, remote ? environment.fetch(path) : ReadFile(path));
  auto values = ParseDocuments(text);
  if (!values.ok()) return At(file, values.error());
  std::vector<Document> documents;
  size_t number = 0;
  for (json::value& value : *values) {
    std::string place = fmt::format("{}, document {}", file, ++number);
    json::array list;
    bool is_list = value.is_array();
    if (is_list) {
      list = std::move(value.as_array());
    } else {
      list.push_back(std::move(value));
    }
    for (size_t i = 0; i < list.size(); ++i) {
      std::string own = is_list ? fmt::format("{}, element {}", place, i + 1) : place;
      auto document = ToDocument(std::move(list[i]), kind, own);
      if (!document.ok()) return At(own, document.error());
      if (path != "-") document->directory = std::filesystem::path(path).parent_path();
      documents.push_back(std::move(*document));
    }
  }
  if (documents.empty()) return UsageError(fmt::format("{} holds no object", file));
  return documents;
}

Status CheckFlags(const Arguments& arguments, const Kind& kind, const std::vector<Flag>& own) {
  auto common = CommonFlags();
  for (const std::string& name : arguments.given()) {
    if (Has(kind.flags, name) || Has(own, name) || Has(common, name)) continue;
    return UsageError(fmt::format("--{} is not a flag of a {}", name, kind.name));
  }
  return {};
}

std::vector<Flag> FlagsOfAllKinds() {
  std::vector<Flag> flags;
  for (const Kind& kind : Kinds()) {
    for (const Flag& flag : kind.flags) {
      if (!Has(flags, flag.name)) flags.push_back(flag);
    }
  }
  return flags;
}

const Kind* KindAmong(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (auto kind = FindKind(word); kind.ok()) return *kind;
  }
  return nullptr;
}

std::vector<Flag> WithFlagsOfKind(const std::vector<std::string>& words, std::vector<Flag> flags) {
  const Kind* kind = KindAmong(words);
  if (kind != nullptr) flags.insert(flags.begin(), kind->flags.begin(), kind->flags.end());
  return flags;
}

std::string KindHelp(const std::string& verb, const std::string& word) {
  auto kind = FindKind(word);
  if (!kind.ok()) return "";
  const std::string& argument = (*kind)->argument;
  bool required = (*kind)->argument_required && verb == "create";
  std::string more = argument.empty() ? "" : required ? " " + argument : " [" + argument + "]";
  bool by_word = !(*kind)->word_field.empty() && verb == "create";
  return fmt::format("Usage: dispatch {} {} {}{} [FLAGS]\n\nFlags:\n{}{}", verb, (*kind)->name,
                     by_word ? "TYPE" : "NAME", more, FlagHelp((*kind)->flags),
                     verb == "create" ? ExampleHelp((*kind)->examples) : "");
}

json::object Writable(json::object object) {
  for (const char* field :
       {"id", "revision", "status", "reason", "createdTime", "modifiedTime", "statistics", "org",
        "spec", "groups", "handshake", "created-time", "modified-time", "token", "tokenGeneration",
        "previousTokenUntil", "builtIn", "log"}) {
    object.stable_erase(field);
  }
  return object;
}

void Report::Add(std::string line, json::value object) {
  if (invocation_.format == Format::kTable) invocation_.out << line << std::flush;
  objects_.push_back(std::move(object));
}

void Report::Finish() {
  if (invocation_.format == Format::kTable) return;
  json::value all = objects_.size() == 1 ? objects_[0] : json::value(objects_);
  invocation_.out << Serialized(all, invocation_.format);
}

}  // namespace dispatch::cli
