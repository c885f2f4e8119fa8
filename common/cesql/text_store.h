#pragma once

#include <array>
#include <cstring>
#include <list>
#include <string>
#include <string_view>

namespace dispatch::cesql {

/// The texts that one evaluation makes, and how much it may still do. Short texts cost no
/// allocation. One evaluation, one thread.
class TextStore {
 public:
  /// About one unit a byte looked at or copied; some milliseconds at most.
  static constexpr size_t kMaxWork = size_t{1} << 20;
  static constexpr size_t kMaxTextBytes = size_t{64} << 10;

  TextStore() {}  // NOLINT: the buffer stays as it is
  TextStore(const TextStore&) = delete;
  TextStore& operator=(const TextStore&) = delete;

  size_t* work() { return &work_; }

  /// False when the evaluation has done all that it may.
  bool Spend(size_t amount) {
    if (amount > work_) {
      work_ = 0;
      return false;
    }
    work_ -= amount;
    return true;
  }

  std::string_view Keep(std::string_view text) {
    if (text.size() <= short_.size() - used_) {
      char* start = short_.data() + used_;
      std::memcpy(start, text.data(), text.size());
      used_ += text.size();
      return {start, text.size()};
    }
    return long_.emplace_back(text);
  }
  std::string_view Keep(std::string&& text) {
    if (text.size() <= short_.size() - used_) return Keep(std::string_view(text));
    return long_.emplace_back(std::move(text));
  }

 private:
  size_t work_ = kMaxWork;
  size_t used_ = 0;
  std::array<char, 256> short_;
  std::list<std::string> long_;
};

}  // namespace dispatch::cesql
