#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// UTF-8 for CESQL, which counts code points. Text that is not valid UTF-8 is taken byte by byte
/// where it is malformed; nothing reads past the end.
namespace dispatch::cesql {

bool IsContinuation(char c);

/// The bytes of the code point that begins at `position`, which is inside the text.
size_t CodePointSize(std::string_view text, size_t position);

size_t CountCodePoints(std::string_view text);

/// The byte offset of the code point of that index, or the size of the text.
size_t OffsetOf(std::string_view text, size_t index);

/// Without the characters of Unicode's White_Space at both ends.
std::string_view Trim(std::string_view text);

/// Simple case mapping, one code point to one.
std::string Lower(std::string_view text);
std::string Upper(std::string_view text);

bool EqualsIgnoreCase(std::string_view text, std::string_view lower);

}  // namespace dispatch::cesql
