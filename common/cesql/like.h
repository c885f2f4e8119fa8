#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dispatch::cesql {

/// A pattern of LIKE (CESQL 3.4.3): `%` any run, `_` one character, `\%` and `\_` themselves, all
/// else literal and with case. Matches greedily: no backtracking over `%`.
class LikePattern {
 public:
  explicit LikePattern(std::string_view pattern);

  enum class Match { kNo, kYes, kTooMuchWork };
  /// Takes from `work` about one for each byte compared; at zero the answer is kTooMuchWork.
  Match Test(std::string_view text, size_t* work) const;

  /// What a text must be, begin with and end with to match, for an index. Exact: no wildcard.
  bool IsExact() const { return pieces_.size() == 1 && IsLiteral(0); }
  /// Nothing but "start%" and "%end".
  bool IsStart() const { return pieces_.size() == 2 && IsLiteral(0) && pieces_[1].empty(); }
  bool IsEnd() const { return pieces_.size() == 2 && pieces_[0].empty() && IsLiteral(1); }
  std::string_view LiteralStart() const;
  std::string_view LiteralEnd() const;

 private:
  bool IsLiteral(size_t piece) const;
  static Match MatchForward(std::string_view piece, std::string_view text, size_t* position,
                            size_t* work);
  static Match MatchBackward(std::string_view piece, std::string_view text, size_t* end,
                             size_t* work);
  static Match Find(std::string_view piece, std::string_view text, size_t* position, size_t* work);

  /// Between the `%`: literal bytes, with kAnyCharacter, which UTF-8 never has, for `_`.
  std::vector<std::string> pieces_;
};

}  // namespace dispatch::cesql
