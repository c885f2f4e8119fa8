#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/metrics.h"
#include "event-manager/src/adapters/lag_survey.h"

namespace dispatch {

/// Looks at all subscriptions every now and then, for their trends and for the metrics of section 6
/// of DASHBOARD.md. The metrics are those of the whole installation, so only one instance tells
/// them: sums over instances stay true. One owner.
class LagMonitor {
 public:
  struct Options {
    Duration interval = std::chrono::seconds(5);
    /// Subscriptions with metrics of their own, by organisation and name; the others are counted in
    /// dispatch_subscription_metrics_left_out.
    size_t max_subscriptions = 1'000;
  };

  /// `leads`: whether this instance is the one that tells the metrics.
  LagMonitor(Loop& loop, const broker::StateTable& state, LagSurvey& survey,
             std::function<bool()> leads, Options options);
  ~LagMonitor();

  void Start() { Tick(); }
  /// Called with each look. Set before Start.
  void OnLook(std::function<void(const LagBoard&)> look) { on_look_ = std::move(look); }

 private:
  void Tick();
  void Look();

  Loop& loop_;
  const broker::StateTable& state_;
  LagSurvey& survey_;
  std::function<bool()> leads_;
  std::function<void(const LagBoard&)> on_look_ = [](const LagBoard&) {};
  Options options_;
  LagBoard board_;
  size_t left_out_ = 0;
  bool looking_ = false;
  TimerId tick_ = kNoTimer;
  std::shared_ptr<void> collector_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

/// The families of a board as they are exposed.
std::vector<metrics::SampleFamily> LagMetrics(const LagBoard& board, int64_t now_ms,
                                              size_t left_out);

}  // namespace dispatch
