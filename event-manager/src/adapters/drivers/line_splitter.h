#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace dispatch {

/// Makes lines of a program's output, which comes in pieces. What has no end is one after 4 KiB.
class LineSplitter {
 public:
  explicit LineSplitter(std::function<void(std::string line)> line) : line_(std::move(line)) {}

  void Append(std::string_view text) {
    rest_ += text;
    size_t begin = 0;
    for (size_t end; (end = rest_.find('\n', begin)) != std::string::npos; begin = end + 1) {
      line_(rest_.substr(begin, end - begin));
    }
    rest_.erase(0, begin);
    if (rest_.size() > kMostBytes) Finish();
  }
  /// Ends the last line, which may have no line feed.
  void Finish() {
    if (!rest_.empty()) line_(std::exchange(rest_, {}));
  }

 private:
  static constexpr size_t kMostBytes = 4096;

  const std::function<void(std::string line)> line_;
  std::string rest_;
};

}  // namespace dispatch
