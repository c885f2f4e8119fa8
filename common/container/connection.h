#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/container/engine.h"
#include "common/event_loop.h"
#include "common/result.h"

namespace dispatch::container {

/// Settings of Connection.
struct ConnectionOptions {
  std::string socket;         // the engine's; empty: there is none
  std::string registry_file;  // of credentials for pulls; empty: none
  Status none;                // what is said then, with the remedy
  std::string what;           // runs in the containers, for the log: "functions"
  /// `name=value`, or a name: the containers that may have been left by who was killed.
  std::string label;
  std::function<bool(const Listed&)> left = nullptr;  // those that were; null: all
};

/// The engine, and whether it can be used: it is asked again and again until it answers, and what
/// was left of before is removed ahead of anything else. Lives on the loop; after its end nothing
/// is called back.
class Connection {
 public:
  Connection(EventLoop& loop, ConnectionOptions options);
  ~Connection();

  Engine& engine() { return engine_; }
  /// OK, or why no containers can be run now.
  const Status& usable() const { return usable_; }
  /// Runs the task when the engine was asked once: at once, but for those that come before its
  /// first answer.
  void WhenAsked(std::function<void()> task);

 private:
  void Connect();
  void RemoveLeft(std::vector<std::string> ids, const std::string& what);
  void Connected(const Status& status);

  EventLoop& loop_;
  const ConnectionOptions options_;
  Engine engine_;
  Status usable_;
  bool asked_first_ = true;
  std::vector<std::function<void()>> waiting_;
  TimerId timer_ = kNoTimer;
};

}  // namespace dispatch::container
