#pragma once

#include <array>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/http/client.h"
#include "common/http/internal/resolver.h"
#include "common/http/internal/tls.h"
#include "common/http/internal/url.h"

namespace dispatch::http::internal {

class ClientConnection;
struct ClientCore;

/// One request from Send to its outcome.
struct Exchange {
  ClientRequest request;
  Client::Callback done;
  std::shared_ptr<const Url> url;
  SteadyTime start{};
  TimerId timer = kNoTimer;
  bool finished = false;
  bool retried = false;
  int32_t stream = 0;                      // of HTTP/2
  ClientConnection* connection = nullptr;  // the one that works on it
  std::list<std::shared_ptr<Exchange>>::iterator place;
};

/// The connections to one scheme, host and port, in one of the ways that requests ask for.
struct HostPool {
  std::string key;
  size_t open = 0;  // all connections, those being opened too
  size_t opening = 0;
  std::vector<std::shared_ptr<ClientConnection>> idle;         // the latest used last; of HTTP/1.1
  std::vector<std::shared_ptr<ClientConnection>> multiplexed;  // of HTTP/2, that take requests
  /// It may be HTTP/2: while it may, or is, requests wait for the connection that is being opened.
  bool one_by_one = false;
  bool serving = false;  // those that wait are being looked at
  std::deque<std::shared_ptr<Exchange>> waiting;
  TimerId idle_timer = kNoTimer;
};

/// The client's state, shared with its connections; lives on the loop.
struct ClientCore : std::enable_shared_from_this<ClientCore> {
  ClientCore(EventLoop& the_loop, ClientOptions the_options);

  void Send(ClientRequest request, Client::Callback done);
  void CloseAll();

  /// Gives the exchange a connection: a kept one, a new one, or a place in the queue.
  void Start(const std::shared_ptr<Exchange>& exchange, HostPool& pool);
  /// On a new connection, whatever the limit: the old one has just gone.
  void StartFresh(const std::shared_ptr<Exchange>& exchange, HostPool& pool);
  /// A connection is open: as many as it takes may go, or each on one of its own.
  void OnOpen(const std::shared_ptr<ClientConnection>& connection, bool http2);
  /// It takes requests, some of those that wait maybe.
  void OnRoom(const std::shared_ptr<ClientConnection>& connection);
  /// It takes no more requests.
  void OnFull(ClientConnection& connection);
  /// A connection is free, or gone: the next in the queue may go.
  void OnIdle(const std::shared_ptr<ClientConnection>& connection);
  void OnClosed(ClientConnection& connection, bool was_idle);
  void Fail(const std::shared_ptr<Exchange>& exchange, FailureKind kind, std::string message);
  void Finish(const std::shared_ptr<Exchange>& exchange, Client::Outcome outcome);
  void ArmIdleTimer(HostPool& pool);
  /// Its whole timeout begins again.
  void Prolong(Exchange& exchange);
  /// The TLS settings, read when first needed.
  const Result<std::shared_ptr<TlsContext>>& Tls();

  EventLoop& loop;
  ClientOptions options;
  Resolver resolver;
  std::unordered_map<std::string, std::shared_ptr<HostPool>> pools;
  std::unordered_map<ClientConnection*, std::shared_ptr<ClientConnection>> connections;
  std::list<std::shared_ptr<Exchange>> exchanges;
  std::array<char, 64 * 1024> read_buffer;
  std::string write_buffer;
  bool closed = false;

 private:
  Result<std::shared_ptr<const Url>> UrlOf(const std::string& text);
  void OnTimeout(Exchange* exchange);
  void ServeWaiting(HostPool& pool);
  void CloseExpired(const std::string& key);
  void DropIfUnused(HostPool& pool);
  std::shared_ptr<Exchange> NextWaiting(HostPool& pool);

  std::unordered_map<std::string, std::shared_ptr<const Url>> urls_;  // those used lately
  bool sending_ = false;                                              // inside Send: outcomes wait
  std::unique_ptr<Result<std::shared_ptr<TlsContext>>> tls_;
};

}  // namespace dispatch::http::internal
