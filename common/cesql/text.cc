#include "common/cesql/text.h"

#include <wctype.h>

#include <algorithm>
#include <array>

namespace dispatch::cesql {

namespace {

constexpr char32_t kMalformed = 0xFFFFFFFF;

uint8_t Byte(std::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }

// The code point at `position` and its size; kMalformed with size 1 where it is no UTF-8.
char32_t Decode(std::string_view text, size_t position, size_t* size) {
  *size = 1;
  uint8_t lead = Byte(text, position);
  if (lead < 0x80) return lead;
  size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  static constexpr std::array<char32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  if (lead < 0xC2 || lead > 0xF4 || position + length > text.size()) return kMalformed;
  char32_t code = lead & (0x7FU >> length);
  for (size_t i = 1; i < length; ++i) {
    if (!IsContinuation(text[position + i])) return kMalformed;
    code = code << 6 | (Byte(text, position + i) & 0x3FU);
  }
  if (code < kLeast[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
    return kMalformed;
  }
  *size = length;
  return code;
}

void Encode(char32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

// Unicode's White_Space.
bool IsSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

// The C library's tables, whatever locale the process runs in; without them only ASCII is mapped.
locale_t Unicode() {
  static const locale_t kLocale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return kLocale;
}

template <typename Map>
std::string MapEach(std::string_view text, Map map) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0, size = 0; i < text.size(); i += size) {
    char32_t code = Decode(text, i, &size);
    if (code == kMalformed) {
      out += text[i];
    } else {
      Encode(map(code), out);
    }
  }
  return out;
}

}  // namespace

bool IsContinuation(char c) { return (static_cast<uint8_t>(c) & 0xC0U) == 0x80; }

size_t CodePointSize(std::string_view text, size_t position) {
  size_t end = position + 1;
  if (Byte(text, position) < 0xC0) return 1;
  while (end < text.size() && end - position < 4 && IsContinuation(text[end])) ++end;
  return end - position;
}

size_t CountCodePoints(std::string_view text) {
  size_t count = 0;
  for (size_t i = 0; i < text.size(); i += CodePointSize(text, i)) ++count;
  return count;
}

size_t OffsetOf(std::string_view text, size_t index) {
  size_t offset = 0;
  for (; index > 0 && offset < text.size(); --index) offset += CodePointSize(text, offset);
  return offset;
}

std::string_view Trim(std::string_view text) {
  size_t size = 0;
  while (!text.empty() && IsSpace(Decode(text, 0, &size))) text.remove_prefix(size);
  while (!text.empty()) {
    size_t last = text.size() - 1;
    while (last > 0 && text.size() - last < 4 && IsContinuation(text[last])) --last;
    if (!IsSpace(Decode(text, last, &size)) || last + size != text.size()) break;
    text.remove_suffix(size);
  }
  return text;
}

std::string Lower(std::string_view text) {
  return MapEach(text, [](char32_t c) -> char32_t {
    if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
    return Unicode() == nullptr ? c : towlower_l(static_cast<wint_t>(c), Unicode());
  });
}

std::string Upper(std::string_view text) {
  return MapEach(text, [](char32_t c) -> char32_t {
    if (c < 0x80) return c >= 'a' && c <= 'z' ? c - 32 : c;
    return Unicode() == nullptr ? c : towupper_l(static_cast<wint_t>(c), Unicode());
  });
}

bool EqualsIgnoreCase(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() &&
         std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b;
         });
}

}  // namespace dispatch::cesql
