#include "cli/src/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ostream>

namespace dispatch::cli {

namespace {
constexpr size_t kBar = 30;
constexpr std::chrono::milliseconds kRedraw{200};  // and so nothing is shown before
}  // namespace

std::string ProgressText(double share, int64_t events, double seconds) {
  std::string bar;
  std::string left;
  if (share >= 0) {
    share = std::min(share, 1.0);
    auto filled = static_cast<size_t>(share * kBar);
    bar = fmt::format("[{}{}] {:3.0f}%  ", std::string(filled, '='),
                      std::string(kBar - filled, ' '), std::floor(share * 100));
    if (share > 0) left = fmt::format(", {:.0f} s left", std::ceil(seconds / share - seconds));
  }
  double rate = static_cast<double>(events) / std::max(seconds, 1e-3);
  return fmt::format("{}{} events, {:.0f}/s{}", bar, events, rate, left);
}

Progress::~Progress() {
  if (drawn_) err_ << "\r\033[K" << std::flush;
}

void Progress::Show(double share, int64_t events) {
  auto now = std::chrono::steady_clock::now();
  if (!terminal_ || now - last_ < kRedraw) return;
  last_ = now;
  drawn_ = true;
  err_ << "\r" << ProgressText(share, events, Seconds()) << "\033[K" << std::flush;
}

double Progress::Seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
}

}  // namespace dispatch::cli
