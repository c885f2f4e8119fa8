#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
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
  // A tree of path segments; indices, so that a Router can be copied.
  struct Node {
    std::map<std::string, size_t, std::less<>> literals;
    size_t parameter = 0;  // 0: none (the root is nobody's child)
    std::vector<size_t> routes;
  };
  void Search(size_t node, std::string_view path, std::string_view method,
              std::vector<std::string_view>& values, Match& match) const;

  std::vector<Route> routes_;
  std::vector<std::vector<std::string>> parameter_names_;  // beside routes_
  std::vector<Node> nodes_{1};
};

}  // namespace dispatch::http
