#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "common/cesql/lexer.h"
#include "common/cesql/syntax.h"
#include "common/cesql/text.h"

namespace dispatch::cesql {

namespace {

// How tightly an operator binds (CESQL 3.4); AND, OR and XOR are of one level, left to right.
constexpr int kLogical = 1;
constexpr int kComparison = 2;
constexpr int kSum = 3;
constexpr int kProduct = 4;
constexpr int kMembership = 5;
constexpr int kPattern = 6;

struct Binary {
  std::string_view name;
  Op op;
  int level;
};

constexpr Binary kBinary[] = {
    {"and", Op::kAnd, kLogical},
    {"or", Op::kOr, kLogical},
    {"xor", Op::kXor, kLogical},
    {"=", Op::kEqual, kComparison},
    {"!=", Op::kNotEqual, kComparison},
    {"<>", Op::kNotEqual, kComparison},
    {"<", Op::kLess, kComparison},
    {"<=", Op::kLessOrEqual, kComparison},
    {">", Op::kGreater, kComparison},
    {">=", Op::kGreaterOrEqual, kComparison},
    {"+", Op::kAdd, kSum},
    {"-", Op::kSubtract, kSum},
    {"*", Op::kMultiply, kProduct},
    {"/", Op::kDivide, kProduct},
    {"%", Op::kRemainder, kProduct},
    {"like", Op::kLike, kPattern},
    {"in", Op::kIn, kMembership},
};

constexpr std::string_view kKeywords[] = {"and",    "or", "xor",  "not",  "like",
                                          "exists", "in", "true", "false"};

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  Result<Syntax> Run() {
    ASSIGN_OR_RETURN(syntax_.root, Expression(kLogical, 0));
    if (Peek().kind != TokenKind::kEnd) {
      return Expected("an operator or the end of the expression");
    }
    return std::move(syntax_);
  }

 private:
  using Index = uint32_t;

  const Token& Peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  bool Is(std::string_view symbol, size_t ahead = 0) const {
    return Peek(ahead).kind == TokenKind::kSymbol && Peek(ahead).text == symbol;
  }
  bool IsWord(std::string_view keyword, size_t ahead = 0) const {
    return Peek(ahead).kind == TokenKind::kWord && EqualsIgnoreCase(Peek(ahead).text, keyword);
  }
  static bool IsKeyword(std::string_view word) {
    for (auto keyword : kKeywords) {
      if (EqualsIgnoreCase(word, keyword)) return true;
    }
    return false;
  }
  bool Take(std::string_view symbol) {
    if (!Is(symbol)) return false;
    ++at_;
    return true;
  }

  Error Expected(std::string_view what) const {
    const Token& token = Peek();
    std::string found;
    switch (token.kind) {
      case TokenKind::kEnd:
        found = "the expression ends";
        break;
      case TokenKind::kString:
        found = "a string is";
        break;
      default:
        found = fmt::format("'{}' is", token.text);
    }
    return SyntaxError(token.column, fmt::format("{} where {} is expected", found, what));
  }

  Result<Index> Add(Node node) {
    if (syntax_.nodes.size() >= kMaxNodes) {
      return SyntaxError(node.column, fmt::format("the expression has more than {} parts: make "
                                                  "several filters of it",
                                                  kMaxNodes));
    }
    syntax_.nodes.push_back(std::move(node));
    return static_cast<Index>(syntax_.nodes.size() - 1);
  }

  // The operator that stands here and binds at least so tightly.
  const Binary* Operator(int level, bool* negated) const {
    *negated = IsWord("not") && (IsWord("like", 1) || IsWord("in", 1));
    const Token& token = Peek(*negated ? 1 : 0);
    if (token.kind != TokenKind::kSymbol && token.kind != TokenKind::kWord) return nullptr;
    for (const auto& binary : kBinary) {
      if (EqualsIgnoreCase(token.text, binary.name)) {
        return binary.level >= level ? &binary : nullptr;
      }
    }
    return nullptr;
  }

  Result<Index> Expression(int level, int depth) {
    if (depth > kMaxDepth) {
      return SyntaxError(Peek().column,
                         fmt::format("the expression is nested deeper than {}", kMaxDepth));
    }
    ASSIGN_OR_RETURN(Index left, Prefix(depth));
    bool negated = false;
    while (const Binary* binary = Operator(level, &negated)) {
      Node node{.op = binary->op, .operands = {left}, .column = syntax_.nodes[left].column};
      at_ += negated ? 2 : 1;
      if (binary->op == Op::kLike) {
        if (Peek().kind != TokenKind::kString) return Expected("a pattern in quotes");
        node.text = tokens_[at_++].text;
      } else if (binary->op == Op::kIn) {
        RETURN_IF_ERROR(List(node, depth, false));
      } else {
        ASSIGN_OR_RETURN(Index right, Expression(binary->level + 1, depth + 1));
        node.operands.push_back(right);
      }
      size_t column = node.column;
      ASSIGN_OR_RETURN(left, Add(std::move(node)));
      if (negated) {
        ASSIGN_OR_RETURN(left, Add({.op = Op::kNot, .operands = {left}, .column = column}));
      }
    }
    return left;
  }

  // "(" expression, ... ")" appended to the node's operands.
  Status List(Node& node, int depth, bool may_be_empty) {
    if (!Take("(")) return Expected("'('");
    if (may_be_empty && Take(")")) return {};
    do {
      ASSIGN_OR_RETURN(Index element, Expression(kLogical, depth + 1));
      node.operands.push_back(element);
    } while (Take(","));
    if (!Take(")")) return Expected("',' or ')'");
    return {};
  }

  Result<Index> Prefix(int depth) {
    if (depth > kMaxDepth) {
      return SyntaxError(Peek().column,
                         fmt::format("the expression is nested deeper than {}", kMaxDepth));
    }
    size_t column = Peek().column;
    bool minus = Is("-");
    if ((minus || Is("+")) && Peek(1).kind == TokenKind::kInteger && Peek(1).adjacent) {
      ++at_;
      return Integer(minus, column);
    }
    if (minus || IsWord("not")) {
      ++at_;
      ASSIGN_OR_RETURN(Index operand, Prefix(depth + 1));
      return Add({.op = minus ? Op::kNegate : Op::kNot, .operands = {operand}, .column = column});
    }
    return Primary(depth);
  }

  Result<Index> Primary(int depth) {
    const Token& token = Peek();
    size_t column = token.column;
    if (token.kind == TokenKind::kInteger) return Integer(false, column);
    if (token.kind == TokenKind::kString) {
      ++at_;
      return Add({.op = Op::kLiteral, .type = Type::kString, .text = token.text, .column = column});
    }
    if (Take("(")) {
      ASSIGN_OR_RETURN(Index inner, Expression(kLogical, depth + 1));
      if (!Take(")")) return Expected("an operator or ')'");
      return inner;
    }
    if (token.kind != TokenKind::kWord) return Expected("a value");
    if (IsWord("true") || IsWord("false")) {
      Node node{.op = Op::kLiteral, .type = Type::kBoolean, .column = column};
      node.number = IsWord("true") ? 1 : 0;
      ++at_;
      return Add(std::move(node));
    }
    if (IsWord("exists")) {
      ++at_;
      ASSIGN_OR_RETURN(std::string name, AttributeName());
      return Add({.op = Op::kExists, .text = std::move(name), .column = column});
    }
    if (IsKeyword(token.text)) return Expected("a value");
    if (Is("(", 1)) return Call(depth);
    ASSIGN_OR_RETURN(std::string name, AttributeName());
    return Add({.op = Op::kAttribute, .text = std::move(name), .column = column});
  }

  Result<Index> Call(int depth) {
    Node node{.op = Op::kCall, .text = Upper(Peek().text), .column = Peek().column};
    bool letters = node.text[0] != '_' && node.text.find_first_of("0123456789") == node.text.npos;
    if (!letters) return Expected("a function's name, of letters and '_',");
    ++at_;
    RETURN_IF_ERROR(List(node, depth, true));
    return Add(std::move(node));
  }

  Result<std::string> AttributeName() {
    const Token& token = Peek();
    bool word = token.kind == TokenKind::kWord && !IsKeyword(token.text) &&
                token.text.find('_') == std::string::npos;
    if (!word) return Expected("an attribute's name, of letters and digits,");
    ++at_;
    return Lower(token.text);
  }

  Result<Index> Integer(bool minus, size_t column) {
    const std::string& digits = tokens_[at_++].text;
    int64_t number = 0;
    auto read = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (minus) number = -number;
    if (read.ec != std::errc() || number < std::numeric_limits<int32_t>::min() ||
        number > std::numeric_limits<int32_t>::max()) {
      return SyntaxError(column, "the number is not between -2147483648 and 2147483647");
    }
    return Add({.op = Op::kLiteral,
                .type = Type::kInteger,
                .number = static_cast<int32_t>(number),
                .column = column});
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  Syntax syntax_;
};

}  // namespace

Result<Syntax> Parse(std::string_view expression) {
  ASSIGN_OR_RETURN(auto tokens, Tokenize(expression));
  return Parser(std::move(tokens)).Run();
}

}  // namespace dispatch::cesql
