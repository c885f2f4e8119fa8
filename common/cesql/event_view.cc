#include "common/cesql/event_view.h"

#include "schema/cloudevents_text.h"

namespace dispatch {

bool EventView::Find(std::string_view name, cesql::Value* value) const {
  const std::string* text = event_.Find(name);
  if (text == nullptr) return false;
  *value = cesql::Value::String(*text);
  return true;
}

const json::value* EventView::Data() const {
  if (!parsed_) {
    parsed_ = true;
    const std::string* type = event_.Find("datacontenttype");
    bool json = type != nullptr && cloudevents::MediaType(*type).IsJson();
    if (json && event_.data && event_.data->size() <= kMaxDataBytes) {
      auto value = json::Parse(*event_.data, kMaxDataDepth);
      if (value.ok()) data_ = std::move(*value);
    }
  }
  return data_ ? &*data_ : nullptr;
}

}  // namespace dispatch
