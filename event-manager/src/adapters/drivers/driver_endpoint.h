#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/event_loop.h"
#include "common/http/server.h"
#include "event-manager/src/adapters/drivers/running_driver.h"

namespace dispatch {

/// Where a driver that is a program POSTs its events, in any form of CloudEvents 1.0 or 0.1 as
/// VMware's clients send them; GET says that it is there. 201: the topic has them; 400: they are no
/// events; 401; 405; 500: try again. One owner.
class DriverEndpoint {
 public:
  enum class Callers {
    kMany,  // others reach it too: a POST needs the token
    kOne,   // only the driver does
  };
  DriverEndpoint(DriverHost& host, EventLoop& loop, Callers callers);

  /// In the path, as ?authToken= or as bearer token.
  const std::string& token() const { return token_; }
  /// The port, of any address of this machine: "127.0.0.1:0".
  Result<uint16_t> Listen(const std::string& address) { return server_.Listen(address); }
  /// The same of a socket that listens already, which it then owns.
  void Serve(int listening) { server_.Serve(listening); }
  /// Events are answered 500 from now on.
  void Refuse() { refusing_ = true; }

 private:
  void Handle(http::Request request, std::shared_ptr<http::ResponseWriter> writer);
  bool HasToken(const http::Request& request) const;
  void Publish(std::vector<cloudevents::Event> events,
               std::shared_ptr<http::ResponseWriter> writer);

  DriverHost& host_;
  const Callers callers_;
  const std::string token_;
  size_t in_flight_ = 0;
  bool refusing_ = false;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
  http::Server server_;
};

}  // namespace dispatch
