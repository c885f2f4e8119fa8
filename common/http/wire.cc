#include "common/http/internal/wire.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace dispatch::http::internal {

namespace {

constexpr std::array<bool, 256> MakeTokenTable() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[c] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[c] = table[c - 32] = true;
  for (unsigned char c : std::string_view("!#$%&'*+-.^_`|~")) table[c] = true;
  return table;
}
constexpr std::array<bool, 256> kToken = MakeTokenTable();

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool ParseQuery(std::string_view text, Request& request) {
  while (!text.empty()) {
    size_t end = std::min(text.find('&'), text.size());
    std::string_view pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (pair.empty()) continue;
    size_t equals = std::min(pair.find('='), pair.size());
    auto key = PercentDecode(pair.substr(0, equals), true);
    auto value = PercentDecode(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!key || !value) return false;
    request.query.emplace_back(std::move(*key), std::move(*value));
  }
  return true;
}

}  // namespace

bool IsToken(std::string_view text) {
  for (unsigned char c : text) {
    if (!kToken[c]) return false;
  }
  return !text.empty();
}

bool IsConnectionField(std::string_view name) {
  static constexpr std::array<std::string_view, 9> kFields = {
      "Host",    "Content-Length", "Connection", "Transfer-Encoding", "TE",
      "Upgrade", "Keep-Alive",     "Expect",     "Proxy-Connection"};
  return std::any_of(kFields.begin(), kFields.end(), [&](std::string_view field) {
    return name.size() == field.size() && EqualsIgnoreCase(name, field);
  });
}

bool NeedsLength(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

bool IsFieldValue(std::string_view text) {
  bool bad = false;  // no way out of the loop: so it is done many bytes at a time
  for (unsigned char c : text) bad |= (c < 0x20 && c != '\t') || c == 0x7f;
  return !bad;
}

std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '+' && plus_is_space) {
      c = ' ';
    } else if (c == '%') {
      int high = i + 2 < text.size() ? HexValue(text[i + 1]) : -1;
      int low = high >= 0 ? HexValue(text[i + 2]) : -1;
      if (low < 0) return std::nullopt;
      c = static_cast<char>(high << 4 | low);
      i += 2;
    }
    if (c == '\0') return std::nullopt;
    out += c;
  }
  return out;
}

bool ParseTarget(Request& request) {
  request.query.clear();
  std::string_view target = request.target;
  if (target == "*") {
    request.path = "*";
    return true;
  }
  if (!target.starts_with('/')) {
    // The absolute form (RFC 9112, section 3.2.2).
    size_t scheme = target.find("://");
    if (scheme == target.npos) return false;
    size_t path = target.find_first_of("/?", scheme + 3);
    target = path == target.npos ? std::string_view() : target.substr(path);
  }
  size_t question = std::min(target.find('?'), target.size());
  std::string_view path = target.substr(0, question);
  if (path.find('#') != path.npos) return false;
  if (path.find('%') == path.npos) {
    request.path = path.empty() ? "/" : path;
  } else {
    auto decoded = PercentDecode(path, false);
    if (!decoded) return false;
    request.path = std::move(*decoded);
  }
  return question == target.size() || ParseQuery(target.substr(question + 1), request);
}

bool ListContains(std::string_view list, std::string_view member) {
  while (!list.empty()) {
    size_t end = std::min(list.find(','), list.size());
    std::string_view item = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    size_t first = item.find_first_not_of(" \t");
    if (first == item.npos) continue;
    item = item.substr(first, item.find_last_not_of(" \t") - first + 1);
    if (EqualsIgnoreCase(item, member)) return true;
  }
  return false;
}

HeadScan ScanHead(std::string_view data) {
  for (size_t line = 0;;) {
    size_t end = data.find('\n', line);
    if (end == data.npos) return {};
    if (end == line || data[end - 1] != '\r') return {HeadScan::State::kMalformed};
    if (end - 1 == line) return {HeadScan::State::kComplete, end + 1};
    if (data[line] == ' ' || data[line] == '\t') return {HeadScan::State::kMalformed};
    line = end + 1;
  }
}

void AppendChunk(std::string& out, std::string_view piece) {
  fmt::format_to(std::back_inserter(out), "{:x}\r\n", piece.size());
  out += piece;
  out += "\r\n";
}

void ReleaseBuffer(std::string& buffer) {
  buffer.clear();
  if (buffer.capacity() > 4096) std::string().swap(buffer);
}

}  // namespace dispatch::http::internal
