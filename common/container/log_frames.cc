#include "common/container/log_frames.h"

#include <algorithm>
#include <cstdint>

namespace dispatch::container {

namespace {

constexpr size_t kHeader = 8;

}  // namespace

bool LogFrames::Append(std::string_view data) {
  while (!data.empty()) {
    if (left_ == 0) {
      size_t more = std::min(kHeader - header_.size(), data.size());
      header_ += data.substr(0, more);
      data.remove_prefix(more);
      if (header_.size() < kHeader) return true;
      auto byte = [&](size_t i) { return static_cast<uint8_t>(header_[i]); };
      if (byte(0) > 2 || byte(1) != 0 || byte(2) != 0 || byte(3) != 0) return false;
      err_ = byte(0) == 2;
      for (size_t i = 4; i < kHeader; ++i) left_ = left_ << 8 | byte(i);
      header_.clear();
      continue;
    }
    std::string_view text = data.substr(0, left_);
    piece_(err_, text);
    left_ -= text.size();
    data.remove_prefix(text.size());
  }
  return true;
}

void LogFrames::Reset() {
  header_.clear();
  left_ = 0;
}

}  // namespace dispatch::container
