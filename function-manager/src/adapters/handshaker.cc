#include "function-manager/src/adapters/handshaker.h"

#include <algorithm>

namespace dispatch {

Handshaker::Handshaker(EventLoop& loop, http::ClientOptions client, Options options, Tell tell)
    : loop_(loop),
      options_(std::move(options)),
      tell_(std::move(tell)),
      client_(loop, std::move(client)) {}

Handshaker::~Handshaker() {
  for (const auto& [id, pending] : pending_) loop_.Cancel(pending.timer);
}

void Handshaker::Changed(const Uuid& id, Subscription subscription) {
  auto it = pending_.find(id);
  if (subscription == nullptr || !subscription->sink || !subscription->awaits_permission) {
    if (it == pending_.end()) return;
    loop_.Cancel(it->second.timer);
    pending_.erase(it);
    return;
  }
  // What we told of a try comes back as a change: that is no reason to ask at once.
  bool same = it != pending_.end() && it->second.subscription->sink->url == subscription->sink->url;
  Pending& pending = pending_[id];
  pending.subscription = std::move(subscription);
  if (same) return;
  loop_.Cancel(pending.timer);
  pending.wait = options_.first_wait;
  pending.timer = loop_.After(Duration::zero(), [this, id] { Ask(id); });
}

void Handshaker::Ask(const Uuid& id) {
  Pending& pending = pending_.at(id);
  pending.timer = kNoTimer;
  http::ClientRequest request;
  request.method = "OPTIONS";
  request.url = pending.subscription->sink->url;
  request.timeout = options_.timeout;
  request.headers.Set("WebHook-Request-Origin", options_.origin);
  if (auto rate = RequestRate(*pending.subscription)) {
    request.headers.Set("WebHook-Request-Rate", std::to_string(*rate));
  }
  client_.Send(std::move(request),
               [this, asked = pending.subscription](const http::Client::Outcome& outcome) {
                 OnAnswer(asked, outcome);
               });
}

void Handshaker::OnAnswer(const Subscription& asked, const http::Client::Outcome& outcome) {
  auto it = pending_.find(asked->uuid);
  if (it == pending_.end() || it->second.subscription->sink->url != asked->sink->url) return;
  // A permission that is not kept, or a refusal that turns into one: both are asked for again.
  Pending& pending = it->second;
  loop_.Cancel(pending.timer);
  pending.timer = loop_.After(pending.wait, [this, id = asked->uuid] { Ask(id); });
  pending.wait = std::min(2 * pending.wait, options_.longest_wait);
  if (outcome.failure != http::FailureKind::kNone) {
    return tell_(*asked,
                 Error{Code::kUnavailable,
                       "the endpoint cannot be asked for its permission: " + outcome.message});
  }
  const auto& headers = outcome.response.headers;
  tell_(*asked,
        ReadPermission(options_.origin, outcome.response.status,
                       headers.Get("WebHook-Allowed-Origin"), headers.Get("WebHook-Allowed-Rate")));
}

}  // namespace dispatch
