#include "function-manager/src/domain/function_request.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "common/config.h"
#include "common/crypto.h"
#include "function-manager/src/domain/runner.h"
#include "schema/objects.h"
#include "schema/request_reader.h"

namespace dispatch {

namespace {

using std::chrono::milliseconds;

constexpr size_t kMaxSchema = 64 * 1024;
constexpr size_t kMaxNames = 64;
constexpr milliseconds kLongestOfUrl = std::chrono::hours(1);
constexpr int64_t kMinMemory = int64_t{16} << 20;
constexpr int64_t kMaxMemory = int64_t{64} << 30;

std::string Name(schema::RequestReader& reader, std::string_view field) {
  std::string name = reader.RequiredString(field);
  if (!name.empty() && !schema::IsObjectName(name)) {
    reader.Fault(field,
                 "must be 1 to 63 letters, digits, '_' and '-', the first a letter or a digit");
  }
  return name;
}

json::array Names(schema::RequestReader& reader, std::string_view field) {
  json::array names;
  const auto* given = reader.Array(field);
  if (given == nullptr) return names;
  bool good = given->size() <= kMaxNames;
  for (const auto& element : *given) {
    good = good && element.is_string() && schema::IsObjectName(element.as_string());
    if (good && std::find(names.begin(), names.end(), element) == names.end()) {
      names.push_back(element);
    }
  }
  if (!good) reader.Fault(field, "must be at most 64 names");
  return names;
}

// {"in": null, "out": null} is VMware's "none".
json::object Schemas(schema::RequestReader& reader) {
  json::object schemas;
  const auto* given = reader.Object("schema");
  if (given == nullptr) return schemas;
  for (const char* side : {"in", "out"}) {
    const auto* value = given->if_contains(side);
    if (value == nullptr || value->is_null()) continue;
    std::string field = std::string("schema.") + side;
    if (!value->is_object() && !value->is_bool()) {
      reader.Fault(field, "must be a JSON Schema");
    } else if (json::Serialize(*value).size() > kMaxSchema) {
      reader.Fault(field, "must be at most 64 KiB");
    } else {
      schemas[side] = *value;
    }
  }
  return schemas;
}

// Text or number, as YAML and people write both.
std::string TextOf(const json::object& object, std::string_view field) {
  const auto* value = object.if_contains(field);
  if (value == nullptr || value->is_null()) return "";
  return value->is_string() ? std::string(value->as_string()) : json::Serialize(*value);
}

json::object Limits(schema::RequestReader& reader) {
  json::object limits{{"memory", "256Mi"}, {"cpu", "1"}, {"concurrency", 1}};
  const auto* given = reader.Object("limits");
  if (given == nullptr) return limits;
  schema::RequestReader inner(*given, "limits");
  std::string memory = TextOf(*given, "memory");
  if (!memory.empty()) {
    int64_t bytes = ParseMemory(memory);
    if (bytes < kMinMemory || bytes > kMaxMemory) {
      inner.Fault("memory", "must be from 16Mi to 64Gi, as in 256Mi or 1G");
    }
    limits["memory"] = memory;
  }
  std::string cpu = TextOf(*given, "cpu");
  if (!cpu.empty()) {
    int64_t millis = ParseCpu(cpu);
    if (millis < 10 || millis > 64'000) inner.Fault("cpu", "must be from 10m to 64, as in 500m");
    limits["cpu"] = cpu;
  }
  limits["concurrency"] = inner.Int("concurrency", 1, 1, 256);
  inner.Allow({"memory", "cpu"});
  reader.Take(inner);
  return limits;
}

// Milliseconds, VMware's form, or a duration.
int64_t TimeoutMs(schema::RequestReader& reader, milliseconds most) {
  return reader.Duration("timeout", milliseconds(0), milliseconds(0), most).count();
}

std::string Source(schema::RequestReader& reader) {
  std::string text = reader.String("source");
  if (text.empty()) return "";
  auto bytes = crypto::Base64Decode(text);
  if (!bytes.ok()) {
    reader.Fault("source", "must be base64 of a tar.gz archive");
    return "";
  }
  if (bytes->size() > kMaxSourceBytes) {
    reader.Fault("source", SourceTooLarge().details[0].reason);
  }
  return std::move(*bytes);
}

void ReadHttp(schema::RequestReader& reader, json::object& fields) {
  fields["url"] = reader.RequiredUrl("url");
  int64_t timeout = TimeoutMs(reader, kLongestOfUrl);
  if (timeout > 0) fields["timeout"] = FormatDuration(milliseconds(timeout));
}

void ReadHosted(schema::RequestReader& reader, FunctionRequest& request) {
  json::object& fields = request.fields;
  fields["image"] = Name(reader, "image");
  fields["handler"] = reader.String("handler");
  if (fields["handler"].as_string().size() > 512) {
    reader.Fault("handler", "must be at most 512 characters");
  }
  fields["schema"] = Schemas(reader);
  fields["secrets"] = Names(reader, "secrets");
  fields["services"] = Names(reader, "services");
  fields["timeout"] = TimeoutMs(reader, kLongestRun);
  fields["limits"] = Limits(reader);
  fields["network"] = reader.Bool("network", false);
  request.source = Source(reader);
  request.source_digest = reader.String("sourceDigest");
}

}  // namespace

Error SourceTooLarge() {
  return {Code::kTooLarge,
          "source must be at most 16 MiB compressed: put dependencies into the image",
          false,
          {{"source", "must be at most 16 MiB compressed: put dependencies into the image"}}};
}

int64_t ParseMemory(std::string_view text) {
  int64_t number = 0;
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc() || number < 0 || number > (int64_t{1} << 40)) return -1;
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  if (unit.empty() || unit == "B") return number;
  struct Unit {
    std::string_view name;
    int64_t bytes;
  };
  for (const Unit& known : {Unit{"Ki", 1 << 10}, Unit{"Mi", 1 << 20}, Unit{"Gi", 1 << 30},
                            Unit{"K", 1'000}, Unit{"M", 1'000'000}, Unit{"G", 1'000'000'000}}) {
    if (unit == known.name) {
      return number > (int64_t{1} << 60) / known.bytes ? -1 : number * known.bytes;
    }
  }
  return -1;
}

int64_t ParseCpu(std::string_view text) {
  bool thousandths = text.ends_with('m');
  if (thousandths) text.remove_suffix(1);
  double number = 0;
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc() || end != text.data() + text.size() || !(number >= 0) || number > 1e6) {
    return -1;
  }
  return std::llround(thousandths ? number : number * 1000);
}

Result<FunctionRequest> ReadFunctionRequest(const std::string& body) {
  ASSIGN_OR_RETURN(auto parsed, json::ParseObject(body));
  schema::RequestReader reader(parsed);
  FunctionRequest request;
  request.name = Name(reader, "name");
  bool has_url = !reader.String("url").empty();
  bool has_image = reader.Has("image");
  std::string runtime = reader.String("runtime", has_image && !has_url ? "process" : "http");
  if (runtime != "http" && runtime != "process") {
    reader.Fault("runtime", "must be http (a function that you run at `url`) or process");
  }
  request.fields["runtime"] = runtime;
  if (runtime == "process") {
    ReadHosted(reader, request);
  } else {
    ReadHttp(reader, request.fields);
  }
  request.fields["tags"] = reader.Tags();
  reader.Allow({"id", "kind", "revision", "status", "reason", "org", "project", "createdTime",
                "modifiedTime", "backingObject", "faasId", "functionImageURL", "functionImageUrl",
                "sourcePath", "sourceURL", "version", "next", "versions", "language",
                // VMware's CLI sends them all, whatever the runtime.
                "image", "handler", "schema", "secrets", "services", "limits", "network", "source",
                "sourceDigest"});
  if (!reader.ok()) return reader.error();
  return request;
}

}  // namespace dispatch
