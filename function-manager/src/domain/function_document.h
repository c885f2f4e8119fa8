#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/json.h"
#include "common/uuid.h"
#include "function-manager/src/domain/function_catalog.h"

/// The document of a function of runtime `process` (decision 0017, 2). At its top are the fields of
/// the version that serves, and under `version` what users do not set of it: number, faasId,
/// language, imageDigest, sourceDigest. `next` has the fields and the rest of the version that is
/// being made. Before the first one serves, the top has the fields of the next. `versions` tells of
/// the last ones that served, newest first.
namespace dispatch {

/// What is being made of it.
struct NextVersion {
  json::object fields;  // as FunctionRequest has them
  Uuid faas_id;
  std::string source_digest;
  /// Of a rollback: the image as it was then. Else the one that the image has when it is built.
  std::optional<std::string> image_digest;
  std::string language;
};

json::object NewFunctionDocument(const std::string& name, const NextVersion& next, int64_t now_s);
/// Puts `next` in the place of one that was being made.
void BeginVersion(json::object& document, const NextVersion& next, int64_t now_s);
/// The next one serves. `versions` keeps the last `kept`.
void AdoptVersion(json::object& document, const std::string& image_digest,
                  const std::string& language, int64_t now_s);
/// The next one cannot serve; the one before it, if any, goes on.
void DropVersion(json::object& document, const std::string& reason, int64_t now_s);

/// Nothing when none is being made.
std::optional<NextVersion> NextOf(const json::object& document);
/// Nil when none serves.
Uuid ServingFaasId(const json::object& document);
/// Whether the one that is being made, or serves when none is, has the same fields and source.
bool SameVersion(const json::object& document, const json::object& fields,
                 const std::string& source_digest);
/// What a version that serves is made of, to be made again by a rollback.
json::object VersionRecord(const json::object& document);
NextVersion FromRecord(const json::object& record, const Uuid& faas_id);

/// How it is run: from its fields and directories.
FunctionVersion RunnableVersion(const std::string& org, const std::string& name,
                                const json::object& fields, const Uuid& faas_id,
                                const std::string& language, const std::string& image_directory,
                                const std::string& source_directory);

inline constexpr size_t kKeptVersions = 10;

}  // namespace dispatch
