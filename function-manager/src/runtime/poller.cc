#include "function-manager/src/runtime/internal/poller.h"

#include <sys/epoll.h>

#include <array>

#include "common/check.h"

namespace dispatch::runtime {

Poller::Poller(EventLoop& loop) : loop_(loop), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  DISPATCH_CHECK(epoll_);
  loop_.WatchReadable(epoll_.get(), [this] { OnReady(); });
}

Poller::~Poller() {
  *alive_ = false;
  loop_.Unwatch(epoll_.get());
}

Poller::Token Poller::Add(int fd, uint32_t events, Ready ready) {
  Token token = ++last_;
  epoll_event event{.events = events, .data = {.u64 = token}};
  DISPATCH_CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0);
  watches_.emplace(token, Watch{fd, std::make_shared<Ready>(std::move(ready))});
  return token;
}

void Poller::Change(Token token, uint32_t events) {
  epoll_event event{.events = events, .data = {.u64 = token}};
  DISPATCH_CHECK(epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, watches_.at(token).fd, &event) == 0);
}

void Poller::Remove(Token token) {
  auto it = watches_.find(token);
  if (it == watches_.end()) return;
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, it->second.fd, nullptr);
  watches_.erase(it);
}

void Poller::OnReady() {
  std::array<epoll_event, 64> events;
  int count = epoll_wait(epoll_.get(), events.data(), events.size(), 0);
  auto alive = alive_;
  for (int i = 0; i < count && *alive; ++i) {
    Token token = events[i].data.u64;  // which is packed: nothing may refer to it
    auto it = watches_.find(token);
    if (it == watches_.end()) continue;  // removed by one before it
    auto ready = it->second.ready;       // may remove itself
    (*ready)(events[i].events);
  }
}

}  // namespace dispatch::runtime
