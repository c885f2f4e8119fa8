#include "common/pg/pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>

#include "common/log.h"
#include "common/metrics.h"
#include "common/pg/internal/session.h"
#include "common/thread_name.h"

namespace dispatch::pg {

namespace {

// After a failed connect the others do not wait for one of their own.
constexpr std::chrono::milliseconds kDownTime{200};

}  // namespace

struct Pool::Impl {
  Impl(PoolOptions the_options, Executor& executor)
      : options(std::move(the_options)), reply_to(executor) {}

  struct Item {
    Work work;
    Done done;
    Unit unit;
    bool first;
    SteadyTime queued;
  };

  void StartThread();
  void Work(std::list<std::thread>::iterator self);
  /// Whether a thread that has nothing to do may end: so many were not needed of late.
  bool OneTooMany();
  /// Takes out what waited too long: the threads hang, since the database accepts and is silent.
  std::vector<Item> TakeOverdue();
  Status Serve(internal::Session& session, const Item& item);
  void Reply(Done done, Status status) {
    reply_to.Post([done = std::move(done), status = std::move(status)] { done(status); });
  }

  const PoolOptions options;
  Executor& reply_to;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<Item> queue;          // guarded by mutex
  bool stopping = false;           // guarded by mutex
  SteadyTime down_until{};         // guarded by mutex
  Status down_reason;              // guarded by mutex
  std::list<std::thread> threads;  // guarded by mutex, as is what follows
  std::list<std::thread> ended;    // to be joined
  std::list<internal::Session> sessions;
  size_t busy = 0;
  size_t most_busy = 0;  // since `looked`
  SteadyTime looked = SystemClock().Steady();
  metrics::Gauge waiting = metrics::GetGauge("dispatch_pg_queue", "Transactions that wait.");
  metrics::Histogram seconds = metrics::GetHistogram("dispatch_pg_transaction_seconds",
                                                     "Time of a transaction, its retries "
                                                     "included, without the queue.");
  metrics::Counter failures = metrics::GetCounter(
      "dispatch_pg_unavailable_total", "Transactions that failed for want of the database.");
};

Pool::Pool(PoolOptions options, Executor& reply_to)
    : impl_(std::make_shared<Impl>(std::move(options), reply_to)) {
  std::lock_guard lock(impl_->mutex);
  impl_->StartThread();
}

Pool::~Pool() {
  std::deque<Impl::Item> left;
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
    left.swap(impl_->queue);
    impl_->wake.notify_all();
  }
  for (auto& item : left) {
    impl_->Reply(std::move(item.done), {Code::kCancelled, "the program is stopping"});
  }
  {
    std::unique_lock lock(impl_->mutex);
    if (!impl_->wake.wait_for(lock, impl_->options.stop_wait,
                              [this] { return impl_->busy == 0; })) {
      log::Warning("PostgreSQL does not answer, its connections are broken off count={}",
                   impl_->busy);
      for (auto& session : impl_->sessions) session.BreakOff();
    }
  }
  // Nobody starts or ends any more.
  for (auto& thread : impl_->threads) thread.join();
  for (auto& thread : impl_->ended) thread.join();
}

void Pool::Run(Work work, Done done, Unit unit) {
  Add(std::move(work), std::move(done), unit, false);
}

void Pool::RunFirst(Work work, Done done) {
  Add(std::move(work), std::move(done), Unit::kTransaction, true);
}

void Pool::Add(Work work, Done done, Unit unit, bool first) {
  Status refused;
  std::vector<Impl::Item> overdue;
  {
    std::lock_guard lock(impl_->mutex);
    overdue = impl_->TakeOverdue();
    if (impl_->stopping) {
      refused = {Code::kCancelled, "the program is stopping"};
    } else if (impl_->queue.size() >= impl_->options.max_queue) {
      refused = {Code::kResourceExhausted, "too many requests wait for the database"};
    } else {
      impl_->queue.push_back(
          {std::move(work), std::move(done), unit, first, SystemClock().Steady()});
      impl_->waiting.Set(static_cast<double>(impl_->queue.size()));
      size_t threads = impl_->threads.size();
      if (impl_->busy + impl_->queue.size() > threads &&
          threads < static_cast<size_t>(impl_->options.connections)) {
        impl_->StartThread();
      }
      impl_->wake.notify_one();
    }
  }
  for (auto& item : overdue) {
    impl_->Reply(std::move(item.done), {Code::kUnavailable, "the database does not answer"});
  }
  if (!refused.ok()) impl_->Reply(std::move(done), std::move(refused));
}

void Pool::Impl::StartThread() {
  for (auto& thread : ended) thread.join();
  ended.clear();
  auto self = threads.emplace(threads.end());
  try {
    *self = std::thread([this, self] { Work(self); });
  } catch (const std::system_error& error) {
    threads.erase(self);
    if (threads.empty()) throw;
    if (log::Sometimes("pg.thread")) {
      log::Warning(
          "no thread for another connection to PostgreSQL: raise the limit of processes "
          "reason=\"{}\"",
          error.what());
    }
  }
}

bool Pool::Impl::OneTooMany() {
  SteadyTime now = SystemClock().Steady();
  if (now - looked < options.connections_keep) return false;
  if (threads.size() > std::max<size_t>(most_busy, 1)) return true;
  looked = now;
  most_busy = busy;
  return false;
}

std::vector<Pool::Impl::Item> Pool::Impl::TakeOverdue() {
  std::vector<Item> overdue;
  SteadyTime limit = SystemClock().Steady() - options.queue_timeout;
  while (!queue.empty() && queue.front().queued < limit) {
    overdue.push_back(std::move(queue.front()));
    queue.pop_front();
  }
  return overdue;
}

Status Pool::RunNow(const Work& work) {
  internal::Session session(impl_->options);
  return session.Run(work);
}

void Pool::Impl::Work(std::list<std::thread>::iterator self) {
  NameThread("pg");
  std::unique_lock lock(mutex);
  auto place = sessions.emplace(sessions.end(), options);
  internal::Session& session = *place;
  for (;;) {
    wake.wait(lock, [this] { return stopping || !queue.empty(); });
    if (stopping) return;  // the session ends with the pool
    most_busy = std::max(most_busy, ++busy);
    Item item = std::move(queue.front());
    queue.pop_front();
    waiting.Set(static_cast<double>(queue.size()));
    lock.unlock();
    bool late = item.queued + options.queue_timeout < SystemClock().Steady();
    Status status = late ? Status(Code::kUnavailable, "the database did not answer in time")
                         : Serve(session, item);
    // Before the reply, so that what the closure holds is gone when the caller goes on.
    item.work = nullptr;
    Reply(std::move(item.done), std::move(status));
    lock.lock();
    --busy;
    if (stopping) wake.notify_all();
    if (!stopping && queue.empty() && OneTooMany()) {
      ended.splice(ended.end(), threads, self);
      std::list<internal::Session> mine;
      mine.splice(mine.end(), sessions, place);
      lock.unlock();  // closing it takes its time
      return;
    }
  }
}

Status Pool::Impl::Serve(internal::Session& session, const Item& item) {
  SteadyTime start = SystemClock().Steady();
  if (!session.connected()) {
    std::lock_guard lock(mutex);
    if (start < down_until) {
      failures.Add();
      return down_reason;
    }
  }
  Status status = session.Run(item.work, item.unit);
  SteadyTime end = SystemClock().Steady();
  seconds.Observe(std::chrono::duration<double>(end - start).count());
  if (status.code() == Code::kUnavailable) {
    failures.Add();
    // Who runs already outlives a password or a certificate that is being changed.
    if (Error error = status.error(); !error.retryable && !item.first) {
      error.retryable = true;
      status = std::move(error);
    }
    if (!session.connected()) {
      std::lock_guard lock(mutex);
      down_until = end + kDownTime;
      down_reason = status;
    }
  }
  return status;
}

}  // namespace dispatch::pg
