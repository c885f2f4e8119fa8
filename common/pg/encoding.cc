#include <charconv>

#include "common/crypto.h"
#include "common/pg/pool.h"

namespace dispatch::pg {

std::string EncodeBytea(std::string_view bytes) { return "\\x" + crypto::HexEncode(bytes); }

Result<std::string> DecodeBytea(std::string_view text) {
  if (!text.starts_with("\\x")) {
    return {Code::kInvalidArgument, "not bytea in hex form; set bytea_output = hex"};
  }
  return crypto::HexDecode(text.substr(2));
}

std::string EncodeArray(const std::vector<Value>& values) {
  std::string out = "{";
  for (const Value& value : values) {
    if (out.size() > 1) out += ',';
    if (!value) {
      out += "NULL";
      continue;
    }
    // Always quoted, since an unquoted NULL, a comma or a space would mean something else.
    out += '"';
    for (char c : *value) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out + "}";
}

const std::string& Row::Text(size_t column) const {
  static const std::string empty;
  const Value& value = (*fields_)[column];
  return value ? *value : empty;
}

int64_t Row::Int(size_t column) const {
  const std::string& text = Text(column);
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

bool Row::Bool(size_t column) const { return Text(column) == "t"; }

std::string Row::Bytes(size_t column) const {
  auto bytes = DecodeBytea(Text(column));
  return bytes.ok() ? std::move(*bytes) : std::string();
}

}  // namespace dispatch::pg
