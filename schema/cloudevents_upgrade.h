#pragma once

#include <string>
#include <string_view>

#include "common/result.h"
#include "schema/cloudevents.h"

/// CloudEvents 0.1 to 1.0: the names that changed and the extensions that were a map.
namespace dispatch::cloudevents {

/// Collects what a 0.1 event says and gives the 1.0 event. Field names compare without case, as
/// HTTP fields do.
class Upgrade01 {
 public:
  /// True when 0.1 has a field of that name; an empty value is an absent one.
  bool AddField(std::string_view name, std::string value);
  /// Any name: what 1.0 does not allow in it is dropped, a clash gets a digit.
  void AddExtension(std::string_view name, std::string value);
  void SetData(std::string data) { event_.data = std::move(data); }
  const std::string* ContentType() const { return event_.Find("datacontenttype"); }
  Result<Event> Finish();

 private:
  Event event_;
  std::vector<std::pair<std::string, std::string>> extensions_;
};

}  // namespace dispatch::cloudevents
