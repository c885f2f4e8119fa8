#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/span.h"

/// The JSON encoding of OTLP (opentelemetry-proto, "JSON Protobuf Encoding"): names in lower camel
/// case, ids in hexadecimal, 64-bit integers as strings, enumerations as numbers.
namespace dispatch::otlp {

/// What all spans of a process have in common: `service.name` and so on.
using Resource = std::vector<std::pair<std::string, std::string>>;

/// A `Span` message. Texts are cut after 1,024 bytes; bytes that are no UTF-8 become U+FFFD.
std::string EncodeSpan(const Span& span);

/// An ExportTraceServiceRequest of encoded spans, in pieces: `head`, the spans with commas between,
/// `tail`.
struct Envelope {
  std::string head;
  std::string tail;
};
Envelope EnvelopeOf(const Resource& resource, std::string_view scope_version);

/// What a collector did not take of a request that it answered with 2xx.
struct PartialSuccess {
  int64_t rejected = 0;
  std::string message;
};
/// Of the body of such an answer (ExportTraceServiceResponse): nothing when all is well, or when it
/// is no such message.
std::optional<PartialSuccess> ReadPartialSuccess(std::string_view body);

}  // namespace dispatch::otlp
