#pragma once

#include <memory>

#include "common/event_loop.h"
#include "common/http/client.h"
#include "function-manager/src/adapters/secret_vault.h"
#include "function-manager/src/domain/sender.h"

namespace dispatch {

/// Sends events over HTTP in the CloudEvents HTTP binding, binary or structured. Adds `webhook-id`
/// (the same for every attempt and repeat), `webhook-timestamp`, `dispatch-attempt` and the event's
/// trace context; `webhook-signature` and `authorization` from the secrets that the sink names.
class HttpSender : public Sender {
 public:
  HttpSender(EventLoop& loop, http::ClientOptions options, SecretVault& secrets);

  void Send(SendRequest request, std::function<void(Answer)> done) override;
  size_t connections() const { return client_.connections(); }

 private:
  using Done = std::function<void(Answer)>;

  void SendWith(const SendRequest& request, const SecretVault::ValuesPtr& auth,
                const SecretVault::ValuesPtr& signing, Done done);
  // Answers what never reached the endpoint, later.
  void Refuse(Answer answer, Done done);

  EventLoop& loop_;
  SecretVault& secrets_;
  http::Client client_;
};

}  // namespace dispatch
