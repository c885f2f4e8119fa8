#include "broker-adapters/checkpoint_loop.h"

#include <algorithm>
#include <utility>

#include "common/log.h"

namespace dispatch::broker {

CheckpointLoop::CheckpointLoop(Loop& loop, GroupConsumer& consumer, Host& host, Duration interval)
    : loop_(loop), consumer_(consumer), host_(host), interval_(interval) {}

CheckpointLoop::~CheckpointLoop() { Stop(); }

void CheckpointLoop::Stop() { loop_.Cancel(tick_); }

void CheckpointLoop::Tick() {
  tick_ = loop_.After(interval_, [this] { Tick(); });
  host_.Tend();
  if (!saving_) Save([] {});
}

void CheckpointLoop::SaveSoon() {
  if (std::exchange(posted_, true)) return;
  loop_.Post([this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    posted_ = false;
    Save([] {});
  });
}

void CheckpointLoop::Save(std::function<void()> then) {
  if (saving_) {
    // The one under way does not hold what changed since.
    after_.push_back([this, then = std::move(then)]() mutable { Save(std::move(then)); });
    return;
  }
  auto parts = std::make_shared<std::vector<Part>>();
  auto done = std::make_shared<std::function<void()>>(std::move(then));
  *parts = host_.Save([this, alive = std::weak_ptr(alive_), parts,
                       done](const Result<std::vector<TopicPartition>>& fenced) {
    if (alive.expired()) return;
    saving_ = false;
    Answer(*parts, fenced);
    (*done)();
    for (auto& next : std::exchange(after_, {})) next();
  });
  saving_ = !parts->empty();
  if (!saving_) (*done)();
}

void CheckpointLoop::Answer(const std::vector<Part>& parts,
                            const Result<std::vector<TopicPartition>>& fenced) {
  if (!fenced.ok() && log::Sometimes("checkpoint.failed")) {
    log::Warning("checkpoint failed error=\"{}\"", fenced.message());
  }
  std::vector<std::pair<TopicPartition, int64_t>> durable;
  for (const Part& part : parts) {
    Outcome outcome = Outcome::kFailed;
    if (fenced.ok()) {
      bool ours = std::find(fenced->begin(), fenced->end(), part.partition) == fenced->end();
      outcome = ours ? Outcome::kSaved : Outcome::kFenced;
    }
    bool held = host_.Saved(part, outcome);
    if (held && outcome == Outcome::kSaved) durable.emplace_back(part.partition, part.position);
  }
  if (!durable.empty()) consumer_.Commit(durable);
}

}  // namespace dispatch::broker
