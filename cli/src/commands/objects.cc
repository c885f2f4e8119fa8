#include "cli/src/commands/objects.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

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

}  // namespace

Error At(const std::string& place, Error error) {
  error.message = fmt::format("{}: {}", place, error.message);
  return error;
}

Result<std::vector<Document>> ReadDocuments(const std::string& path, const Kind* kind) {
  std::string file = path == "-" ? "standard input" : path;
  ASSIGN_OR_RETURN(std::string text, ReadFile(path));
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

std::string KindHelp(const std::string& verb, const std::string& word) {
  auto kind = FindKind(word);
  if (!kind.ok()) return "";
  return fmt::format("Usage: dispatch {} {} NAME [FLAGS]\n\nFlags:\n{}{}", verb, (*kind)->name,
                     FlagHelp((*kind)->flags),
                     verb == "create" ? ExampleHelp((*kind)->examples) : "");
}

json::object Writable(json::object object) {
  for (const char* field : {"id", "revision", "status", "reason", "createdTime", "modifiedTime",
                            "statistics", "org", "spec", "groups", "handshake"}) {
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
