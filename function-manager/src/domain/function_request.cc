#include "function-manager/src/domain/function_request.h"

#include "common/config.h"
#include "schema/objects.h"
#include "schema/request_reader.h"

namespace dispatch {

Result<json::object> FunctionDocument(const std::string& body) {
  ASSIGN_OR_RETURN(auto request, json::ParseObject(body));
  schema::RequestReader reader(request);
  json::object document;
  std::string name = reader.RequiredString("name");
  if (!name.empty() && !schema::IsObjectName(name)) {
    reader.Fault("name",
                 "must be 1 to 63 letters, digits, '_' and '-', the first a letter or a digit");
  }
  document["name"] = name;
  document["kind"] = "Function";
  std::string runtime = reader.String("runtime", "http");
  if (runtime != "http") {
    reader.Fault("runtime", "must be http, a function that you run at `url`");
  }
  document["runtime"] = runtime;
  document["url"] = reader.RequiredUrl("url");
  auto timeout = reader.Duration("timeout", std::chrono::milliseconds(0),
                                 std::chrono::milliseconds(0), std::chrono::hours(1));
  if (timeout.count() > 0) document["timeout"] = FormatDuration(timeout);
  if (const auto* tags = reader.Array("tags")) document["tags"] = *tags;
  reader.Allow(
      {"id", "kind", "revision", "status", "reason", "org", "createdTime", "modifiedTime"});
  if (!reader.ok()) return reader.error();
  return document;
}

}  // namespace dispatch
