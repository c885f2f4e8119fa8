#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/result.h"
#include "schema/messages.h"

/// CloudEvents 1.0.2: the event format and its HTTP, Kafka and JSON bindings, in both directions.
/// Payload bytes are never parsed and written again where the binding lets them pass as they are.
namespace dispatch::cloudevents {

/// An event. Attributes are names in lower case with the canonical string form of their value, in
/// the order received, `specversion` and `datacontenttype` among them.
struct Event {
  std::vector<std::pair<std::string, std::string>> attributes;
  std::optional<std::string> data;  // nothing: no data; not the same as empty data

  const std::string* Find(std::string_view name) const;
  void Set(std::string_view name, std::string value);
};

/// Required attributes, attribute names and value forms (spec section 3). Errors name the
/// attribute.
Status Validate(const Event& event);

/// What a Content-Type says (HTTP binding section 3).
enum class ContentMode { kBinary, kStructured, kBatch };
Result<ContentMode> ModeOf(std::string_view content_type);

/// HTTP binary mode: `ce-*` fields (percent-decoded, section 3.1.3.2) and Content-Type.
/// kInvalidArgument when `ce-specversion` is missing or a value is not valid.
Result<Event> FromHttpBinary(const schema::HeaderList& headers, std::string body);
schema::HeaderList ToHttpHeaders(const Event& event);

/// JSON format (section 2 and 3). `data` keeps its exact bytes.
Result<Event> FromJson(std::string_view text);
/// A batch: an array, maybe empty. One result an element; a fault of the array itself fails the
/// whole.
Result<std::vector<Result<Event>>> FromJsonBatch(std::string_view text);
std::string ToJson(const Event& event);

/// Kafka binding: binary mode out; binary or structured mode in. The record key comes from the
/// `partitionkey` attribute, which stays an attribute.
schema::EventData ToKafka(Event event);
/// kInvalidArgument for a record that is no CloudEvent 1.0.
Result<Event> FromKafka(const schema::EventData& data);
/// The same of a record's parts.
Result<Event> FromKafka(const schema::HeaderList& headers, const std::optional<std::string>& value);

/// CloudEvents 0.1 (JSON) to 1.0; see conformance BINDINGS, "Older versions".
Result<Event> UpgradeFrom01(std::string_view text);

}  // namespace dispatch::cloudevents
