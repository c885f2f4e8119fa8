#include "function-manager/src/domain/image_request.h"

#include "schema/objects.h"
#include "schema/request_reader.h"

namespace dispatch {

namespace {

constexpr size_t kMaxManifest = 64 * 1024;
constexpr size_t kMaxPackages = 200;

// What answers have too, and what is not ours to set.
void AllowAnswered(schema::RequestReader& reader) {
  reader.Allow({"id", "kind", "revision", "status", "reason", "org", "project", "spec",
                "createdTime", "modifiedTime", "backingObject", "meta", "dockerUrl", "imageURL",
                "language", "imageDestination", "log"});
}

json::array Groups(schema::RequestReader& reader) {
  json::array groups;
  const auto* given = reader.Array("groups");
  if (given == nullptr) return groups;
  for (const auto& group : *given) {
    if (!group.is_string()) {
      reader.Fault("groups", "must be texts");
      return {};
    }
    groups.push_back(group);
  }
  return groups;
}

std::string Name(schema::RequestReader& reader, std::string_view field, std::string_view other) {
  std::string name = reader.String(field);
  if (!other.empty() && name.empty()) {
    name = reader.String(other);
  } else if (!other.empty()) {
    reader.String(other);
  }
  if (name.empty()) {
    reader.Fault(field, "is required");
  } else if (!schema::IsObjectName(name)) {
    reader.Fault(field,
                 "must be 1 to 63 letters, digits, '_' and '-', the first a letter or a digit");
  }
  return name;
}

json::object SystemDependencies(schema::RequestReader& reader) {
  json::array packages;
  const auto* given = reader.Object("systemDependencies");
  const auto* list = given != nullptr ? json::GetArray(*given, "packages") : nullptr;
  if (list != nullptr && list->size() > kMaxPackages) {
    reader.Fault("systemDependencies.packages", "must be at most 200");
  }
  for (const auto& element : list != nullptr ? *list : json::array()) {
    const auto* package = element.if_object();
    if (package == nullptr || json::GetString(*package, "name").empty()) {
      reader.Fault("systemDependencies.packages", "must be objects {\"name\", \"version\"}");
      return {};
    }
    packages.push_back({{"name", json::GetString(*package, "name")},
                        {"version", json::GetString(*package, "version")}});
  }
  return packages.empty() ? json::object() : json::object{{"packages", std::move(packages)}};
}

}  // namespace

Result<json::object> BaseImageDocument(const std::string& body) {
  ASSIGN_OR_RETURN(auto request, json::ParseObject(body));
  schema::RequestReader reader(request);
  json::object document{{"name", Name(reader, "name", "")}, {"kind", "BaseImage"}};
  std::string url = reader.String("dockerUrl");
  std::string other = reader.String("imageURL");
  if (url.empty()) url = other;
  if (url.empty()) reader.Fault("dockerUrl", "is required");
  if (url.size() > 2048) reader.Fault("dockerUrl", "must be at most 2048 characters");
  document["dockerUrl"] = url;
  document["language"] = reader.String("language");
  document["groups"] = Groups(reader);
  document["tags"] = reader.Tags();
  AllowAnswered(reader);
  if (!reader.ok()) return reader.error();
  return document;
}

Result<json::object> ImageDocument(const std::string& body) {
  ASSIGN_OR_RETURN(auto request, json::ParseObject(body));
  schema::RequestReader reader(request);
  json::object document{{"name", Name(reader, "name", "")}, {"kind", "Image"}};
  document["baseImageName"] = Name(reader, "baseImageName", "baseImage");
  document["systemDependencies"] = SystemDependencies(reader);
  json::object runtime;
  if (const auto* given = reader.Object("runtimeDependencies")) {
    schema::RequestReader inner(*given, "runtimeDependencies");
    std::string manifest = inner.String("manifest");
    inner.String("format");  // VMware's, which nothing looks at
    if (manifest.size() > kMaxManifest) inner.Fault("manifest", "must be at most 64 KiB");
    inner.Allow({});
    reader.Take(inner);
    if (!manifest.empty()) runtime["manifest"] = manifest;
  }
  document["runtimeDependencies"] = std::move(runtime);
  document["groups"] = Groups(reader);
  document["tags"] = reader.Tags();
  AllowAnswered(reader);
  if (!reader.ok()) return reader.error();
  return document;
}

}  // namespace dispatch
