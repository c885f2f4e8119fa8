#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include "common/event_loop.h"
#include "common/process/spawn.h"

namespace dispatch::runtime {

/// Watches descriptors for both directions on a loop, which itself only tells that one can be read:
/// through an epoll of its own, which can be read when one of them is ready. Level-triggered.
class Poller {
 public:
  using Token = uint64_t;
  using Ready = std::function<void(uint32_t events)>;  // EPOLLIN ...

  explicit Poller(EventLoop& loop);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  /// `ready` runs whenever one of `events` holds (0: none for now), until Remove.
  Token Add(int fd, uint32_t events, Ready ready);
  void Change(Token token, uint32_t events);
  void Remove(Token token);

 private:
  struct Watch {
    int fd;
    std::shared_ptr<Ready> ready;
  };
  void OnReady();

  EventLoop& loop_;
  Fd epoll_;
  Token last_ = 0;
  std::unordered_map<Token, Watch> watches_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch::runtime
