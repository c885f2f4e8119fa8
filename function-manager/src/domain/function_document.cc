#include "function-manager/src/domain/function_document.h"

#include <algorithm>
#include <array>

#include "function-manager/src/domain/function_request.h"

namespace dispatch {

namespace {

constexpr std::array<std::string_view, 10> kFields = {"runtime", "image",    "handler", "schema",
                                                      "secrets", "services", "timeout", "limits",
                                                      "network", "tags"};

json::object FieldsOf(const json::object& document) {
  json::object fields;
  for (std::string_view field : kFields) {
    if (const auto* value = document.if_contains(field)) fields[field] = *value;
  }
  return fields;
}

void SetFields(json::object& document, const json::object& fields) {
  for (std::string_view field : kFields) {
    if (const auto* value = fields.if_contains(field)) document[field] = *value;
  }
}

Uuid UuidOf(const json::object& object, std::string_view field) {
  auto id = Uuid::Parse(json::GetString(object, field));
  return id.ok() ? *id : Uuid{};
}

const json::object& Version(const json::object& document) {
  static const json::object none;
  const auto* version = json::GetObject(document, "version");
  return version != nullptr ? *version : none;
}

}  // namespace

json::object NewFunctionDocument(const std::string& name, const NextVersion& next, int64_t now_s) {
  json::object document{{"name", name}, {"kind", "Function"}};
  SetFields(document, next.fields);
  document["faasId"] = next.faas_id.ToString();
  document["reason"] = json::array();
  document["versions"] = json::array();
  document["createdTime"] = now_s;
  BeginVersion(document, next, now_s);
  document["status"] = "INITIALIZED";
  return document;
}

void BeginVersion(json::object& document, const NextVersion& next, int64_t now_s) {
  json::value& counter = document["internal"];
  if (!counter.is_object()) counter = json::object();
  int64_t number = json::GetInt(counter.as_object(), "number") + 1;
  counter.as_object()["number"] = number;
  json::object being_made = next.fields;
  being_made["number"] = number;
  being_made["faasId"] = next.faas_id.ToString();
  being_made["sourceDigest"] = next.source_digest;
  if (next.image_digest) {
    being_made["imageDigest"] = *next.image_digest;
    being_made["language"] = next.language;
  }
  if (ServingFaasId(document).is_nil()) {
    SetFields(document, next.fields);
    document["faasId"] = next.faas_id.ToString();
  }
  document["next"] = std::move(being_made);
  document["status"] = "UPDATING";
  document["modifiedTime"] = now_s;
}

void AdoptVersion(json::object& document, const std::string& image_digest,
                  const std::string& language, int64_t now_s) {
  json::object next = document["next"].is_object() ? document["next"].as_object() : json::object();
  SetFields(document, next);
  document["faasId"] = next["faasId"];
  document["version"] = {{"number", next["number"]},
                         {"faasId", next["faasId"]},
                         {"language", language},
                         {"imageDigest", image_digest},
                         {"sourceDigest", next["sourceDigest"]}};
  json::array versions{{{"version", next["number"]},
                        {"faasId", next["faasId"]},
                        {"image", json::GetString(next, "image")},
                        {"sourceDigest", next["sourceDigest"]},
                        {"createdTime", now_s}}};
  if (const auto* before = json::GetArray(document, "versions")) {
    size_t more = std::min(before->size(), kKeptVersions - 1);
    versions.insert(versions.end(), before->begin(), before->begin() + more);
  }
  document["versions"] = std::move(versions);
  document["status"] = "READY";
  document["reason"] = json::array();
  document.erase("next");
  document["modifiedTime"] = now_s;
}

void DropVersion(json::object& document, const std::string& reason, int64_t now_s) {
  bool serves = !ServingFaasId(document).is_nil();
  document["internal"].as_object()["failedSource"] = json::GetString(
      document["next"].is_object() ? document["next"].as_object() : json::object(), "sourceDigest");
  document.erase("next");
  document["status"] = serves ? "READY" : "ERROR";
  document["reason"] =
      json::array{serves ? "the update failed, the version before it serves: " + reason : reason};
  document["modifiedTime"] = now_s;
}

std::optional<NextVersion> NextOf(const json::object& document) {
  const auto* next = json::GetObject(document, "next");
  if (next == nullptr) return std::nullopt;
  NextVersion made;
  made.fields = FieldsOf(*next);
  made.faas_id = UuidOf(*next, "faasId");
  made.source_digest = json::GetString(*next, "sourceDigest");
  if (next->contains("imageDigest")) made.image_digest = json::GetString(*next, "imageDigest");
  made.language = json::GetString(*next, "language");
  return made;
}

Uuid ServingFaasId(const json::object& document) { return UuidOf(Version(document), "faasId"); }

bool SameVersion(const json::object& document, const json::object& fields,
                 const std::string& source_digest) {
  const auto* next = json::GetObject(document, "next");
  const json::object& made = next != nullptr ? *next : document;
  const json::object& digests = next != nullptr ? *next : Version(document);
  return FieldsOf(made) == fields && json::GetString(digests, "sourceDigest") == source_digest;
}

json::object VersionRecord(const json::object& document) {
  json::object record = FieldsOf(document);
  for (const auto& [key, value] : Version(document)) record[key] = value;
  return record;
}

NextVersion FromRecord(const json::object& record, const Uuid& faas_id) {
  NextVersion next;
  next.fields = FieldsOf(record);
  next.faas_id = faas_id;
  next.source_digest = json::GetString(record, "sourceDigest");
  next.image_digest = json::GetString(record, "imageDigest");
  next.language = json::GetString(record, "language");
  return next;
}

FunctionVersion RunnableVersion(const std::string& org, const std::string& name,
                                const json::object& fields, const Uuid& faas_id,
                                const std::string& language, const std::string& image_directory,
                                const std::string& source_directory) {
  FunctionVersion version;
  version.id = faas_id;
  version.org = org;
  version.name = name;
  version.language = language;
  version.image = image_directory;
  version.source = source_directory;
  version.handler = json::GetString(fields, "handler");
  version.network = json::GetBool(fields, "network");
  if (const auto* limits = json::GetObject(fields, "limits")) {
    int64_t memory = ParseMemory(json::GetString(*limits, "memory"));
    int64_t cpu = ParseCpu(json::GetString(*limits, "cpu"));
    if (memory > 0) version.memory_bytes = memory;
    if (cpu > 0) version.cpu_millis = static_cast<int32_t>(cpu);
    version.concurrency = static_cast<int32_t>(json::GetInt(*limits, "concurrency", 1));
  }
  return version;
}

}  // namespace dispatch
