#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <string>

namespace dispatch::cli {

/// "[=====     ]  50%  1000 events, 500/s, 2 s left". `share` is what is done of the whole, from 0
/// to 1; below 0: nobody knows, and there is no bar.
std::string ProgressText(double share, int64_t events, double seconds);

/// A line that a terminal shows while something long goes on, and that is gone when it ends;
/// nothing when nobody looks, or it is short.
class Progress {
 public:
  Progress(std::ostream& err, bool terminal) : err_(err), terminal_(terminal) {}
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Show(double share, int64_t events);
  /// Since it was made.
  double Seconds() const;

 private:
  std::ostream& err_;
  bool terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_ = started_;
};

}  // namespace dispatch::cli
