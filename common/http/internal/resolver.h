#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/event_loop.h"
#include "common/http/internal/address.h"
#include "common/result.h"

namespace dispatch::http::internal {

using Addresses = std::vector<SocketAddress>;

/// Names to addresses without blocking the loop: getaddrinfo on a few threads of its own, so that
/// one tenant's dead name server does not hold up the others' names. Answers are kept for seconds;
/// the same name is asked once at a time. Lives on the loop.
class Resolver {
 public:
  using Callback = std::function<void(Result<Addresses>)>;

  explicit Resolver(EventLoop& loop);
  ~Resolver();
  /// Forgets the callbacks.
  void Close();

  /// The addresses, without port, when known now: numeric ones and those kept.
  const Result<Addresses>* Cached(const std::string& host);
  /// Calls back on the loop, later. After the Resolver's end nothing is called back.
  void Resolve(const std::string& host, Callback done);

 private:
  struct Shared;
  struct Known {
    Result<Addresses> answer;
    SteadyTime until;
  };

  void OnAnswer(const std::string& host, Result<Addresses> answer);

  EventLoop& loop_;
  std::shared_ptr<Shared> shared_;
  std::unordered_map<std::string, Known> known_;
  std::unordered_map<std::string, std::vector<Callback>> waiting_;
};

}  // namespace dispatch::http::internal
