#pragma once

#include <functional>
#include <memory>

#include "common/clock.h"

namespace dispatch {

/// One thread's event loop over an asio io_context: tasks, timers, descriptors, sockets. Everything
/// that is given this loop runs on the thread that is in Run(). Only Post and Stop are thread-safe.
class EventLoop : public Loop {
 public:
  struct Impl;  // common/internal/event_loop_impl.h, for code that owns sockets

  EventLoop();
  ~EventLoop() override;

  void Post(std::function<void()> task) override;
  TimerId After(Duration delay, std::function<void()> task) override;
  TimerId AfterAbout(Duration delay, std::function<void()> task) override;
  void Cancel(TimerId timer) override;
  WallTime Now() const override;
  SteadyTime Steady() const override;

  /// Runs `ready` on the loop whenever `fd` is readable, until Unwatch or the loop's end. Does not
  /// own `fd`.
  void WatchReadable(int fd, std::function<void()> ready);
  void Unwatch(int fd);

  /// Runs `handler` on the loop for each of the signals SIGTERM and SIGINT.
  void OnTerminate(std::function<void(int signal)> handler);

  /// Runs until Stop.
  void Run();
  void Stop();
  /// Runs until `done` holds, asked after each step, at most `limit`. True when it held. For tests
  /// and tools.
  bool RunUntil(const std::function<bool()>& done, Duration limit);

  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace dispatch
