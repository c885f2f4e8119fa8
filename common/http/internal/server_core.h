#pragma once

#include <array>
#include <memory>
#include <string>
#include <unordered_map>

#include "common/http/server.h"
#include "common/metrics.h"

namespace dispatch::http::internal {

class Connection;

/// What the connections of one server share. Lives on the server's loop.
struct ServerCore {
  ServerCore(EventLoop& the_loop, ServerOptions the_options, Handler the_handler)
      : loop(the_loop), options(the_options), handler(std::move(the_handler)) {}

  EventLoop& loop;
  ServerOptions options;
  Handler handler;
  size_t large_bodies = 0;  // under way
  bool draining = false;
  bool closed = false;  // the Server is gone: no handler is called
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections;
  std::function<void()> on_empty;  // runs when draining and the last connection is gone

  // One buffer for reading and one for writing serve all connections, since each is used within one
  // turn of the loop; an idle connection holds none.
  std::array<char, 64 * 1024> read_buffer;
  std::string write_buffer;

  metrics::Gauge open = metrics::GetGauge("dispatch_http_server_connections",
                                          "Connections that are open, the admin port's too.");

  /// The Date header's line, made once a second.
  const std::string& DateLine();

 private:
  std::string date_line_;
  int64_t date_second_ = -1;
};

}  // namespace dispatch::http::internal
