#include "function-manager/src/domain/secret_request.h"

#include <algorithm>

#include "schema/objects.h"
#include "schema/request_reader.h"

namespace dispatch {

namespace {

constexpr size_t kMaxValues = 64;
constexpr size_t kMaxBytes = 64 * 1024;

bool IsValueName(std::string_view name) {
  return !name.empty() && name.size() <= 128 &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
         });
}

}  // namespace

Result<SecretRequest> ReadSecretRequest(const json::object& request) {
  schema::RequestReader reader(request);
  SecretRequest out;
  std::string name = reader.RequiredString("name");
  if (!name.empty() && !schema::IsObjectName(name)) {
    reader.Fault("name",
                 "must be 1 to 63 letters, digits, '_' and '-', the first a letter or a digit");
  }
  out.document["name"] = name;
  out.document["kind"] = "Secret";
  json::object shown;
  size_t bytes = 0;
  const auto* values = reader.Object("secrets");
  if (values == nullptr) {
    reader.Fault("secrets", "is required: an object of texts");
  } else {
    for (const auto& [key, value] : *values) {
      if (!IsValueName(key)) {
        reader.Fault("secrets", "must have keys of 1 to 128 letters, digits, '_', '-' and '.'");
      } else if (!value.is_string()) {
        reader.Fault("secrets." + std::string(key), "must be a text");
      } else {
        out.values[key] = value.as_string();
        bytes += key.size() + value.as_string().size();
      }
      shown[key] = kHiddenValue;
    }
    if (values->size() > kMaxValues) reader.Fault("secrets", "must have at most 64 keys");
    if (bytes > kMaxBytes) reader.Fault("secrets", "must be at most 64 KiB in all");
  }
  out.document["secrets"] = std::move(shown);
  out.document["tags"] = reader.Tags();
  reader.Allow(
      {"id", "kind", "revision", "status", "reason", "org", "createdTime", "modifiedTime"});
  if (!reader.ok()) return reader.error();
  return out;
}

}  // namespace dispatch
