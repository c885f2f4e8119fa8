#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dispatch::runtime {

/// What a run writes, by lines, both streams within one bound. Bytes that are no UTF-8 become
/// U+FFFD, since the lines go into JSON.
class RunLog {
 public:
  explicit RunLog(size_t bytes) : left_(bytes) {}

  void Append(bool err, std::string_view data);
  /// Ends the last lines, which may have no line feed.
  void Finish();
  /// There was more than the bound.
  bool cut() const { return cut_; }

  std::vector<std::string> out;
  std::vector<std::string> err;

 private:
  void EndLine(bool err);

  std::string partial_[2];
  size_t left_;
  bool cut_ = false;
};

/// `text` with each byte that is not part of valid UTF-8, and each NUL, which jsonb cannot keep,
/// replaced by U+FFFD.
std::string ValidUtf8(std::string_view text);

}  // namespace dispatch::runtime
