#include "common/http/internal/resolver.h"

#include <fmt/format.h>
#include <netdb.h>

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "common/thread_name.h"

namespace dispatch::http::internal {

namespace {

constexpr int kThreads = 4;
constexpr std::chrono::seconds kKeep{5};
constexpr std::chrono::seconds kKeepFailure{1};
constexpr std::chrono::seconds kThreadIdle{30};
constexpr size_t kMaxKnown = 4096;

Result<Addresses> Ask(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  int error = getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (error != 0) {
    return {Code::kUnavailable, fmt::format("cannot resolve {}: {}", host, gai_strerror(error))};
  }
  Addresses addresses;
  for (const addrinfo* a = list; a != nullptr; a = a->ai_next) {
    if (a->ai_family != AF_INET && a->ai_family != AF_INET6) continue;
    SocketAddress& address = addresses.emplace_back();
    std::memcpy(&address.storage, a->ai_addr, a->ai_addrlen);
    address.length = a->ai_addrlen;
  }
  freeaddrinfo(list);
  if (addresses.empty()) return {Code::kUnavailable, fmt::format("{} has no address", host)};
  return addresses;
}

}  // namespace

/// What outlives the Resolver while a thread is inside getaddrinfo, which nothing can interrupt.
struct Resolver::Shared : std::enable_shared_from_this<Resolver::Shared> {
  void Enqueue(const std::string& host) {
    std::lock_guard lock(mutex);
    queue.push_back(host);
    wake.notify_one();
    if (idle >= static_cast<int>(queue.size()) || threads >= kThreads) return;
    ++threads;
    std::thread([self = shared_from_this()] { self->Work(); }).detach();
  }

  void Work() {
    NameThread("resolver");
    std::unique_lock lock(mutex);
    for (;;) {
      ++idle;
      bool work = wake.wait_for(lock, kThreadIdle, [this] { return closed || !queue.empty(); });
      --idle;
      if (closed || !work) break;
      std::string host = std::move(queue.front());
      queue.pop_front();
      lock.unlock();
      auto answer = Ask(host);
      lock.lock();
      // Under the lock: the resolver, and so the loop, is there until it has set `closed`.
      if (!closed) {
        resolver->loop_.Post([self = shared_from_this(), host, answer = std::move(answer)] {
          if (self->resolver != nullptr) self->resolver->OnAnswer(host, answer);
        });
      }
    }
    --threads;
  }

  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::string> queue;
  int threads = 0;
  int idle = 0;
  bool closed = false;
  Resolver* resolver = nullptr;  // written on the loop only
};

Resolver::Resolver(EventLoop& loop) : loop_(loop), shared_(std::make_shared<Shared>()) {
  shared_->resolver = this;
}

Resolver::~Resolver() { Close(); }

void Resolver::Close() {
  {
    std::lock_guard lock(shared_->mutex);
    shared_->closed = true;
    shared_->resolver = nullptr;
    shared_->wake.notify_all();
  }
  waiting_.clear();
}

const Result<Addresses>* Resolver::Cached(const std::string& host) {
  auto it = known_.find(host);
  SteadyTime now = loop_.Steady();
  if (it != known_.end()) {
    if (it->second.until > now) return &it->second.answer;
    known_.erase(it);
  }
  auto numeric = ParseAddress(host, 0);
  if (!numeric.ok()) return nullptr;
  if (known_.size() >= kMaxKnown) known_.clear();
  it = known_.emplace(host, Known{Addresses{*numeric}, SteadyTime::max()}).first;
  return &it->second.answer;
}

void Resolver::Resolve(const std::string& host, Callback done) {
  auto& callbacks = waiting_[host];
  callbacks.push_back(std::move(done));
  if (callbacks.size() == 1) shared_->Enqueue(host);
}

void Resolver::OnAnswer(const std::string& host, Result<Addresses> answer) {
  if (known_.size() >= kMaxKnown) known_.clear();
  SteadyTime until = loop_.Steady() + (answer.ok() ? kKeep : kKeepFailure);
  known_.insert_or_assign(host, Known{answer, until});
  auto waiting = waiting_.extract(host);
  if (waiting.empty()) return;
  auto shared = shared_;
  for (auto& done : waiting.mapped()) {
    if (shared->resolver == nullptr) return;  // a callback ended us
    done(answer);
  }
}

}  // namespace dispatch::http::internal
