#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace dispatch::cesql {

enum class TokenKind : uint8_t {
  kEnd,
  kWord,     // a name or a keyword, as written
  kInteger,  // digits
  kString,   // its text, unquoted
  kSymbol,   // an operator, a parenthesis or a comma
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
  size_t column = 1;      // in characters from 1
  bool adjacent = false;  // nothing between it and the token before
};

/// The tokens of an expression, a kEnd last. Refuses text that is too long or not UTF-8, characters
/// that the language lacks, and strings without end.
Result<std::vector<Token>> Tokenize(std::string_view expression);

/// "column 7: reason".
Error SyntaxError(size_t column, const std::string& reason);

}  // namespace dispatch::cesql
