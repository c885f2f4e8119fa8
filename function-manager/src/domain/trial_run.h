#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/result.h"
#include "function-manager/src/domain/delivery.h"

namespace dispatch {

/// Runs the deliveries that may have ended the process before us one at a time, for a bounded time.
/// That one runs is durable before it does: who finds it noted and not struck out knows that we
/// ended meanwhile, by it or by what ran beside it. So one that is found noted runs alone. One
/// owner.
class TrialRun {
 public:
  struct Options {
    Duration longest = std::chrono::milliseconds(250);  // then the next may run too
    Duration retry = std::chrono::milliseconds(100);    // when it could not be noted
  };
  using Noted = std::pair<int32_t, schema::DeliveryId>;  // partition of dispatch.invocations
  struct Actions {
    /// Notes `begin` (null: nothing) and strikes out `survived`, in one transaction.
    std::function<void(const DeliveryPtr& begin, std::vector<Noted> survived,
                       std::function<void(Status)> done)>
        note;
    /// Attempts it now; false: not now, try again.
    std::function<bool(const DeliveryPtr&)> attempt;
    /// Others may start again.
    std::function<void()> resume;
    /// The trials have ended; what did not get to one goes as all do.
    std::function<void(std::vector<DeliveryPtr>)> over;
  };

  TrialRun(Loop& loop, Actions actions, Options options);
  ~TrialRun();

  /// Suspects may come. Their trials take `budget` at most, from the first on.
  void Open(Duration budget);
  bool open() const { return open_; }
  /// Nothing else may start.
  bool blocking() const { return (busy_ && alone_) || !queues_[kNoted].empty(); }
  /// Whose attempt begins now, if it is a trial.
  const Delivery* current() const { return running_ ? current_.get() : nullptr; }
  /// `noted`: it was when the process before us ended. It is the next; then come first tries, then
  /// what was tried before, when it ended nobody.
  void Add(DeliveryPtr delivery, bool noted);
  /// Its attempt has ended.
  void Ended(const Delivery& delivery);

 private:
  enum Rank { kNoted, kFirstTry, kTriedBefore, kRanks };

  bool TakeNext();
  void Next();
  void Begun(const Status& status);
  void Survived();
  void Close();

  Loop& loop_;
  Actions actions_;
  Options options_;
  bool open_ = false;
  Duration budget_{0};
  bool busy_ = false;
  std::array<std::deque<DeliveryPtr>, kRanks> queues_;
  DeliveryPtr current_;
  bool alone_ = false;    // current_ was noted before
  bool running_ = false;  // it was noted, and its attempt has begun
  uint64_t turn_ = 0;     // whose note is waited for
  std::vector<Noted> survived_;
  TimerId deadline_ = kNoTimer;
  TimerId timer_ = kNoTimer;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
