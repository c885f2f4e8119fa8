#include "schema/cloudevents_scan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "schema/cloudevents_text.h"

namespace dispatch::cloudevents {

namespace {

// Payloads may be deeper than documents of our own; the bound keeps the stack small.
constexpr int kMaxDepth = 128;

bool IsSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

constexpr std::array<bool, 256> MakePlainTable() {
  std::array<bool, 256> table{};
  for (int c = 0x20; c < 0x80; ++c) table[c] = c != '"' && c != '\\';
  return table;
}
// What a string may hold as it is, but for UTF-8 sequences.
constexpr std::array<bool, 256> kPlain = MakePlainTable();

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// The four digits at `at`; -1 when they are none.
int32_t HexUnit(std::string_view text, size_t at) {
  if (at + 4 > text.size()) return -1;
  int32_t unit = 0;
  for (size_t i = at; i < at + 4; ++i) {
    int digit = HexValue(text[i]);
    if (digit < 0) return -1;
    unit = unit << 4 | digit;
  }
  return unit;
}

bool IsHighSurrogate(int32_t unit) { return unit >= 0xd800 && unit < 0xdc00; }
bool IsLowSurrogate(int32_t unit) { return unit >= 0xdc00 && unit < 0xe000; }

void AppendUtf8(uint32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

}  // namespace

std::string JsonScanner::fault() const {
  return fmt::format("not valid JSON at byte {}: {}", fault_at_, fault_);
}

std::optional<std::string> JsonScanner::TakeDuplicate() {
  return std::exchange(duplicate_, std::nullopt);
}

bool JsonScanner::Fail(std::string_view fault) {
  if (fault_.empty()) {
    fault_ = fault;
    fault_at_ = at_;
  }
  return false;
}

void JsonScanner::SkipSpace() {
  while (at_ < text_.size() && IsSpace(text_[at_])) ++at_;
}

char JsonScanner::Peek() {
  SkipSpace();
  return at_ < text_.size() ? text_[at_] : '\0';
}

bool JsonScanner::AtEnd() {
  if (failed()) return false;
  SkipSpace();
  return at_ == text_.size() || Fail("there is more behind the value");
}

bool JsonScanner::Enter(char bracket) {
  if (failed()) return false;
  if (Peek() != bracket) {
    return Fail(bracket == '{' ? "an object is expected" : "an array is expected");
  }
  ++at_;
  fresh_ = true;
  if (bracket == '{') entered_.push_back(keys_.size());
  return true;
}

// Goes to the next member or element; false at the closing bracket, which it takes.
bool JsonScanner::Next(char closing) {
  if (failed()) return false;
  char c = Peek();
  bool first = std::exchange(fresh_, false);
  if (c == closing) {
    ++at_;
    return false;
  }
  if (first) return true;
  if (c != ',') return Fail(c == '\0' ? "it ends too early" : "a comma is missing");
  ++at_;
  if (Peek() == closing) return Fail("a comma too many");
  return true;
}

bool JsonScanner::NextMember(std::string* key) {
  if (!Next('}')) {
    if (!failed()) {
      CheckKeys(entered_.back());
      entered_.pop_back();
    }
    return false;
  }
  std::string_view name;
  if (Peek() != '"') return Fail("a key in quotes is expected");
  size_t start = at_;
  if (!SkipString()) return false;
  name = text_.substr(start, at_ - start);
  keys_.push_back(name);
  *key = DecodeJsonString(name);
  if (Peek() != ':') return Fail("a colon is missing");
  ++at_;
  return true;
}

bool JsonScanner::NextElement() { return Next(']'); }

bool JsonScanner::Value(std::string_view* span) {
  if (failed()) return false;
  SkipSpace();
  size_t start = at_;
  if (!SkipValue(kMaxDepth)) return false;
  *span = text_.substr(start, at_ - start);
  return true;
}

bool JsonScanner::SkipValue(int depth) {
  switch (Peek()) {
    case '{':
      return SkipContainer('}', depth);
    case '[':
      return SkipContainer(']', depth);
    case '"':
      return SkipString();
    case 't':
      return SkipWord("true");
    case 'f':
      return SkipWord("false");
    case 'n':
      return SkipWord("null");
    case '\0':
      return Fail("it ends too early");
    default:
      return SkipNumber();
  }
}

bool JsonScanner::SkipContainer(char closing, int depth) {
  if (depth == 0) return Fail("it is nested too deep");
  ++at_;
  fresh_ = true;
  size_t first = keys_.size();
  while (Next(closing)) {
    if (closing == '}') {
      if (Peek() != '"') return Fail("a key in quotes is expected");
      size_t start = at_;
      if (!SkipString()) return false;
      keys_.push_back(text_.substr(start, at_ - start));
      if (Peek() != ':') return Fail("a colon is missing");
      ++at_;
    }
    if (!SkipValue(depth - 1)) return false;
  }
  if (failed()) return false;
  CheckKeys(first);
  return true;
}

// Notes a key that comes twice among keys_[first..], then drops them.
void JsonScanner::CheckKeys(size_t first) {
  auto begin = keys_.begin() + static_cast<ptrdiff_t>(first);
  bool escaped = std::any_of(begin, keys_.end(), [](std::string_view key) {
    return key.find('\\') != std::string_view::npos;
  });
  if (escaped) {
    // "a" and "\u0061" are the same key.
    std::vector<std::string> decoded;
    for (auto it = begin; it != keys_.end(); ++it) decoded.push_back(DecodeJsonString(*it));
    std::sort(decoded.begin(), decoded.end());
    auto twice = std::adjacent_find(decoded.begin(), decoded.end());
    if (twice != decoded.end()) duplicate_ = *twice;
  } else {
    std::sort(begin, keys_.end());
    auto twice = std::adjacent_find(begin, keys_.end());
    if (twice != keys_.end()) duplicate_ = DecodeJsonString(*twice);
  }
  keys_.resize(first);
}

bool JsonScanner::SkipString() {
  ++at_;
  while (true) {
    while (at_ < text_.size() && kPlain[static_cast<uint8_t>(text_[at_])]) ++at_;
    if (at_ == text_.size()) return Fail("a string does not end");
    auto c = static_cast<uint8_t>(text_[at_]);
    if (c == '"') {
      ++at_;
      return true;
    }
    if (c == '\\') {
      if (!SkipEscape()) return false;
    } else if (c < 0x20) {
      return Fail("a control character in a string");
    } else {
      size_t end = at_;
      while (end < text_.size() && static_cast<uint8_t>(text_[end]) >= 0x80) ++end;
      if (!IsUtf8(text_.substr(at_, end - at_))) return Fail("invalid UTF-8");
      at_ = end;
    }
  }
}

bool JsonScanner::SkipEscape() {
  char c = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
  if (c != 'u') {
    if (c == '\0' || std::string_view("\"\\/bfnrt").find(c) == std::string_view::npos) {
      return Fail("an unknown escape");
    }
    at_ += 2;
    return true;
  }
  int32_t unit = HexUnit(text_, at_ + 2);
  if (unit < 0) return Fail("\\u without four hexadecimal digits");
  if (IsLowSurrogate(unit)) return Fail("a lone surrogate");
  if (IsHighSurrogate(unit)) {
    bool pair = text_.substr(at_ + 6, 2) == "\\u" && IsLowSurrogate(HexUnit(text_, at_ + 8));
    if (!pair) return Fail("a lone surrogate");
    at_ += 6;
  }
  at_ += 6;
  return true;
}

bool JsonScanner::Digits() {
  size_t start = at_;
  while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
  return at_ > start;
}

bool JsonScanner::SkipNumber() {
  auto at = [&](char c) { return at_ < text_.size() && text_[at_] == c; };
  if (at('-')) ++at_;
  if (at('0')) {
    ++at_;
  } else if (!Digits()) {
    return Fail("a value is expected");
  }
  if (at('.')) {
    ++at_;
    if (!Digits()) return Fail("a number ends with its point");
  }
  if (at('e') || at('E')) {
    ++at_;
    if (at('+') || at('-')) ++at_;
    if (!Digits()) return Fail("a number without its exponent");
  }
  return true;
}

bool JsonScanner::SkipWord(std::string_view word) {
  if (text_.substr(at_, word.size()) != word) return Fail("a value is expected");
  at_ += word.size();
  return true;
}

std::string DecodeJsonString(std::string_view span) {
  std::string_view text = span.substr(1, span.size() - 2);
  std::string out;
  out.reserve(text.size());
  while (true) {
    size_t escape = std::min(text.find('\\'), text.size());
    out += text.substr(0, escape);
    if (escape == text.size()) return out;
    char c = text[escape + 1];
    text.remove_prefix(escape + 2);
    switch (c) {
      case 'b':
        out += '\b';
        break;
      case 'f':
        out += '\f';
        break;
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case 't':
        out += '\t';
        break;
      case 'u': {
        auto unit = static_cast<uint32_t>(HexUnit(text, 0));
        text.remove_prefix(4);
        if (IsHighSurrogate(static_cast<int32_t>(unit))) {
          auto low = static_cast<uint32_t>(HexUnit(text, 2));
          text.remove_prefix(6);
          unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        }
        AppendUtf8(unit, out);
        break;
      }
      default:
        out += c;
    }
  }
}

void AppendJsonString(std::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    size_t plain = 0;
    while (plain < text.size() && static_cast<uint8_t>(text[plain]) >= 0x20 && text[plain] != '"' &&
           text[plain] != '\\') {
      ++plain;
    }
    out += text.substr(0, plain);
    if (plain == text.size()) break;
    char c = text[plain];
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else {
      out += fmt::format("\\u{:04x}", static_cast<uint8_t>(c));
    }
    text.remove_prefix(plain + 1);
  }
  out += '"';
}

bool IsStrictJson(std::string_view text) {
  JsonScanner scanner(text);
  std::string_view span;
  return scanner.Value(&span) && scanner.AtEnd() && !scanner.TakeDuplicate();
}

}  // namespace dispatch::cloudevents
