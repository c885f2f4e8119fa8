#include "broker-adapters/kafka/internal/membership.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>

namespace dispatch::broker::kafka {

namespace {

constexpr std::string_view kCoordinator = "\"name\":\"GroupCoordinator";
constexpr Duration kJoining{30'000'000};  // others take up to ten seconds to let go
constexpr Duration kLeaving{15'000'000};  // likewise we
constexpr Duration kNoBroker{60'000'000};

// The text after `"name":` and blanks, from `from` on.
std::string_view ValueOf(std::string_view json, std::string_view name, size_t from) {
  size_t at = json.find(name, from);
  if (at == std::string_view::npos) return {};
  at += name.size();
  while (at < json.size() && (json[at] == ' ' || json[at] == '"')) ++at;
  return json.substr(at);
}

std::optional<int64_t> NumberOf(std::string_view json, std::string_view name, size_t from) {
  std::string_view text = ValueOf(json, name, from);
  int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

// States in which heartbeats go out and the coordinator knows the member.
bool Steady(std::string_view join_state, int32_t epoch) {
  if (epoch > 0 && join_state.starts_with("init\"")) return true;
  for (std::string_view state :
       {"steady\"", "wait-assign-call\"", "wait-unassign-call\"", "wait-unassign-to-complete\"",
        "wait-incr-unassign-to-complete\""}) {
    if (join_state.starts_with(state)) return true;
  }
  return false;
}

}  // namespace

// The documents run to megabytes with many partitions: what is needed is looked for, not parsed.
std::optional<int64_t> Membership::ConfirmedAt(std::string_view json, int32_t epoch) {
  size_t cgrp = json.rfind("\"cgrp\":");
  if (cgrp == std::string_view::npos) return std::nullopt;
  if (!ValueOf(json, "\"state\":", cgrp).starts_with("up\"")) return std::nullopt;
  if (!Steady(ValueOf(json, "\"join_state\":", cgrp), epoch)) return std::nullopt;
  size_t coordinator = json.find(kCoordinator);
  if (coordinator == std::string_view::npos) return std::nullopt;
  auto now = NumberOf(json, "\"ts\":", 0);
  auto idle = NumberOf(json, "\"rxidle\":", coordinator);
  if (!now || !idle || *idle < 0) return std::nullopt;
  return *now - *idle;
}

bool Membership::Unanswered(std::string_view json, int32_t epoch, Duration at_least) {
  auto at = ConfirmedAt(json, epoch);
  auto now = NumberOf(json, "\"ts\":", 0);
  return at && now && *now - *at >= at_least.count();
}

bool Membership::NothingAsked(std::string_view json, Duration at_least) {
  size_t cgrp = json.rfind("\"cgrp\":");
  size_t coordinator = json.find(kCoordinator);
  if (cgrp == std::string_view::npos || coordinator == std::string_view::npos) return false;
  if (!ValueOf(json, "\"state\":", cgrp).starts_with("up\"")) return false;
  if (!ValueOf(json, "\"join_state\":", cgrp).starts_with("init\"")) return false;
  auto since_ms = NumberOf(json, "\"stateage\":", cgrp);
  auto idle = NumberOf(json, "\"rxidle\":", coordinator);
  auto sent = NumberOf(json, "\"txidle\":", coordinator);
  auto waiting = NumberOf(json, "\"waitresp_cnt\":", coordinator);
  if (!since_ms || !idle || !sent || !waiting || *waiting != 0) return false;
  int64_t limit = at_least.count();
  return *since_ms * 1000 >= limit && *idle >= limit && *sent >= limit;
}

void Membership::OnTick(SteadyTime now) {
  int64_t monotonic = std::chrono::duration_cast<std::chrono::microseconds>(
                          std::chrono::steady_clock::now().time_since_epoch())
                          .count();
  int64_t difference = now.time_since_epoch().count() - monotonic;
  asleep_before_ = asleep_ == 0 ? difference : asleep_;
  asleep_ = difference;
}

void Membership::OnStatistics(std::string_view json, int32_t epoch) {
  auto at = ConfirmedAt(json, epoch);
  if (!at) return;
  SteadyTime confirmed{Duration(*at + std::min(asleep_before_, asleep_))};
  if (!confirmed_ || confirmed > *confirmed_) confirmed_ = confirmed;
}

bool Membership::Stuck(std::string_view json, int32_t epoch, SteadyTime now) {
  size_t cgrp = json.rfind("\"cgrp\":");
  bool broker = json.find("\"state\":\"UP\"") < cgrp;
  std::string_view state;
  if (cgrp != std::string_view::npos) {
    state = ValueOf(json, "\"join_state\":", cgrp);
    state = state.substr(0, state.find('"'));
  }
  // The coordinator may answer one that leaves for ever.
  bool leaving = state.find("unassign") != std::string_view::npos;
  std::string step;
  if (leaving || !ConfirmedAt(json, epoch)) {
    step = fmt::format("{}{}", state, broker ? "" : " without a broker");
  }
  if (step != step_) {
    step_ = std::move(step);
    step_since_ = now;
  }
  Duration limit = !broker ? kNoBroker : leaving ? kLeaving : kJoining;
  return !step_.empty() && now - step_since_ >= limit;
}

void Membership::Reset() {
  confirmed_.reset();
  step_.clear();
}

Duration Membership::Age(SteadyTime now) const {
  if (!confirmed_) return Duration::max();
  return std::max(now - *confirmed_, Duration::zero());
}

}  // namespace dispatch::broker::kafka
