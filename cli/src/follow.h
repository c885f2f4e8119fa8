#pragma once

#include <functional>

#include "cli/src/command.h"
#include "cli/src/server_sent_events.h"

namespace dispatch::cli {

/// A stream of server-sent events that is followed until somebody has enough of it.
struct Following {
  /// Of each connection; Last-Event-ID is added to it.
  std::function<ApiRequest()> request;
  /// Takes an event and its data; false: enough. "end" events are not handed on.
  std::function<bool(const ServerSentEvent& event, const json::object& item)> take;
};

/// A connection that breaks is made again behind the last event, later from failure to failure.
/// Ends with OK when it was enough; with the error when the server was never reached or refuses.
Status Follow(Invocation& invocation, Api& api, const Following& following);

/// A line for people, on standard error.
void Note(Invocation& invocation, const std::string& text);

}  // namespace dispatch::cli
