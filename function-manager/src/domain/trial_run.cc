#include "function-manager/src/domain/trial_run.h"

#include <algorithm>
#include <iterator>

#include "function-manager/src/domain/invocation_partition.h"

namespace dispatch {

namespace {

// Nothing when its partition has gone: then it is not ours to note.
std::optional<TrialRun::Noted> NotedAs(const Delivery& delivery) {
  auto partition = delivery.partition.lock();
  if (partition == nullptr) return std::nullopt;
  return TrialRun::Noted{partition->partition(), delivery.id};
}

bool Waits(const DeliveryPtr& delivery) {
  return delivery->state == Delivery::State::kQueued && !delivery->partition.expired();
}

}  // namespace

TrialRun::TrialRun(Loop& loop, Actions actions, Options options)
    : loop_(loop), actions_(std::move(actions)), options_(options) {}

TrialRun::~TrialRun() {
  loop_.Cancel(deadline_);
  loop_.Cancel(timer_);
}

void TrialRun::Open(Duration budget) {
  open_ = true;
  budget_ = std::max(budget_, budget);
  if (deadline_ == kNoTimer) return;
  loop_.Cancel(deadline_);
  deadline_ = loop_.After(budget_, [this] { Close(); });
}

void TrialRun::Add(DeliveryPtr delivery, bool noted) {
  if (deadline_ == kNoTimer) deadline_ = loop_.After(budget_, [this] { Close(); });
  Rank rank = noted ? kNoted : delivery->attempts == 0 ? kFirstTry : kTriedBefore;
  queues_[rank].push_back(std::move(delivery));
  Next();
}

// The next one that still waits becomes the current one.
bool TrialRun::TakeNext() {
  for (auto& queue : queues_) {
    while (!queue.empty()) {
      current_ = std::move(queue.front());
      queue.pop_front();
      alone_ = &queue == &queues_[kNoted];
      if (Waits(current_)) return true;
    }
  }
  current_ = nullptr;
  return false;
}

void TrialRun::Next() {
  if (busy_) return;
  if (!TakeNext()) {
    auto survived = std::move(survived_);
    survived_.clear();
    // Should this be lost, they are noted and run well the next time.
    if (!survived.empty()) actions_.note(nullptr, std::move(survived), [](const Status&) {});
    return actions_.over({});
  }
  busy_ = true;
  auto survived = std::move(survived_);
  survived_.clear();
  actions_.note(current_, survived,
                [this, alive = std::weak_ptr(alive_), survived, turn = ++turn_](Status status) {
                  if (alive.expired()) return;
                  if (!status.ok()) {
                    survived_.insert(survived_.end(), survived.begin(), survived.end());
                  }
                  if (turn == turn_) Begun(status);
                });
}

void TrialRun::Begun(const Status& status) {
  running_ = status.ok() && Waits(current_);
  if (running_ && actions_.attempt(current_)) {
    if (running_) timer_ = loop_.After(options_.longest, [this] { Survived(); });
    return;
  }
  if (status.ok() && !Waits(current_)) return Survived();  // it has gone another way
  running_ = false;
  timer_ = loop_.After(options_.retry, [this] {
    queues_[alone_ ? kNoted : kFirstTry].push_front(std::move(current_));
    busy_ = false;
    Next();
  });
}

void TrialRun::Ended(const Delivery& delivery) {
  if (current_.get() == &delivery && running_) Survived();
}

void TrialRun::Survived() {
  loop_.Cancel(timer_);
  if (auto noted = NotedAs(*current_)) survived_.push_back(std::move(*noted));
  current_ = nullptr;
  running_ = busy_ = false;
  // Not inside the attempt's end.
  timer_ = loop_.After(Duration::zero(), [this] {
    Next();
    if (!blocking()) actions_.resume();
  });
}

void TrialRun::Close() {
  loop_.Cancel(timer_);
  ++turn_;
  deadline_ = kNoTimer;
  open_ = false;
  budget_ = Duration::zero();
  std::vector<DeliveryPtr> left;
  if (current_ != nullptr) {
    if (auto noted = NotedAs(*current_)) survived_.push_back(std::move(*noted));
    if (Waits(current_)) left.push_back(std::move(current_));
    current_ = nullptr;
  }
  for (auto& queue : queues_) {
    std::move(queue.begin(), queue.end(), std::back_inserter(left));
    queue.clear();
  }
  running_ = busy_ = false;
  auto survived = std::move(survived_);
  survived_.clear();
  if (!survived.empty()) actions_.note(nullptr, std::move(survived), [](const Status&) {});
  actions_.over(std::move(left));
}

}  // namespace dispatch
