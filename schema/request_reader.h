#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/json.h"
#include "common/result.h"

namespace dispatch::schema {

/// Reads an object of an API request field by field and keeps what is wrong with each, so that one
/// answer names every fault. A missing or null field has its default.
class RequestReader {
 public:
  /// `place` is put before field names: "sink" makes "sink.url".
  explicit RequestReader(const json::object& object, std::string place = {});

  std::string String(std::string_view field, std::string_view fallback = {});
  std::string RequiredString(std::string_view field);
  /// An absolute http or https URL of at most 2048 characters.
  std::string RequiredUrl(std::string_view field);
  /// `tags`: objects {"key", "value"}, with a key that is not empty.
  json::array Tags();
  int64_t Int(std::string_view field, int64_t fallback, int64_t min, int64_t max);
  double Double(std::string_view field, double fallback, double min, double max);
  bool Bool(std::string_view field, bool fallback);
  /// "30s" or a number of milliseconds.
  std::chrono::milliseconds Duration(std::string_view field, std::chrono::milliseconds fallback,
                                     std::chrono::milliseconds min, std::chrono::milliseconds max);
  /// Null when missing.
  const json::object* Object(std::string_view field);
  const json::array* Array(std::string_view field);
  bool Has(std::string_view field) const;

  /// Every field that is neither among these nor read before is a fault: it is most likely
  /// misspelt.
  void Allow(std::initializer_list<std::string_view> fields);
  void Fault(std::string_view field, std::string reason);
  void Take(const RequestReader& inner);

  bool ok() const { return faults_.empty(); }
  /// kUnprocessable with all faults; requires !ok().
  Error error() const;

 private:
  const json::value* Find(std::string_view field);
  std::string Name(std::string_view field) const;

  const json::object& object_;
  std::string place_;
  std::vector<std::string> known_;
  std::vector<FieldError> faults_;
};

}  // namespace dispatch::schema
