#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/cesql/value.h"
#include "common/json.h"
#include "schema/cloudevents.h"

namespace dispatch {

/// An event as filters look at it: its attributes, all of them Strings to CESQL, and its data as
/// JSON, parsed when the first filter asks. One event, one thread; the event outlives it.
class EventView : public cesql::Attributes {
 public:
  /// Larger data is not looked into; an event has at most 1,000,000 bytes.
  static constexpr size_t kMaxDataBytes = size_t{1} << 20;
  static constexpr int kMaxDataDepth = 32;

  explicit EventView(const cloudevents::Event& event) : event_(event) {}

  const cloudevents::Event& event() const { return event_; }
  const std::string* Attribute(std::string_view name) const { return event_.Find(name); }
  bool Find(std::string_view name, cesql::Value* value) const override;

  /// Null when there is no data, its datacontenttype is not JSON, or it is no JSON within the
  /// limits (keys that come twice in an object, too).
  const json::value* Data() const;

 private:
  const cloudevents::Event& event_;
  mutable bool parsed_ = false;
  mutable std::optional<json::value> data_;
};

}  // namespace dispatch
