#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/cesql/value.h"
#include "common/result.h"

namespace dispatch::cesql {

/// Limits of one expression, so that compiling and evaluating it is bounded.
inline constexpr size_t kMaxText = 4096;    // bytes
inline constexpr size_t kMaxNodes = 512;    // literals, attributes, operators, calls
inline constexpr int kMaxDepth = 64;        // parentheses, NOT, minus
inline constexpr size_t kMaxOperands = 64;  // waiting at once while it is evaluated

enum class Op : uint8_t {
  kLiteral,    // type, number, text
  kAttribute,  // text: the name in lower case
  kExists,     // text
  kNot,
  kNegate,
  kAnd,
  kOr,
  kXor,
  kEqual,
  kNotEqual,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kMultiply,
  kDivide,
  kRemainder,
  kAdd,
  kSubtract,
  kLike,  // text: the pattern
  kIn,    // the first operand in the others
  kCall,  // text: the name in upper case
};

struct Node {
  Op op;
  Type type = Type::kBoolean;
  int32_t number = 0;
  std::string text;
  std::vector<uint32_t> operands;  // indexes of nodes
  size_t column = 1;               // of its first token, in characters from 1
};

struct Syntax {
  std::vector<Node> nodes;
  uint32_t root = 0;
};

/// Parses an expression (CESQL section 2). NOT LIKE and NOT IN come out as NOT of the operator. The
/// error's message begins with "column N: " and says what was expected there.
Result<Syntax> Parse(std::string_view expression);

}  // namespace dispatch::cesql
