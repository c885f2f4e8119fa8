#include "event-manager/src/domain/drivers/driver_request.h"

#include <fmt/format.h>

#include <algorithm>

#include "schema/objects.h"
#include "schema/request_reader.h"

namespace dispatch {

namespace {

using schema::RequestReader;

constexpr size_t kMaxEntries = 64;
constexpr size_t kMaxValue = 4096;
constexpr size_t kMaxSecrets = 16;

std::string ReadName(RequestReader& reader, const char* field) {
  std::string name = reader.RequiredString(field);
  if (!name.empty() && !schema::IsObjectName(name)) {
    reader.Fault(field,
                 "must be 1 to 63 letters, digits, '_' and '-', the first a letter or a digit");
  }
  return name;
}

// Keys become "--key=value": nothing that ends an argument or looks like another.
bool IsKey(std::string_view key) {
  return !key.empty() && key.size() <= 64 && std::isalnum(static_cast<unsigned char>(key[0])) &&
         std::all_of(key.begin(), key.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
         });
}

json::array ReadEntries(RequestReader& reader) {
  json::array out;
  const auto* entries = reader.Array("config");
  for (const auto& entry : entries != nullptr ? *entries : json::array()) {
    const auto* object = entry.if_object();
    std::string key = object != nullptr ? json::GetString(*object, "key") : "";
    const auto* value = object != nullptr ? object->if_contains("value") : nullptr;
    bool text = value == nullptr || value->is_null() || value->is_string();
    std::string given = object != nullptr ? json::GetString(*object, "value") : "";
    bool clean = given.size() <= kMaxValue && given.find('\0') == std::string::npos;
    if (!IsKey(key) || !text || !clean) {
      reader.Fault("config",
                   "must be objects {\"key\", \"value\"}: a key of letters, digits, '_', "
                   "'-' and '.', a text of at most 4096 bytes");
      break;
    }
    out.push_back({{"key", key}, {"value", given}});
  }
  if (out.size() > kMaxEntries) reader.Fault("config", "must have at most 64 entries");
  return out;
}

}  // namespace

Result<json::object> DriverTypeDocument(const json::object& body) {
  RequestReader reader(body);
  json::object out;
  out["name"] = ReadName(reader, "name");
  out["kind"] = "DriverType";
  std::string image = reader.RequiredString("image");
  out["image"] = image;
  if (!image.empty()) {
    auto kind = KindOfImage(image);
    if (!kind.ok()) reader.Fault("image", kind.message());
  }
  out["expose"] = reader.Bool("expose", false);
  out["config"] = ReadEntries(reader);
  out["tags"] = reader.Tags();
  reader.Allow({"id", "kind", "revision", "status", "reason", "org", "created-time",
                "modified-time", "createdTime", "modifiedTime", "builtIn"});
  if (!reader.ok()) return reader.error();
  return out;
}

Result<json::object> DriverDocument(const json::object& body) {
  RequestReader reader(body);
  json::object out;
  out["name"] = ReadName(reader, "name");
  out["kind"] = "Driver";
  out["type"] = ReadName(reader, "type");
  out["config"] = ReadEntries(reader);
  json::array secrets;
  const auto* given = reader.Array("secrets");
  for (const auto& secret : given != nullptr ? *given : json::array()) {
    if (!secret.is_string() || !schema::IsObjectName(std::string(secret.as_string()))) {
      reader.Fault("secrets", "must be names of secrets");
      break;
    }
    secrets.push_back(secret);
  }
  if (secrets.size() > kMaxSecrets) reader.Fault("secrets", "must be at most 16");
  out["secrets"] = std::move(secrets);
  out["tags"] = reader.Tags();
  reader.Allow({"id", "kind", "revision", "status", "reason", "org", "created-time",
                "modified-time", "createdTime", "modifiedTime", "expose", "url", "image", "token"});
  if (!reader.ok()) return reader.error();
  return out;
}

Status FillDriver(const json::object& type, json::object& driver) {
  std::string image = json::GetString(type, "image");
  ASSIGN_OR_RETURN(DriverKind kind, KindOfImage(image));
  RETURN_IF_ERROR(CheckConfig(kind, MergeConfig(ReadConfig(type), ReadConfig(driver))));
  driver["image"] = image;
  driver["expose"] = json::GetBool(type, "expose") || kind == DriverKind::kWebhook;
  return {};
}

Error NoSuchType(const std::string& driver, const std::string& type) {
  return {Code::kInvalidArgument,
          fmt::format("bad request when processing event driver {}: driver type {} does not exist",
                      driver, type),
          false,
          {{"type", "must be the name of a driver type"}}};
}

std::string WebhookPath(const std::string& org, const std::string& name) {
  return fmt::format("/v1/event/ingest/{}/{}", org, name);
}

}  // namespace dispatch
