#include "common/cesql/lexer.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/cesql/syntax.h"
#include "common/cesql/text.h"
#include "schema/cloudevents_text.h"

namespace dispatch::cesql {

namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsWord(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || IsDigit(c) || c == '_';
}
bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Result<std::vector<Token>> Run() {
    std::vector<Token> tokens;
    size_t last_end = 0;
    while (true) {
      while (at_ < text_.size() && IsBlank(text_[at_])) Advance(1);
      Token token;
      token.column = column_;
      token.adjacent = !tokens.empty() && at_ == last_end;
      if (at_ < text_.size()) RETURN_IF_ERROR(Read(token));
      last_end = at_;
      tokens.push_back(std::move(token));
      if (tokens.back().kind == TokenKind::kEnd) return tokens;
    }
  }

 private:
  void Advance(size_t bytes) {
    column_ += CountCodePoints(text_.substr(at_, bytes));
    at_ += bytes;
  }

  Status Read(Token& token) {
    char c = text_[at_];
    if (IsWord(c)) {
      size_t end = at_;
      while (end < text_.size() && IsWord(text_[end])) ++end;
      token.text = text_.substr(at_, end - at_);
      bool digits = std::all_of(token.text.begin(), token.text.end(), IsDigit);
      token.kind = digits ? TokenKind::kInteger : TokenKind::kWord;
      Advance(token.text.size());
      return {};
    }
    if (c == '\'' || c == '"') return ReadString(token);
    static constexpr std::string_view kPairs[] = {"!=", "<>", "<=", ">="};
    size_t size = 1;
    for (auto pair : kPairs) {
      if (text_.substr(at_, 2) == pair) size = 2;
    }
    if (size == 1 && std::string_view("()=<>+-*/%,").find(c) == std::string_view::npos) {
      return SyntaxError(column_, fmt::format("'{}' is no part of CESQL",
                                              text_.substr(at_, CodePointSize(text_, at_))));
    }
    token.kind = TokenKind::kSymbol;
    token.text = text_.substr(at_, size);
    Advance(size);
    return {};
  }

  // The own quote is escaped by a backslash; another escaped character keeps its backslash.
  Status ReadString(Token& token) {
    char quote = text_[at_];
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) {
      if (text_[end] == '\\' && end + 1 < text_.size()) {
        if (text_[end + 1] != quote) token.text += '\\';
        ++end;
      }
      token.text += text_[end++];
    }
    if (end >= text_.size()) {
      return SyntaxError(column_, fmt::format("this string has no closing {}", quote));
    }
    token.kind = TokenKind::kString;
    Advance(end + 1 - at_);
    return {};
  }

  std::string_view text_;
  size_t at_ = 0;
  size_t column_ = 1;
};

}  // namespace

Error SyntaxError(size_t column, const std::string& reason) {
  return {Code::kUnprocessable, fmt::format("column {}: {}", column, reason)};
}

Result<std::vector<Token>> Tokenize(std::string_view expression) {
  if (expression.size() > kMaxText) {
    return SyntaxError(1, fmt::format("the expression has {} bytes; at most {} are allowed",
                                      expression.size(), kMaxText));
  }
  if (!cloudevents::IsUtf8(expression)) return SyntaxError(1, "the expression is not UTF-8");
  return Lexer(expression).Run();
}

}  // namespace dispatch::cesql
