#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/event_loop.h"

namespace dispatch::http::testing {

/// One end of a TCP connection that says byte for byte what a test tells it to: a hostile client or
/// the far side of a hostile server. Lives on the loop of the test.
class RawPeer {
 public:
  static RawPeer Connect(EventLoop& loop, uint16_t port);
  /// Takes a connected descriptor.
  RawPeer(EventLoop& loop, int fd);
  ~RawPeer();
  RawPeer(RawPeer&&) noexcept = default;
  RawPeer& operator=(RawPeer&&) = delete;

  /// Sends all, waiting when the other side is slow.
  void Send(const std::string& bytes);
  void ShutdownWrite();
  /// Closes, with a reset when `reset`.
  void Close(bool reset = false);
  /// Stops and resumes reading.
  void Pause();
  void Resume();

  const std::string& received() const;
  void Clear();
  /// The other side closed, or the connection was refused or reset.
  bool closed() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Accepts connections at a port of the loopback; the test plays the server.
class RawListener {
 public:
  explicit RawListener(EventLoop& loop);
  ~RawListener();

  uint16_t port() const { return port_; }
  /// The connections accepted so far, in order.
  std::vector<std::unique_ptr<RawPeer>> peers;

 private:
  EventLoop& loop_;
  int fd_;
  uint16_t port_ = 0;
};

}  // namespace dispatch::http::testing
