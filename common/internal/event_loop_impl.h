#pragma once

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/wait_traits.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "common/event_loop.h"
#include "common/internal/timer_heap.h"

namespace dispatch {

namespace internal {

/// SteadyTime as asio wants its clocks, so that the reactor's timer counts time asleep too.
struct AsioClock {
  using duration = Duration;
  using rep = Duration::rep;
  using period = Duration::period;
  using time_point = SteadyTime;
  static constexpr bool is_steady = true;
  static SteadyTime now();  // NOLINT(readability-identifier-naming): asio's name
};

using IoExecutor = boost::asio::io_context::executor_type;
using IoTimer =
    boost::asio::basic_waitable_timer<AsioClock, boost::asio::wait_traits<AsioClock>, IoExecutor>;
using IoDescriptor = boost::asio::posix::basic_stream_descriptor<IoExecutor>;

}  // namespace internal

/// What EventLoop is made of. Include it only in .cc files and internal headers: it brings asio.
struct EventLoop::Impl {
  struct Watch {
    Watch(boost::asio::io_context& io, int fd) : descriptor(io, fd) {}
    internal::IoDescriptor descriptor;
    std::function<void()> ready;
    bool active = true;
  };

  Impl();

  void Arm();
  void OnTimer();
  void DrainPosted();
  void WaitWatch(std::shared_ptr<Watch> watch);
  void WaitSignal();

  // Before `io`, since what that destroys may still cancel timers and post.
  std::mutex mutex;
  std::vector<std::function<void()>> posted;  // guarded by mutex
  bool drain_scheduled = false;               // guarded by mutex
  bool closing = false;                       // guarded by mutex
  std::vector<std::function<void()>> batch;
  internal::TimerHeap timers;
  internal::TimerHeap lax;  // those of AfterAbout, whose ids have a mark

  // Reactor I/O is touched by the loop's thread only (UNSAFE_IO); Post needs the scheduler's lock.
  boost::asio::io_context io;
  internal::IoTimer timer;
  SteadyTime armed_for = SteadyTime::max();
  std::map<int, std::shared_ptr<Watch>> watches;
  boost::asio::signal_set signals;
  std::function<void(int)> on_terminate;
};

}  // namespace dispatch
