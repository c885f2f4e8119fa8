#include "common/event_loop.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <csignal>

#include "common/check.h"
#include "common/internal/event_loop_impl.h"

namespace dispatch {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr Duration kAbout = std::chrono::milliseconds(100);
// In the half of an id that numbers its slot, which never gets so far; the other half counts how
// often the slot was used, and takes every value in time.
constexpr TimerId kLax = TimerId{1} << 31;

}  // namespace

SteadyTime internal::AsioClock::now() { return SystemClock().Steady(); }

EventLoop::Impl::Impl() : io(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO), timer(io), signals(io) {}

void EventLoop::Impl::Arm() {
  SteadyTime next = timers.empty() ? SteadyTime::max() : timers.NextDue();
  if (!lax.empty()) next = std::min(next, lax.NextDue() + kAbout);
  if (closing || next >= armed_for) return;
  armed_for = next;
  timer.expires_at(armed_for);
  timer.async_wait([this](error_code error) {
    if (!error) OnTimer();
  });
}

void EventLoop::Impl::OnTimer() {
  armed_for = SteadyTime::min();  // once, at the end
  // Only what was due on entry, so that a timer which sets itself again at once starves nobody.
  SteadyTime now = internal::AsioClock::now();
  std::function<void()> task;
  for (auto* heap : {&timers, &lax}) {
    for (size_t left = heap->size(); left > 0 && heap->TakeDue(now, task); --left) task();
  }
  task = nullptr;
  armed_for = SteadyTime::max();
  Arm();
}

void EventLoop::Impl::DrainPosted() {
  {
    std::lock_guard lock(mutex);
    batch.swap(posted);
    drain_scheduled = false;
  }
  for (auto& task : batch) {
    auto run = std::move(task);
    run();
  }
  batch.clear();
}

void EventLoop::Impl::WaitWatch(std::shared_ptr<Watch> watch) {
  auto& descriptor = watch->descriptor;
  descriptor.async_wait(asio::posix::descriptor_base::wait_read,
                        [this, watch = std::move(watch)](error_code error) {
                          if (error || !watch->active) return;
                          watch->ready();
                          if (watch->active) WaitWatch(watch);
                        });
}

void EventLoop::Impl::WaitSignal() {
  signals.async_wait([this](error_code error, int signal) {
    if (error) return;
    WaitSignal();
    on_terminate(signal);
  });
}

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {
  // Writing to a closed socket is an error to handle where it happens, not a reason to die.
  std::signal(SIGPIPE, SIG_IGN);
}

EventLoop::~EventLoop() {
  // What waits may own sockets and may cancel timers when it is destroyed: the io_context and the
  // heap must outlive it.
  {
    std::lock_guard lock(impl_->mutex);
    impl_->closing = true;
  }
  for (auto& [fd, watch] : impl_->watches) {
    watch->active = false;
    watch->descriptor.release();
  }
  for (;;) {
    std::vector<std::function<void()>> posted;
    {
      std::lock_guard lock(impl_->mutex);
      posted.swap(impl_->posted);
    }
    std::function<void()> task;
    bool timer = impl_->timers.TakeDue(SteadyTime::max(), task) ||
                 impl_->lax.TakeDue(SteadyTime::max(), task);
    if (posted.empty() && !timer) break;
  }
}

void EventLoop::Post(std::function<void()> task) {
  {
    std::lock_guard lock(impl_->mutex);
    if (impl_->closing) return;
    impl_->posted.push_back(std::move(task));
    if (std::exchange(impl_->drain_scheduled, true)) return;
  }
  asio::post(impl_->io, [impl = impl_.get()] { impl->DrainPosted(); });
}

TimerId EventLoop::After(Duration delay, std::function<void()> task) {
  TimerId id = impl_->timers.Add(Steady() + std::max(delay, Duration::zero()), std::move(task));
  impl_->Arm();
  return id;
}

TimerId EventLoop::AfterAbout(Duration delay, std::function<void()> task) {
  TimerId id = impl_->lax.Add(Steady() + std::max(delay, Duration::zero()), std::move(task));
  impl_->Arm();
  return id | kLax;
}

void EventLoop::Cancel(TimerId timer) {
  (void)((timer & kLax) != 0 ? impl_->lax.Take(timer & ~kLax) : impl_->timers.Take(timer));
}

WallTime EventLoop::Now() const { return SystemClock().Now(); }
SteadyTime EventLoop::Steady() const { return SystemClock().Steady(); }

void EventLoop::WatchReadable(int fd, std::function<void()> ready) {
  DISPATCH_CHECK(!impl_->watches.contains(fd));
  auto watch = std::make_shared<Impl::Watch>(impl_->io, fd);
  watch->ready = std::move(ready);
  impl_->watches.emplace(fd, watch);
  impl_->WaitWatch(std::move(watch));
}

void EventLoop::Unwatch(int fd) {
  auto it = impl_->watches.find(fd);
  if (it == impl_->watches.end()) return;
  auto watch = std::move(it->second);
  impl_->watches.erase(it);
  watch->active = false;
  watch->descriptor.release();
}

void EventLoop::OnTerminate(std::function<void(int signal)> handler) {
  bool first = !impl_->on_terminate;
  impl_->on_terminate = std::move(handler);
  if (!first) return;
  impl_->signals.add(SIGTERM);
  impl_->signals.add(SIGINT);
  impl_->WaitSignal();
}

void EventLoop::Run() {
  auto guard = asio::make_work_guard(impl_->io);
  impl_->io.restart();
  impl_->io.run();
}

void EventLoop::Stop() {
  // Through the queue, so that a Stop before Run ends that Run.
  Post([this] { impl_->io.stop(); });
}

bool EventLoop::RunUntil(const std::function<bool()>& done, Duration limit) {
  auto guard = asio::make_work_guard(impl_->io);
  impl_->io.restart();
  bool late = false;
  TimerId timer = After(limit, [&late] { late = true; });
  while (!done() && !late) impl_->io.run_one();
  Cancel(timer);
  return done();
}

}  // namespace dispatch
