#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace dispatch::container {

/// Takes apart what an engine sends of a container's output (attach, without a terminal): frames of
/// a byte that is 1 for stdout and 2 for stderr, three of nothing, four of length (big-endian), and
/// the text.
class LogFrames {
 public:
  using Piece = std::function<void(bool err, std::string_view text)>;
  explicit LogFrames(Piece piece) : piece_(std::move(piece)) {}

  /// False for bytes that are no frames.
  bool Append(std::string_view data);
  /// What comes begins with a frame.
  void Reset();

 private:
  Piece piece_;
  std::string header_;
  size_t left_ = 0;  // of the frame under way
  bool err_ = false;
};

}  // namespace dispatch::container
