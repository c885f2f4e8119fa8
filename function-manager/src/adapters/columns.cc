#include "function-manager/src/adapters/columns.h"

namespace dispatch {

namespace {

// The length of the valid UTF-8 sequence at `text`, 0 when it is not valid.
size_t SequenceLength(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char first = byte(0);
  if (first < 0x80) return first == 0 ? 0 : 1;
  size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  bool overlong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  bool surrogate = first == 0xED && byte(1) > 0x9F;
  bool beyond = first == 0xF4 && byte(1) > 0x8F;
  return overlong || surrogate || beyond ? 0 : length;
}

}  // namespace

std::string CleanText(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  while (!text.empty()) {
    size_t length = SequenceLength(text);
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
