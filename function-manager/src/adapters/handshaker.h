#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "common/event_loop.h"
#include "common/http/client.h"
#include "function-manager/src/domain/handshake.h"
#include "schema/objects.h"

namespace dispatch {

/// Asks endpoints of subscriptions with `sink.handshake` whether they want to be sent to, again and
/// again until they do. Every instance asks; the answer is event-manager's to keep. Lives on the
/// loop.
class Handshaker {
 public:
  struct Options {
    std::string origin;  // WebHook-Request-Origin: the name we are known by
    Duration first_wait = std::chrono::seconds(5);
    Duration longest_wait = std::chrono::minutes(5);
    std::chrono::milliseconds timeout{10'000};
  };
  using Subscription = std::shared_ptr<const schema::Subscription>;
  /// Told after each try, for the subscription as it was asked for.
  using Tell = std::function<void(const schema::Subscription&, const Result<Permission>&)>;

  Handshaker(EventLoop& loop, http::ClientOptions client, Options options, Tell tell);
  ~Handshaker();

  /// A subscription is new, changed, or (null) gone.
  void Changed(const Uuid& id, Subscription subscription);

 private:
  struct Pending {
    Subscription subscription;
    Duration wait{};
    TimerId timer = kNoTimer;
  };

  void Ask(const Uuid& id);
  void OnAnswer(const Subscription& asked, const http::Client::Outcome& outcome);

  EventLoop& loop_;
  const Options options_;
  Tell tell_;
  std::unordered_map<Uuid, Pending> pending_;
  http::Client client_;
};

}  // namespace dispatch
