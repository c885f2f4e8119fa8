#include "common/event_loop.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "common/crypto.h"
#include "common/internal/timer_heap.h"

namespace dispatch::event_loop_test {
namespace {

using namespace std::chrono_literals;

TEST(EventLoop, RunsTasksInOrderAndNotInsidePost) {
  EventLoop loop;
  std::vector<int> order;
  loop.Post([&] {
    loop.Post([&] {
      order.push_back(3);
      loop.Stop();
    });
    order.push_back(1);
  });
  loop.Post([&] { order.push_back(2); });
  EXPECT_TRUE(order.empty());
  loop.Run();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(EventLoop, StopBeforeRunEndsThatRun) {
  EventLoop loop;
  loop.Stop();
  loop.Run();
  bool ran = false;
  loop.Post([&] {
    ran = true;
    loop.Stop();
  });
  loop.Run();
  EXPECT_TRUE(ran);
}

TEST(EventLoop, PostFromOtherThreadsWakesTheLoop) {
  EventLoop loop;
  int count = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) loop.Post([&] { ++count; });
    });
  }
  EXPECT_TRUE(loop.RunUntil([&] { return count == 3000; }, 10s));
  for (auto& thread : threads) thread.join();
}

TEST(EventLoop, TimersFireByDueTimeAndCancelledOnesDoNot) {
  EventLoop loop;
  std::vector<int> order;
  loop.After(20ms, [&] { order.push_back(3); });
  loop.After(1ms, [&] { order.push_back(1); });
  loop.After(1ms, [&] { order.push_back(2); });
  TimerId cancelled = loop.After(2ms, [&] { order.push_back(9); });
  loop.Cancel(cancelled);
  loop.Cancel(cancelled);
  loop.Cancel(kNoTimer);
  EXPECT_TRUE(loop.RunUntil([&] { return order.size() == 3; }, 10s));
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(EventLoop, AboutATimeIsWithWhatComesThen) {
  EventLoop loop;
  std::vector<int> order;
  SteadyTime begun = loop.Steady();
  SteadyTime alone{};
  // The first may come 100 ms late and must still take nothing along.
  loop.After(10ms, [&] { order.push_back(0); });
  loop.After(200ms, [&] { order.push_back(1); });
  loop.AfterAbout(150ms, [&] { order.push_back(2); });
  loop.AfterAbout(250ms, [&] {
    order.push_back(3);
    alone = loop.Steady();
  });
  loop.Cancel(loop.AfterAbout(1ms, [&] { order.push_back(9); }));
  EXPECT_TRUE(loop.RunUntil([&] { return order.size() == 4; }, 10s));
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
  EXPECT_GE(alone - begun, 250ms);
}

TEST(EventLoop, AnEarlierTimerIsNotHeldUpByALaterOne) {
  EventLoop loop;
  loop.After(1h, [] {});
  bool fired = false;
  loop.After(1ms, [&] { fired = true; });
  EXPECT_TRUE(loop.RunUntil([&] { return fired; }, 10s));
}

TEST(EventLoop, WatchesADescriptorUntilUnwatch) {
  EventLoop loop;
  int fd = eventfd(0, EFD_NONBLOCK);
  int calls = 0;
  loop.WatchReadable(fd, [&] {
    uint64_t value;
    ASSERT_EQ(read(fd, &value, sizeof(value)), 8);
    if (++calls == 2) loop.Unwatch(fd);
  });
  uint64_t one = 1;
  ASSERT_EQ(write(fd, &one, 8), 8);
  EXPECT_TRUE(loop.RunUntil([&] { return calls == 1; }, 10s));
  ASSERT_EQ(write(fd, &one, 8), 8);
  EXPECT_TRUE(loop.RunUntil([&] { return calls == 2; }, 10s));
  ASSERT_EQ(write(fd, &one, 8), 8);
  bool later = false;
  loop.After(5ms, [&] { later = true; });
  EXPECT_TRUE(loop.RunUntil([&] { return later; }, 10s));
  EXPECT_EQ(calls, 2);
  close(fd);
}

TEST(EventLoop, ReportsSignals) {
  EventLoop loop;
  int seen = 0;
  loop.OnTerminate([&](int signal) { seen = signal; });
  raise(SIGTERM);
  EXPECT_TRUE(loop.RunUntil([&] { return seen == SIGTERM; }, 10s));
}

TEST(EventLoop, DestroysWhatWaitsWithoutRunningIt) {
  auto held = std::make_shared<int>(1);
  {
    EventLoop loop;
    loop.Post([held] { FAIL(); });
    loop.After(1h, [held] { FAIL(); });
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(TimerHeap, KeepsOrderThroughRandomCancels) {
  internal::TimerHeap heap;
  std::vector<TimerId> ids;
  int fired = 0;
  for (int i = 0; i < 2000; ++i) {
    SteadyTime due{Duration(static_cast<int64_t>(crypto::RandomU64() % 500))};
    ids.push_back(heap.Add(due, [&fired] { ++fired; }));
    EXPECT_NE(ids.back(), kNoTimer);
  }
  for (int i = 0; i < 2000; i += 2) EXPECT_TRUE(heap.Take(ids[i]));
  EXPECT_FALSE(heap.Take(ids[0]));
  SteadyTime last{};
  std::function<void()> task;
  while (!heap.empty()) {
    EXPECT_LE(last, heap.NextDue());
    last = heap.NextDue();
    EXPECT_FALSE(heap.TakeDue(last - Duration(1), task));
    ASSERT_TRUE(heap.TakeDue(last, task));
    task();
  }
  EXPECT_EQ(fired, 1000);
  // A slot used again has another id.
  TimerId again = heap.Add(SteadyTime{}, [] {});
  EXPECT_FALSE(heap.Take(ids[1]));
  EXPECT_TRUE(heap.Take(again));
}

}  // namespace
}  // namespace dispatch::event_loop_test
