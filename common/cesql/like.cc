#include "common/cesql/like.h"

#include <string.h>

#include "common/cesql/text.h"

namespace dispatch::cesql {

namespace {

constexpr char kAnyCharacter = '\xFF';

bool Spend(size_t amount, size_t* work) {
  if (*work < amount) {
    *work = 0;
    return false;
  }
  *work -= amount;
  return true;
}

}  // namespace

LikePattern::LikePattern(std::string_view pattern) : pieces_(1) {
  for (size_t i = 0; i < pattern.size(); ++i) {
    char c = pattern[i];
    bool escaped =
        c == '\\' && i + 1 < pattern.size() && (pattern[i + 1] == '%' || pattern[i + 1] == '_');
    if (escaped) {
      pieces_.back() += pattern[++i];
    } else if (c == '%') {
      pieces_.emplace_back();
    } else {
      pieces_.back() += c == '_' ? kAnyCharacter : c;
    }
  }
}

bool LikePattern::IsLiteral(size_t piece) const {
  return pieces_[piece].find(kAnyCharacter) == std::string::npos;
}

std::string_view LikePattern::LiteralStart() const {
  std::string_view first = pieces_.front();
  return first.substr(0, first.find(kAnyCharacter));
}

std::string_view LikePattern::LiteralEnd() const {
  std::string_view last = pieces_.back();
  size_t any = last.rfind(kAnyCharacter);
  return any == std::string_view::npos ? last : last.substr(any + 1);
}

LikePattern::Match LikePattern::MatchForward(std::string_view piece, std::string_view text,
                                             size_t* position, size_t* work) {
  size_t at = *position;
  for (char c : piece) {
    if (!Spend(1, work)) return Match::kTooMuchWork;
    if (at >= text.size()) return Match::kNo;
    if (c == kAnyCharacter) {
      at += CodePointSize(text, at);
    } else if (text[at++] != c) {
      return Match::kNo;
    }
  }
  *position = at;
  return Match::kYes;
}

LikePattern::Match LikePattern::MatchBackward(std::string_view piece, std::string_view text,
                                              size_t* end, size_t* work) {
  size_t at = *end;
  for (size_t i = piece.size(); i > 0; --i) {
    if (!Spend(1, work)) return Match::kTooMuchWork;
    if (at == 0) return Match::kNo;
    if (piece[i - 1] == kAnyCharacter) {
      size_t start = at - 1;
      while (start > 0 && at - start < 4 && IsContinuation(text[start])) --start;
      // Malformed text: the last byte stands alone.
      at = CodePointSize(text, start) == at - start ? start : at - 1;
    } else if (text[--at] != piece[i - 1]) {
      return Match::kNo;
    }
  }
  *end = at;
  return Match::kYes;
}

LikePattern::Match LikePattern::Find(std::string_view piece, std::string_view text,
                                     size_t* position, size_t* work) {
  if (piece.find(kAnyCharacter) == std::string_view::npos) {
    if (!Spend(text.size() - *position, work)) return Match::kTooMuchWork;
    // memmem is linear whatever the texts are; string_view::find is not.
    const void* found =
        memmem(text.data() + *position, text.size() - *position, piece.data(), piece.size());
    if (found == nullptr) return Match::kNo;
    *position = static_cast<size_t>(static_cast<const char*>(found) - text.data()) + piece.size();
    return Match::kYes;
  }
  for (size_t start = *position; start < text.size(); start += CodePointSize(text, start)) {
    size_t at = start;
    Match match = MatchForward(piece, text, &at, work);
    if (match == Match::kNo) continue;
    *position = at;
    return match;
  }
  return Match::kNo;
}

LikePattern::Match LikePattern::Test(std::string_view text, size_t* work) const {
  size_t position = 0;
  Match match = MatchForward(pieces_.front(), text, &position, work);
  if (match != Match::kYes) return match;
  if (pieces_.size() == 1) return position == text.size() ? Match::kYes : Match::kNo;
  size_t end = text.size();
  std::string_view rest = text.substr(position);
  size_t rest_end = rest.size();
  match = MatchBackward(pieces_.back(), rest, &rest_end, work);
  if (match != Match::kYes) return match;
  end = position + rest_end;
  std::string_view middle = text.substr(0, end);
  for (size_t i = 1; i + 1 < pieces_.size(); ++i) {
    if (pieces_[i].empty()) continue;
    match = Find(pieces_[i], middle, &position, work);
    if (match != Match::kYes) return match;
  }
  return Match::kYes;
}

}  // namespace dispatch::cesql
