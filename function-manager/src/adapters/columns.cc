#include "function-manager/src/adapters/columns.h"

#include "common/utf8.h"

namespace dispatch {

std::string CleanText(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    // PostgreSQL's text has no NUL.
    size_t length = text[0] == '\0' ? 0 : CharacterLength(text);
    if (length == 0) {
      clean += '?';
      length = 1;
    } else {
      clean.append(text.substr(0, length));
    }
    text.remove_prefix(length);
  }
  return clean;
}

std::string EncodeEvent(const schema::EventData& event) {
  schema::DeadLetter carrier;
  carrier.event = event;
  return schema::Encode(carrier);
}

Result<schema::EventData> DecodeEvent(std::string_view bytes) {
  ASSIGN_OR_RETURN(auto carrier, schema::Decode<schema::DeadLetter>(bytes));
  return std::move(carrier.event);
}

}  // namespace dispatch
