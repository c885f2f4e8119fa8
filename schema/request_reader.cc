#include "schema/request_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "common/config.h"

namespace dispatch::schema {

namespace {

// What is wrong with the host and port of a URL (RFC 3986, section 3.2). An empty port, which the
// grammar allows, is most likely a variable that was not set.
std::string AuthorityFault(std::string_view authority) {
  if (authority.find('@') != authority.npos) {
    return "must not hold a user name or password: name a secret";
  }
  size_t bracket = authority.rfind(']');
  size_t colon = authority.find(':', bracket == authority.npos ? 0 : bracket);
  if (colon == 0 || authority.empty()) return "has no host";
  if (colon == authority.npos) return "";
  std::string_view digits = authority.substr(colon + 1);
  if (digits.empty()) return "has an empty port: give one, or leave the ':' out";
  int port = 0;
  auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  bool number = fault == std::errc() && end == digits.data() + digits.size();
  return number && port > 0 && port < 65536 ? "" : "must have a port from 1 to 65535";
}

}  // namespace

RequestReader::RequestReader(const json::object& object, std::string place)
    : object_(object), place_(std::move(place)) {}

std::string RequestReader::Name(std::string_view field) const {
  return place_.empty() ? std::string(field) : place_ + "." + std::string(field);
}

const json::value* RequestReader::Find(std::string_view field) {
  known_.emplace_back(field);
  const auto* value = object_.if_contains(field);
  return value == nullptr || value->is_null() ? nullptr : value;
}

bool RequestReader::Has(std::string_view field) const {
  const auto* value = object_.if_contains(field);
  return value != nullptr && !value->is_null();
}

void RequestReader::Fault(std::string_view field, std::string reason) {
  faults_.push_back({Name(field), std::move(reason)});
}

void RequestReader::Take(const RequestReader& inner) {
  faults_.insert(faults_.end(), inner.faults_.begin(), inner.faults_.end());
}

std::string RequestReader::String(std::string_view field, std::string_view fallback) {
  const auto* value = Find(field);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) {
    Fault(field, "must be a string");
    return std::string(fallback);
  }
  return std::string(value->as_string());
}

std::string RequestReader::RequiredString(std::string_view field) {
  std::string value = String(field);
  if (value.empty() && (!Has(field) || object_.at(field).is_string())) {
    Fault(field, "is required");
  }
  return value;
}

std::string RequestReader::RequiredUrl(std::string_view field) {
  std::string url = RequiredString(field);
  bool http = url.starts_with("http://") || url.starts_with("https://");
  if (url.empty()) return url;
  if (!http || url.size() > 2048 || url.find_first_of(" \t\r\n") != url.npos) {
    Fault(field, "must be an absolute http or https URL of at most 2048 characters");
    return url;
  }
  std::string_view authority(url);
  authority.remove_prefix(url.find("://") + 3);
  authority = authority.substr(0, authority.find_first_of("/?#"));
  if (std::string fault = AuthorityFault(authority); !fault.empty()) Fault(field, fault);
  return url;
}

json::array RequestReader::Tags() {
  json::array tags;
  const auto* given = Array("tags");
  if (given == nullptr) return tags;
  for (const auto& tag : *given) {
    const auto* object = tag.if_object();
    if (object == nullptr || json::GetString(*object, "key").empty()) {
      Fault("tags", "must be objects {\"key\", \"value\"}");
      return {};
    }
    tags.push_back(
        {{"key", json::GetString(*object, "key")}, {"value", json::GetString(*object, "value")}});
  }
  return tags;
}

int64_t RequestReader::Int(std::string_view field, int64_t fallback, int64_t min, int64_t max) {
  const auto* value = Find(field);
  if (value == nullptr) return fallback;
  if (!value->is_int64() || value->as_int64() < min || value->as_int64() > max) {
    Fault(field, fmt::format("must be a whole number from {} to {}", min, max));
    return fallback;
  }
  return value->as_int64();
}

double RequestReader::Double(std::string_view field, double fallback, double min, double max) {
  const auto* value = Find(field);
  if (value == nullptr) return fallback;
  double number = value->is_double()  ? value->as_double()
                  : value->is_int64() ? static_cast<double>(value->as_int64())
                                      : min - 1;
  if (!(number >= min && number <= max)) {
    Fault(field, fmt::format("must be a number from {} to {}", min, max));
    return fallback;
  }
  return number;
}

bool RequestReader::Bool(std::string_view field, bool fallback) {
  const auto* value = Find(field);
  if (value == nullptr) return fallback;
  if (!value->is_bool()) {
    Fault(field, "must be true or false");
    return fallback;
  }
  return value->as_bool();
}

std::chrono::milliseconds RequestReader::Duration(std::string_view field,
                                                  std::chrono::milliseconds fallback,
                                                  std::chrono::milliseconds min,
                                                  std::chrono::milliseconds max) {
  const auto* value = Find(field);
  if (value == nullptr) return fallback;
  std::optional<std::chrono::milliseconds> parsed;
  if (value->is_int64()) parsed = std::chrono::milliseconds(value->as_int64());
  if (value->is_string()) {
    auto duration = ParseDuration(value->as_string());
    if (duration.ok()) parsed = std::chrono::duration_cast<std::chrono::milliseconds>(*duration);
  }
  if (!parsed || *parsed < min || *parsed > max) {
    Fault(field, fmt::format("must be a duration from {} to {}, as in \"30s\"", FormatDuration(min),
                             FormatDuration(max)));
    return fallback;
  }
  return *parsed;
}

const json::object* RequestReader::Object(std::string_view field) {
  const auto* value = Find(field);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) {
    Fault(field, "must be an object");
    return nullptr;
  }
  return &value->as_object();
}

const json::array* RequestReader::Array(std::string_view field) {
  const auto* value = Find(field);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) {
    Fault(field, "must be an array");
    return nullptr;
  }
  return &value->as_array();
}

void RequestReader::Allow(std::initializer_list<std::string_view> fields) {
  for (const auto& [name, value] : object_) {
    std::string_view field(name.data(), name.size());
    bool known = std::find(known_.begin(), known_.end(), field) != known_.end() ||
                 std::find(fields.begin(), fields.end(), field) != fields.end();
    if (!known) Fault(field, "is not a field of this object");
  }
}

Error RequestReader::error() const {
  std::string message;
  for (const auto& fault : faults_) {
    if (!message.empty()) message += "; ";
    message += fault.field + " " + fault.reason;
  }
  return {Code::kUnprocessable, std::move(message), false, faults_};
}

}  // namespace dispatch::schema
