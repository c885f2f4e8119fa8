#include "api-gateway/src/domain/knative_object.h"

#include <algorithm>
#include <array>

#include "schema/api_object.h"
#include "schema/objects.h"

namespace dispatch::gateway {

namespace {

void Rename(json::object& body, std::string_view from, std::string_view to) {
  auto* value = body.if_contains(from);
  if (value == nullptr) return;
  json::value moved = std::move(*value);
  body.erase(from);
  if (!body.contains(to) && !moved.is_null()) body[to] = std::move(moved);
}

}  // namespace

void TakeKnativeFields(std::string_view kind, json::object& body) {
  const std::array<std::string_view, 6> kinds = {schema::kBaseImageKind, schema::kImageKind,
                                                 schema::kFunctionKind,  schema::kSecretKind,
                                                 schema::kApiKind,       schema::kApplicationKind};
  if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) return;
  for (const char* field : {"project", "backingObject", "spec"}) body.erase(field);
  if (const auto* revision = body.if_contains("revision"); revision && revision->is_string()) {
    body.erase("revision");
  }
  if (auto* meta = body.if_contains("meta"); meta != nullptr && meta->is_object()) {
    std::string name = json::GetString(meta->as_object(), "name");
    body.erase("meta");
    if (!body.contains("name")) body["name"] = name;
  }
  if (kind == schema::kBaseImageKind) Rename(body, "imageURL", "dockerUrl");
  if (kind == schema::kImageKind) {
    Rename(body, "baseImage", "baseImageName");
    body.erase("imageURL");
  }
}

void AddKnativeFields(json::object& form) {
  std::string kind = json::GetString(form, "kind");
  if (kind != "BaseImage" && kind != "Image") return;
  if (const auto* url = form.if_contains("dockerUrl")) {
    json::value copy = *url;
    form["imageURL"] = std::move(copy);
  }
  if (const auto* base = form.if_contains("baseImageName")) {
    json::value copy = *base;
    form["baseImage"] = std::move(copy);
  }
}

}  // namespace dispatch::gateway
