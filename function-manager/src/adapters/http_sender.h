#pragma once

#include <memory>

#include "common/event_loop.h"
#include "common/http/client.h"
#include "function-manager/src/domain/sender.h"

namespace dispatch {

/// Sends events over HTTP in the CloudEvents HTTP binding, binary or structured. Adds `webhook-id`
/// (the same for every attempt and repeat), `webhook-timestamp`, `dispatch-attempt` and the event's
/// trace context.
class HttpSender : public Sender {
 public:
  HttpSender(EventLoop& loop, http::ClientOptions options);

  void Send(SendRequest request, std::function<void(Answer)> done) override;
  size_t connections() const { return client_.connections(); }

 private:
  EventLoop& loop_;
  http::Client client_;
};

}  // namespace dispatch
