#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace dispatch::cli {

struct ServerSentEvent {
  std::string type;  // "message" unless the stream says otherwise
  std::string data;
};

/// A stream of server-sent events, taken apart (WHATWG HTML, section 9.2.6). Pieces may end
/// anywhere. Holds one event; an error when that is larger than any of ours.
class EventStreamReader {
 public:
  Status Take(std::string_view piece, const std::function<void(const ServerSentEvent&)>& handle);

  /// Last-Event-ID of a connection that goes on behind this one; empty: none yet.
  const std::string& last_id() const { return last_id_; }
  /// How long to wait before it, when the stream said so.
  std::optional<std::chrono::milliseconds> retry() const { return retry_; }

 private:
  void TakeLine(std::string_view line, const std::function<void(const ServerSentEvent&)>& handle);

  std::string line_;  // unfinished
  bool after_return_ = false;
  std::string type_;
  std::string data_;
  std::string id_;
  std::string last_id_;
  std::optional<std::chrono::milliseconds> retry_;
};

}  // namespace dispatch::cli
