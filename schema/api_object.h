#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/json.h"

namespace dispatch::schema {

/// VMware's API: a function behind HTTP requests.
inline constexpr char kApiKind[] = "api";

struct ApiCors {
  std::vector<std::string> origins = {"*"};
  std::vector<std::string> methods = {"*"};
  std::vector<std::string> headers = {"*"};
  bool credentials = false;
};

struct Api {
  std::string org;
  std::string name;
  std::string function;
  std::vector<std::string> hosts;      // lower case, without ports; empty: any
  std::vector<std::string> uris;       // as matched: with the organisation when there are no hosts
  std::vector<std::string> methods;    // upper case; empty: any
  std::vector<std::string> protocols;  // http, https; empty: both
  std::string authentication = "public";
  bool enabled = false;
  std::optional<ApiCors> cors;
};

/// From the document of a state entity, which its owner checked.
Api ParseApi(const std::string& org, const std::string& name, const json::object& document);

/// The segments of a path or pattern; one slash at its end says nothing.
std::vector<std::string> PathSegments(std::string_view path);
/// "{id}" in a pattern: any one segment.
bool IsPathParameter(std::string_view segment);

/// Whether both cannot be. Of one organisation: some request would be for both, as the form of the
/// path is the same, with a method and a host in common. A literal segment wins over a parameter,
/// and a host over none, so these are no conflicts. Across organisations a host is its first user's
/// whatever the path, and so is a path below the name of the organisation that serves it without
/// hosts, whatever the method.
bool Conflict(const Api& a, const Api& b);

}  // namespace dispatch::schema
