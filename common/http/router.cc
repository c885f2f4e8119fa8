#include "common/http/router.h"

#include <algorithm>

#include "common/check.h"

namespace dispatch::http {

namespace {

bool IsParameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

// Takes the next segment off `path`, which starts with its slash.
std::string_view NextSegment(std::string_view& path) {
  path.remove_prefix(1);
  size_t end = std::min(path.find('/'), path.size());
  std::string_view segment = path.substr(0, end);
  path.remove_prefix(end);
  return segment;
}

// "/" itself has no segment.
std::string_view WithoutTrailingSlash(std::string_view path) {
  if (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

}  // namespace

void Router::Add(std::string method, std::string pattern, Handler handler) {
  DISPATCH_CHECK(pattern.starts_with('/'));
  std::vector<std::string> names;
  size_t node = 0;
  for (std::string_view rest = WithoutTrailingSlash(pattern); !rest.empty();) {
    std::string_view segment = NextSegment(rest);
    size_t next;
    if (IsParameter(segment)) {
      names.emplace_back(segment.substr(1, segment.size() - 2));
      next = nodes_[node].parameter;
    } else {
      auto it = nodes_[node].literals.find(segment);
      next = it == nodes_[node].literals.end() ? 0 : it->second;
    }
    if (next == 0) {
      next = nodes_.size();
      nodes_.emplace_back();
      if (IsParameter(segment)) {
        nodes_[node].parameter = next;
      } else {
        nodes_[node].literals.emplace(segment, next);
      }
    }
    node = next;
  }
  nodes_[node].routes.push_back(routes_.size());
  routes_.push_back({std::move(method), std::move(pattern), std::move(handler)});
  parameter_names_.push_back(std::move(names));
}

// Goes down the literal branch first and takes the first route that has the method; on the way it
// notes the methods of the routes that only the method kept out.
void Router::Search(size_t node, std::string_view path, std::string_view method,
                    std::vector<std::string_view>& values, Match& match) const {
  const Node& here = nodes_[node];
  if (path.empty()) {
    const size_t none = routes_.size();
    size_t found = none;
    for (size_t i : here.routes) {
      const std::string& has = routes_[i].method;
      if (has == method) {
        found = i;
        break;
      }
      if (method == "HEAD" && has == "GET" && found == none) found = i;
      match.allowed.push_back(has);
    }
    if (found == none) return;
    match.route = &routes_[found];
    for (size_t i = 0; i < values.size(); ++i) {
      match.params.emplace_back(parameter_names_[found][i], values[i]);
    }
    return;
  }
  std::string_view segment = NextSegment(path);
  if (auto it = here.literals.find(segment); it != here.literals.end()) {
    Search(it->second, path, method, values, match);
    if (match.route != nullptr) return;
  }
  if (here.parameter != 0 && !segment.empty()) {
    values.push_back(segment);
    Search(here.parameter, path, method, values, match);
    values.pop_back();
  }
}

Router::Match Router::Find(std::string_view method, std::string_view path) const {
  Match match;
  if (!path.starts_with('/')) return match;
  std::vector<std::string_view> values;
  Search(0, WithoutTrailingSlash(path), method, values, match);
  if (match.route != nullptr) {
    match.allowed.clear();
    return match;
  }
  auto& allowed = match.allowed;
  if (std::count(allowed.begin(), allowed.end(), "GET") > 0) allowed.push_back("HEAD");
  std::sort(allowed.begin(), allowed.end());
  allowed.erase(std::unique(allowed.begin(), allowed.end()), allowed.end());
  return match;
}

}  // namespace dispatch::http
