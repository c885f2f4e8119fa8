#include "event-manager/src/adapters/lag_monitor.h"

#include <algorithm>

#include "common/log.h"
#include "schema/objects.h"

namespace dispatch {

LagMonitor::LagMonitor(Loop& loop, const broker::StateTable& state, LagSurvey& survey,
                       std::function<bool()> leads, Options options)
    : loop_(loop),
      state_(state),
      survey_(survey),
      leads_(std::move(leads)),
      options_(options),
      collector_(metrics::AddCollector([this]() -> std::vector<metrics::SampleFamily> {
        if (!leads_() || board_.at_ms == 0) return {};
        return LagMetrics(board_, ToMillis(loop_.Now()), left_out_);
      })) {}

LagMonitor::~LagMonitor() { loop_.Cancel(tick_); }

void LagMonitor::Tick() {
  tick_ = loop_.After(options_.interval, [this] { Tick(); });
  if (!looking_ && state_.ready()) Look();
}

void LagMonitor::Look() {
  survey_.Forget();
  std::vector<LagBoard::EntityPtr> all;
  state_.ForEach(schema::kSubscriptionKind,
                 [&](const LagBoard::EntityPtr& entity) { all.push_back(entity); });
  // The same ones every time.
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return std::tie(a->org, a->name) < std::tie(b->org, b->name);
  });
  size_t left_out = all.size() - std::min(all.size(), options_.max_subscriptions);
  all.resize(all.size() - left_out);
  looking_ = true;
  survey_.Look(std::move(all),
               [this, alive = std::weak_ptr(alive_), left_out](Result<LagBoard> board) {
                 if (alive.expired()) return;
                 looking_ = false;
                 if (!board.ok()) {
                   if (log::Sometimes("lag.look")) {
                     log::Warning("cannot look at the lag error=\"{}\"", board.message());
                   }
                   return;
                 }
                 board_ = std::move(*board);
                 left_out_ = left_out;
                 on_look_(board_);
               });
}

}  // namespace dispatch
