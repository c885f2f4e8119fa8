#pragma once

#include <string>

#include "common/json.h"
#include "common/result.h"

namespace dispatch {

/// A function as a user describes it.
struct FunctionRequest {
  std::string name;
  /// Of runtime `http`: url, timeout (a duration, at most an hour). Of others: image, handler,
  /// schema, secrets, services, timeout (ms, at most kLongestRun), limits {memory, cpu,
  /// concurrency}, network. Of both: runtime, tags. Defaults are filled in.
  json::object fields;
  std::string source;         // the archive's bytes; empty: as before (only in an update), or http
  std::string source_digest;  // in its place: of one that came in pieces (SourceUploads)

  bool has_source() const { return !source.empty() || !source_digest.empty(); }
  bool hosted() const { return json::GetString(fields, "runtime") == "process"; }
};

/// Checks it; an archive is only decoded here. kUnprocessable naming every faulty field.
Result<FunctionRequest> ReadFunctionRequest(const std::string& body);

/// What a source archive may have at most (bytes, gzip). What one request carries comes with it,
/// the rest in pieces.
inline constexpr size_t kMaxSourceBytes = 16 * 1024 * 1024;
Error SourceTooLarge();

/// "128Mi", "1G", "1048576" as bytes; "500m", "1.5" of a processor as thousandths. -1: neither.
int64_t ParseMemory(std::string_view text);
int64_t ParseCpu(std::string_view text);

}  // namespace dispatch
