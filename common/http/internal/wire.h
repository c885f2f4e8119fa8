#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/http/message.h"

namespace dispatch::http::internal {

/// A token of RFC 9110, section 5.6.2: header names and methods.
bool IsToken(std::string_view text);
/// May stand in a header value: no control characters but tab.
bool IsFieldValue(std::string_view text);

/// A field that says where a message ends, and to whom it goes: the connection's to write, never
/// who sends a request.
bool IsConnectionField(std::string_view name);
/// Whether a request of this method says its length, if it is 0 too.
bool NeedsLength(std::string_view method);

/// Decodes %XX, and '+' as a space when `plus_is_space`. Nothing for a broken escape or a zero
/// byte.
std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space);

/// Fills `path` and `query` from `target` (origin form, absolute form or `*`). False when
/// malformed.
bool ParseTarget(Request& request);

/// Whether a list header (Connection, Transfer-Encoding) has this member, without case.
bool ListContains(std::string_view list, std::string_view member);

/// How far an HTTP head reaches.
struct HeadScan {
  enum class State { kMore, kComplete, kMalformed };
  State state = State::kMore;
  size_t length = 0;  // kComplete: up to and with the empty line
};
/// Looks for the end of a head and refuses what lenient parsers disagree on: a line that ends with
/// a bare LF, and folded lines.
HeadScan ScanHead(std::string_view data);

/// Appends one chunk of a chunked body. Requires a piece that is not empty.
void AppendChunk(std::string& out, std::string_view piece);

/// Empties a buffer, and gives its memory back when a large message took much.
void ReleaseBuffer(std::string& buffer);

}  // namespace dispatch::http::internal
