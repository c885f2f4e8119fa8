#include "broker-adapters/kafka/internal/event_queue.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "common/check.h"

namespace dispatch::broker::kafka {

namespace {
constexpr int kEventsATurn = 1'000;
constexpr Duration kPoll{
    900'000};  // and up to 100 ms: a turn a second, as Membership::OnTick wants
constexpr uint64_t kOne = 1;
}  // namespace

std::shared_ptr<EventQueue> EventQueue::Open(EventLoop& loop, std::shared_ptr<rd_kafka_t> rk,
                                             QueuePtr queue, OnEvent on_event,
                                             std::function<void()> on_turn) {
  std::shared_ptr<EventQueue> self(new EventQueue(loop, std::move(rk), std::move(queue),
                                                  std::move(on_event), std::move(on_turn)));
  self->Start();
  return self;
}

void EventQueue::Start() {
  fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  DISPATCH_CHECK(fd_ >= 0);
  loop_.WatchReadable(fd_, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->Readable();
  });
  rd_kafka_queue_io_event_enable(queue_.get(), fd_, &kOne, sizeof kOne);
  DISPATCH_CHECK(write(fd_, &kOne, sizeof kOne) == sizeof kOne);
  Tick();
}

void EventQueue::Close() {
  if (!queue_) return;
  loop_.Cancel(timer_);
  loop_.Unwatch(fd_);
  rd_kafka_queue_io_event_enable(queue_.get(), -1, nullptr, 0);
  queue_.reset();
  rk_.reset();
  close(fd_);
}

void EventQueue::Tick() {
  timer_ = loop_.AfterAbout(kPoll, [weak = weak_from_this()] {
    auto self = weak.lock();
    if (!self || !self->queue_) return;
    self->Tick();
    self->Schedule();
  });
}

void EventQueue::Readable() {
  if (!queue_) return;
  uint64_t count = 0;
  (void)!read(fd_, &count, sizeof count);
  if (!scheduled_) Turn();
}

void EventQueue::Schedule() {
  if (scheduled_) return;
  scheduled_ = true;
  loop_.Post([weak = weak_from_this()] {
    auto self = weak.lock();
    if (!self) return;
    self->scheduled_ = false;
    self->Turn();
  });
}

void EventQueue::Turn() {
  if (!queue_ || turning_) return;
  turning_ = true;
  auto rk = rk_;  // a handler may close us; its event is still there then
  int count = 0;
  for (; count < kEventsATurn && queue_; ++count) {
    EventPtr event(rd_kafka_queue_poll(queue_.get(), 0));
    if (!event) break;
    on_event_(std::move(event));
  }
  if (queue_ && on_turn_) on_turn_();
  turning_ = false;
  if (queue_ && count == kEventsATurn) Schedule();
}

}  // namespace dispatch::broker::kafka
