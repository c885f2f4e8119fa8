#include "common/http/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "common/http/internal/client_connection.h"
#include "common/http/internal/client_core.h"
#include "common/http/internal/wire.h"

namespace dispatch::http {

namespace internal {

namespace {
constexpr size_t kMostUrls = 1'024;
}

ClientCore::ClientCore(EventLoop& the_loop, ClientOptions the_options)
    : loop(the_loop), options(std::move(the_options)), resolver(the_loop) {}

void ClientCore::Send(ClientRequest request, Client::Callback done) {
  auto exchange = std::make_shared<Exchange>();
  exchange->request = std::move(request);
  exchange->done = std::move(done);
  exchange->start = loop.Steady();
  exchange->place = exchanges.insert(exchanges.end(), exchange);
  Prolong(*exchange);
  sending_ = true;
  auto url = UrlOf(exchange->request.url);
  bool headers = IsToken(exchange->request.method);
  for (const auto& [name, value] : exchange->request.headers) {
    headers = headers && IsToken(name) && IsFieldValue(value);
  }
  if (!url.ok()) {
    Fail(exchange, FailureKind::kProtocol, url.message());
  } else if (!headers) {
    Fail(exchange, FailureKind::kProtocol, "the request's method or a header is malformed");
  } else {
    exchange->url = std::move(*url);
    HttpVersion version = exchange->request.version;
    bool tls = exchange->url->tls;
    bool http2 = tls ? version != HttpVersion::kHttp11 : version == HttpVersion::kHttp2;
    const std::string& key = http2 ? exchange->url->key2 : exchange->url->key1;
    auto& pool = pools[key];
    if (!pool) {
      pool = std::make_shared<HostPool>();
      pool->key = key;
      pool->one_by_one = http2;
    }
    auto keep = pool;
    Start(exchange, *keep);
  }
  sending_ = false;
}

// Most requests go where others went.
Result<std::shared_ptr<const Url>> ClientCore::UrlOf(const std::string& text) {
  auto it = urls_.find(text);
  if (it != urls_.end()) return it->second;
  ASSIGN_OR_RETURN(Url url, ParseUrl(text));
  if (urls_.size() >= kMostUrls) urls_.clear();
  return urls_.emplace(text, std::make_shared<const Url>(std::move(url))).first->second;
}

void ClientCore::Start(const std::shared_ptr<Exchange>& exchange, HostPool& pool) {
  for (const auto& connection : pool.multiplexed) {
    if (connection->room() == 0) continue;
    auto keep = connection;
    return keep->Multiplex(exchange);
  }
  if (pool.one_by_one && pool.opening > 0) {
    pool.waiting.push_back(exchange);
  } else if (!pool.idle.empty()) {
    auto connection = std::move(pool.idle.back());
    pool.idle.pop_back();
    connection->Use(exchange);
  } else if (pool.open < options.max_connections_per_host) {
    StartFresh(exchange, pool);
  } else {
    pool.waiting.push_back(exchange);
  }
}

void ClientCore::StartFresh(const std::shared_ptr<Exchange>& exchange, HostPool& pool) {
  auto connection = std::make_shared<ClientConnection>(shared_from_this(), pools.at(pool.key));
  connections.emplace(connection.get(), connection);
  connection->Open(exchange);
}

std::shared_ptr<Exchange> ClientCore::NextWaiting(HostPool& pool) {
  while (!pool.waiting.empty()) {
    auto exchange = std::move(pool.waiting.front());
    pool.waiting.pop_front();
    if (!exchange->finished) return exchange;
  }
  return nullptr;
}

void ClientCore::OnOpen(const std::shared_ptr<ClientConnection>& connection, bool http2) {
  HostPool& pool = connection->pool();
  pool.one_by_one = http2;
  if (http2) {
    pool.multiplexed.push_back(connection);
    return OnRoom(connection);
  }
  ServeWaiting(pool);  // each needs one of its own
}

void ClientCore::OnRoom(const std::shared_ptr<ClientConnection>& connection) {
  auto pool = pools.find(connection->pool().key);
  if (pool == pools.end()) return;
  auto keep = pool->second;
  while (connection->room() > 0) {
    auto next = NextWaiting(*keep);
    if (next == nullptr) break;
    connection->Multiplex(std::move(next));
  }
  if (keep->opening == 0) ServeWaiting(*keep);
}

void ClientCore::OnFull(ClientConnection& connection) {
  std::erase_if(connection.pool().multiplexed,
                [&](const auto& c) { return c.get() == &connection; });
}

void ClientCore::OnIdle(const std::shared_ptr<ClientConnection>& connection) {
  HostPool& pool = connection->pool();
  if (auto next = NextWaiting(pool)) {
    connection->Use(std::move(next));
  } else if (pool.idle.size() >= options.max_idle_per_host) {
    connection->Close();
  } else {
    pool.idle.push_back(connection);
    ArmIdleTimer(pool);
  }
}

void ClientCore::OnClosed(ClientConnection& connection, bool was_idle) {
  HostPool& pool = connection.pool();
  if (was_idle) std::erase_if(pool.idle, [&](const auto& c) { return c.get() == &connection; });
  OnFull(connection);
  connections.erase(&connection);
  if (closed) return;
  ServeWaiting(pool);
  DropIfUnused(pool);
}

void ClientCore::ServeWaiting(HostPool& pool) {
  // One that fails at once comes here again: the loop goes on with the next.
  if (std::exchange(pool.serving, true)) return;
  while (pool.open < options.max_connections_per_host && !(pool.one_by_one && pool.opening > 0)) {
    auto next = NextWaiting(pool);
    if (next == nullptr) break;
    StartFresh(next, pool);
  }
  pool.serving = false;
}

void ClientCore::DropIfUnused(HostPool& pool) {
  if (pool.open > 0 || !pool.waiting.empty()) return;
  loop.Cancel(pool.idle_timer);
  pools.erase(pool.key);
}

void ClientCore::ArmIdleTimer(HostPool& pool) {
  if (pool.idle_timer != kNoTimer) return;
  std::optional<SteadyTime> since;
  if (!pool.idle.empty()) since = pool.idle.front()->idle_since();
  for (const auto& connection : pool.multiplexed) {
    if (!connection->idle()) continue;
    since = std::min(since.value_or(SteadyTime::max()), connection->idle_since());
  }
  if (!since) return;
  SteadyTime due = *since + options.idle_timeout;
  pool.idle_timer = loop.After(due - loop.Steady(), [this, key = pool.key] { CloseExpired(key); });
}

void ClientCore::CloseExpired(const std::string& the_key) {
  std::string key = the_key;
  auto it = pools.find(key);
  if (it == pools.end()) return;
  auto pool = it->second;
  pool->idle_timer = kNoTimer;
  SteadyTime limit = loop.Steady() - options.idle_timeout;
  while (!pool->idle.empty() && pool->idle.front()->idle_since() <= limit) {
    auto connection = pool->idle.front();
    connection->Close();
  }
  auto multiplexed = pool->multiplexed;
  for (const auto& connection : multiplexed) {
    if (connection->idle() && connection->idle_since() <= limit) connection->Close();
  }
  ArmIdleTimer(*pool);
}

void ClientCore::Prolong(Exchange& exchange) {
  loop.Cancel(exchange.timer);
  exchange.timer = loop.After(exchange.request.timeout, [this, e = &exchange] { OnTimeout(e); });
}

void ClientCore::OnTimeout(Exchange* raw) {
  auto exchange = *raw->place;
  exchange->timer = kNoTimer;
  auto self = shared_from_this();
  bool working = exchange->connection != nullptr;
  if (working) {
    auto it = connections.find(exchange->connection);
    if (it != connections.end()) {
      auto connection = it->second;
      connection->Abandon(*exchange);
    }
  }
  Fail(exchange, FailureKind::kTimeout,
       fmt::format("no {} within {} ms{}", exchange->request.on_piece ? "data" : "whole answer",
                   exchange->request.timeout.count(), working ? "" : ", waiting for a connection"));
}

void ClientCore::Fail(const std::shared_ptr<Exchange>& exchange, FailureKind kind,
                      std::string message) {
  Client::Outcome outcome;
  outcome.failure = kind;
  outcome.message = std::move(message);
  Finish(exchange, std::move(outcome));
}

void ClientCore::Finish(const std::shared_ptr<Exchange>& exchange, Client::Outcome outcome) {
  if (std::exchange(exchange->finished, true)) return;
  loop.Cancel(exchange->timer);
  // Not moved: `exchange` may be the list's own.
  auto keep = exchange;
  exchanges.erase(keep->place);
  outcome.elapsed = loop.Steady() - keep->start;
  keep->request = ClientRequest();
  auto done = std::move(keep->done);
  if (closed) return;
  if (sending_) {
    loop.Post([weak = weak_from_this(), done = std::move(done),
               outcome = std::make_shared<Client::Outcome>(std::move(outcome))] {
      auto self = weak.lock();
      if (self && !self->closed) done(std::move(*outcome));
    });
  } else {
    done(std::move(outcome));
  }
}

void ClientCore::CloseAll() {
  closed = true;
  resolver.Close();
  for (const auto& exchange : exchanges) loop.Cancel(exchange->timer);
  exchanges.clear();
  auto all = std::move(connections);
  connections.clear();
  for (const auto& entry : all) entry.second->Close();
  for (const auto& entry : pools) loop.Cancel(entry.second->idle_timer);
  pools.clear();
}

const Result<std::shared_ptr<TlsContext>>& ClientCore::Tls() {
  if (!tls_) {
    tls_ = std::make_unique<Result<std::shared_ptr<TlsContext>>>(
        TlsContext::Create(options.verify_tls, options.ca_file));
  }
  return *tls_;
}

}  // namespace internal

std::string_view FailureKindName(FailureKind kind) {
  switch (kind) {
    case FailureKind::kNone:
      return "none";
    case FailureKind::kDns:
      return "dns";
    case FailureKind::kConnect:
      return "connect";
    case FailureKind::kTls:
      return "tls";
    case FailureKind::kTimeout:
      return "timeout";
    case FailureKind::kReset:
      return "reset";
    case FailureKind::kProtocol:
      return "protocol";
    case FailureKind::kForbiddenAddress:
      return "forbidden-address";
  }
  return "unknown";
}

struct Client::Impl : internal::ClientCore {
  using ClientCore::ClientCore;
};

Client::Client(EventLoop& loop, ClientOptions options)
    : impl_(std::make_shared<Impl>(loop, std::move(options))) {}

Client::~Client() { impl_->CloseAll(); }

void Client::Send(ClientRequest request, Callback done) {
  impl_->Send(std::move(request), std::move(done));
}

size_t Client::in_flight() const { return impl_->exchanges.size(); }
size_t Client::connections() const { return impl_->connections.size(); }

}  // namespace dispatch::http
