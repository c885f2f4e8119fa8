#pragma once

#include <memory>

#include "broker-adapters/broker.h"
#include "common/event_loop.h"
#include "common/http/client.h"
#include "function-manager/src/adapters/secret_vault.h"
#include "function-manager/src/domain/sender.h"
#include "schema/cloudevents.h"

namespace dispatch {

/// Sends events over HTTP in the CloudEvents HTTP binding, binary or structured. Adds `webhook-id`
/// (the same for every attempt and repeat), `webhook-timestamp`, `dispatch-attempt` and the event's
/// trace context; `webhook-signature` and `authorization` from the secrets that the sink names. An
/// event in the answer is written to the reply topic before `done`, if there is one: what keeps it
/// from that is a failure of the attempt.
class HttpSender : public Sender {
 public:
  HttpSender(EventLoop& loop, http::ClientOptions options, SecretVault& secrets,
             broker::Producer& replies);

  void Send(SendRequest request, std::function<void(Answer)> done) override;
  size_t connections() const { return client_.connections(); }

 private:
  using Done = std::function<void(Answer)>;

  void SendWith(const SendRequest& request, const SecretVault::ValuesPtr& auth,
                const SecretVault::ValuesPtr& signing, Done done);
  void OnOutcome(const SendRequest& request, const cloudevents::Event& event, int64_t sent_s,
                 http::Client::Outcome outcome, const Done& done);
  // Answers what never reached the endpoint, later.
  void Refuse(Answer answer, Done done);

  EventLoop& loop_;
  SecretVault& secrets_;
  broker::Producer& replies_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  http::Client client_;
};

}  // namespace dispatch
