#include "schema/cloudevents_text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace dispatch::cloudevents {

namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  c = Lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Takes one code point off the front of `text`; -1 when it is not well formed (Unicode, table 3-7).
int32_t NextCodePoint(std::string_view& text) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  uint8_t first = byte(0);
  if (first < 0x80) {
    text.remove_prefix(1);
    return first;
  }
  size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return -1;
  int32_t code = first & (0x7f >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return -1;
    code = code << 6 | (byte(i) & 0x3f);
  }
  static constexpr int32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kLeast[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return -1;
  text.remove_prefix(length);
  return code;
}

constexpr std::array<bool, 256> MakeUriTable() {
  std::array<bool, 256> table{};
  for (int c = 0x21; c < 0x7f; ++c) table[c] = true;
  for (unsigned char c : std::string_view("\"<>\\^`{|}")) table[c] = false;
  for (int c = 0x80; c < 0x100; ++c) table[c] = true;
  return table;
}
constexpr std::array<bool, 256> kUriCharacter = MakeUriTable();

// `pattern`: 'd' is a digit, the rest is itself (letters in either case).
bool Fits(std::string_view text, std::string_view pattern) {
  return text.size() == pattern.size() &&
         std::equal(text.begin(), text.end(), pattern.begin(),
                    [](char c, char p) { return p == 'd' ? IsDigit(c) : Lower(c) == Lower(p); });
}

int TwoDigits(std::string_view text, size_t at) {
  return (text[at] - '0') * 10 + (text[at + 1] - '0');
}

int DaysIn(int year, int month) {
  static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : kDays[month - 1];
}

// Undoes RFC 9110 quoted-string; nothing when `value` is none.
std::optional<std::string> Unquote(std::string_view value) {
  if (value.size() < 2 || value.front() != '"' || value.back() != '"') return std::nullopt;
  std::string out;
  for (size_t i = 1; i + 1 < value.size(); ++i) {
    if (value[i] == '"') return std::nullopt;
    if (value[i] == '\\' && ++i + 1 == value.size()) return std::nullopt;
    out += value[i];
  }
  return out;
}

}  // namespace

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    uint64_t block;
    if (text.size() >= sizeof(block)) {
      std::memcpy(&block, text.data(), sizeof(block));
      if ((block & 0x8080808080808080) == 0) {
        text.remove_prefix(sizeof(block));
        continue;
      }
    }
    if (NextCodePoint(text) < 0) return false;
  }
  return true;
}

std::string_view AttributeTextFault(std::string_view text) {
  // Printable ASCII is the rule.
  while (!text.empty() && text[0] >= 0x20 && text[0] < 0x7f) text.remove_prefix(1);
  while (!text.empty()) {
    int32_t code = NextCodePoint(text);
    if (code < 0) return "is not valid UTF-8";
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return "contains a control character";
    if ((code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) == 0xfffe) {
      return "contains a Unicode non-character";
    }
  }
  return {};
}

bool IsAttributeName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(),
                                      [](char c) { return (c >= 'a' && c <= 'z') || IsDigit(c); });
}

bool IsTimestamp(std::string_view text) {
  if (text.size() < 20 || !Fits(text.substr(0, 19), "dddd-dd-ddTdd:dd:dd")) return false;
  int year = TwoDigits(text, 0) * 100 + TwoDigits(text, 2);
  int month = TwoDigits(text, 5);
  int day = TwoDigits(text, 8);
  if (month < 1 || month > 12 || day < 1 || day > DaysIn(year, month)) return false;
  if (TwoDigits(text, 11) > 23 || TwoDigits(text, 14) > 59 || TwoDigits(text, 17) > 60)
    return false;
  text.remove_prefix(19);
  if (text[0] == '.') {
    size_t end = 1;
    while (end < text.size() && IsDigit(text[end])) ++end;
    if (end == 1) return false;
    text.remove_prefix(end);
  }
  if (text == "Z" || text == "z") return true;
  if (!Fits(text, "+dd:dd") && !Fits(text, "-dd:dd")) return false;
  return TwoDigits(text, 1) <= 23 && TwoDigits(text, 4) <= 59;
}

bool IsUriReference(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (!kUriCharacter[static_cast<uint8_t>(text[i])]) return false;
    if (text[i] == '%' &&
        (i + 2 >= text.size() || HexValue(text[i + 1]) < 0 || HexValue(text[i + 2]) < 0)) {
      return false;
    }
  }
  return !text.empty();
}

bool IsAbsoluteUri(std::string_view text) {
  size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || !IsLetter(text[0])) return false;
  return IsUriReference(text) && std::all_of(text.begin(), text.begin() + colon, [](char c) {
           return IsLetter(c) || IsDigit(c) || c == '+' || c == '-' || c == '.';
         });
}

std::optional<std::string> DecodeHeaderValue(std::string_view value) {
  std::optional<std::string> unquoted;
  if (!value.empty() && value.front() == '"') unquoted = Unquote(value);
  if (unquoted) value = *unquoted;
  std::string out;
  out.reserve(value.size());
  for (size_t i = 0; i < value.size(); ++i) {
    if (value[i] != '%') {
      out += value[i];
      continue;
    }
    int high = i + 2 < value.size() ? HexValue(value[i + 1]) : -1;
    int low = high >= 0 ? HexValue(value[i + 2]) : -1;
    if (low < 0) return std::nullopt;
    out += static_cast<char>(high << 4 | low);
    i += 2;
  }
  if (!IsUtf8(out)) return std::nullopt;
  return out;
}

std::string EncodeHeaderValue(std::string_view value) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(value.size());
  for (unsigned char c : value) {
    if (c > 0x20 && c < 0x7f && c != '"' && c != '%') {
      out += static_cast<char>(c);
    } else {
      out += '%';
      out += kHex[c >> 4];
      out += kHex[c & 15];
    }
  }
  return out;
}

MediaType::MediaType(std::string_view content_type) {
  auto trimmed = [](std::string_view text) {
    auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return std::string();
    text = text.substr(first, text.find_last_not_of(" \t") - first + 1);
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(), Lower);
    return out;
  };
  size_t end = std::min(content_type.find(';'), content_type.size());
  essence = trimmed(content_type.substr(0, end));
  while (end < content_type.size()) {
    content_type.remove_prefix(end + 1);
    end = std::min(content_type.find(';'), content_type.size());
    std::string parameter = trimmed(content_type.substr(0, end));
    if (!parameter.starts_with("charset=")) continue;
    charset = parameter.substr(8);
    if (charset.size() >= 2 && charset.front() == '"' && charset.back() == '"') {
      charset = charset.substr(1, charset.size() - 2);
    }
  }
}

bool MediaType::IsText() const {
  return essence.starts_with("text/") || essence.ends_with("/xml") || essence.ends_with("+xml");
}

}  // namespace dispatch::cloudevents
