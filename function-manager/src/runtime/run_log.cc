#include "function-manager/src/runtime/internal/run_log.h"

#include "common/utf8.h"

namespace dispatch::runtime {
namespace {

// What a line costs beyond its bytes, so that empty ones are bounded too.
constexpr size_t kLineCost = 16;

}  // namespace

std::string ValidUtf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    size_t length = text.front() == '\0' ? 0 : CharacterLength(text);
    valid += length == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(0, length);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return valid;
}

void RunLog::EndLine(bool is_err) {
  std::string& partial = partial_[is_err];
  if (partial.ends_with('\r')) partial.pop_back();
  (is_err ? err : out).push_back(ValidUtf8(partial));
  partial.clear();
}

void RunLog::Append(bool is_err, std::string_view data) {
  std::string& partial = partial_[is_err];
  while (!data.empty() && !cut_) {
    size_t end = data.find('\n');
    bool whole = end != std::string_view::npos;
    std::string_view piece = data.substr(0, end);
    size_t cost = piece.size() + (whole ? kLineCost : 0);
    if (cost > left_) {
      partial += piece.substr(0, left_);
      left_ = 0;
      cut_ = true;
      return;
    }
    left_ -= cost;
    partial += piece;
    if (whole) EndLine(is_err);
    data.remove_prefix(piece.size() + (whole ? 1 : 0));
  }
  if (!data.empty()) cut_ = true;
}

void RunLog::Finish() {
  for (bool is_err : {false, true}) {
    if (!partial_[is_err].empty()) EndLine(is_err);
  }
}

}  // namespace dispatch::runtime
