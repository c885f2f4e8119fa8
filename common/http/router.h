#pragma once

#include <string>
#include <vector>

#include "common/http/message.h"
#include "common/http/server.h"

namespace dispatch::http {

/// Finds the handler for a method and path. Patterns are literal segments and `{name}` segments; a
/// literal segment wins over a parameter. One trailing slash is ignored. HEAD uses GET's route.
class Router {
 public:
  struct Route {
    std::string method;
    std::string pattern;
    Handler handler;
  };

  void Add(std::string method, std::string pattern, Handler handler);

  struct Match {
    const Route* route = nullptr;  // null when nothing fits
    std::vector<std::pair<std::string, std::string>> params;
    std::vector<std::string> allowed;  // the path exists for these methods only: 405
  };
  Match Find(std::string_view method, std::string_view path) const;

  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
};

}  // namespace dispatch::http
