#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "common/container/connection.h"
#include "common/event_loop.h"

namespace dispatch {

/// The container engine of the drivers, and what it was told to run: a container is removed when
/// nobody wants it any more, again and again until it is gone, and at the start those of processes
/// that are gone. Must outlive the drivers; one owner.
class DriverContainers {
 public:
  DriverContainers(EventLoop& loop, const std::string& socket, const std::string& registry_file);
  ~DriverContainers();

  container::Connection& connection() { return connection_; }
  container::Engine& engine() { return connection_.engine(); }
  /// For a container's owner label.
  const std::string& owner() const { return owner_; }

  /// Makes a container and tells its id, unless `wanted` is gone by then: then it is removed.
  void Create(const json::object& spec, const std::weak_ptr<char>& wanted,
              container::Engine::Done<std::string> done);
  void Remove(const std::string& id);
  /// Calls back when all are gone that were to be removed, after 3 s at the latest.
  void Close(std::function<void()> done);

 private:
  void Dig(const std::string& id);
  void CloseWhenEmpty();

  EventLoop& loop_;
  const std::string owner_;
  container::Connection connection_;
  int creating_ = 0;
  std::set<std::string> graves_;
  std::set<TimerId> timers_;
  TimerId closing_timer_ = kNoTimer;
  std::function<void()> closed_;
};

}  // namespace dispatch
