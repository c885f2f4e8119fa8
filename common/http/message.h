#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/clock.h"

namespace dispatch::http {

/// Header fields in the order received; names compare without case.
class Headers {
 public:
  using Field = std::pair<std::string, std::string>;

  void Add(std::string name, std::string value) {
    fields_.emplace_back(std::move(name), std::move(value));
  }
  void Set(std::string name, std::string value);
  void Reserve(size_t fields) { fields_.reserve(fields); }
  void Remove(std::string_view name);
  /// The first field of that name.
  std::optional<std::string_view> Get(std::string_view name) const;
  bool Has(std::string_view name) const { return Get(name).has_value(); }
  /// How many fields have that name.
  size_t Count(std::string_view name) const;
  size_t size() const { return fields_.size(); }
  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }

 private:
  std::vector<Field> fields_;
};

bool EqualsIgnoreCase(std::string_view a, std::string_view b);

struct Request {
  std::string method;
  std::string target;  // as sent
  std::string path;    // percent-decoded once, without the query
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
  Headers headers;
  std::string body;
  std::string remote_address;
  bool secure = false;  // it came over TLS
  SteadyTime received{};
  // Filled by the Router from `{name}` segments.
  std::vector<std::pair<std::string, std::string>> path_params;

  std::string Param(std::string_view name) const;
  std::optional<std::string> Query(std::string_view name) const;
  std::vector<std::string> QueryAll(std::string_view name) const;
};

struct Response {
  int status = 200;
  Headers headers;
  std::string body;

  static Response Json(int status, std::string body);
  static Response Text(int status, std::string body);
};

std::string_view ReasonPhrase(int status);

}  // namespace dispatch::http
