#include "function-manager/src/domain/dead_letter_filter.h"

#include <charconv>

#include "schema/rfc3339.h"

namespace dispatch {

namespace {

constexpr size_t kMaxText = 256;

template <typename Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number number = 0;
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  bool whole = fault == std::errc() && end == text.data() + text.size() && number >= 0;
  return whole ? std::optional(number) : std::nullopt;
}

class Reader {
 public:
  Reader(const json::object& fields, const std::string& place, std::vector<FieldError>* faults)
      : fields_(fields), place_(place.empty() ? "" : place + "."), faults_(faults) {}

  // Empty when it is missing or wrong.
  std::string Text(const char* name) {
    const json::value* value = Find(name);
    if (value == nullptr) return {};
    if (value->is_string() && value->get_string().size() <= kMaxText) {
      return std::string(value->get_string());
    }
    Fault(name, "must be a string of at most 256 bytes");
    return {};
  }

  std::optional<int64_t> Time(const char* name) {
    std::string text = Text(name);
    if (text.empty()) return std::nullopt;
    auto time = schema::ParseRfc3339(text);
    if (time.ok()) return ToMillis(*time);
    Fault(name, "must be a time as 2026-11-21T08:00:00Z");
    return std::nullopt;
  }

  std::optional<int32_t> Status(const char* name) {
    const json::value* value = Find(name);
    if (value == nullptr) return std::nullopt;
    std::optional<int32_t> status;
    if (value->is_string()) {
      if (value->get_string().empty()) return std::nullopt;
      status = ParseNumber<int32_t>(std::string_view(value->get_string()));
    } else if (value->is_int64() && value->get_int64() >= 0 && value->get_int64() <= 999) {
      status = static_cast<int32_t>(value->get_int64());
    }
    if (!status || *status > 999) {
      Fault(name, "must be an HTTP status, or 0 for no answer");
      return std::nullopt;
    }
    return status;
  }

  void Fault(const char* name, const char* reason) { faults_->push_back({place_ + name, reason}); }

 private:
  const json::value* Find(const char* name) {
    const json::value* value = fields_.if_contains(name);
    return value == nullptr || value->is_null() ? nullptr : value;
  }

  const json::object& fields_;
  std::string place_;
  std::vector<FieldError>* faults_;
};

}  // namespace

std::optional<std::pair<int32_t, int64_t>> ParseDeadLetterId(std::string_view text) {
  size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  auto partition = ParseNumber<int32_t>(text.substr(0, dash));
  auto offset = ParseNumber<int64_t>(text.substr(dash + 1));
  if (!partition || !offset) return std::nullopt;
  return std::pair(*partition, *offset);
}

DeadLetterFilter ReadDeadLetterFilter(const json::object& fields, const std::string& place,
                                      std::vector<FieldError>* faults) {
  Reader reader(fields, place, faults);
  DeadLetterFilter filter;
  filter.reason = reader.Text("reason");
  filter.type = reader.Text("type");
  filter.status = reader.Status("status");
  filter.since_ms = reader.Time("since");
  filter.until_ms = reader.Time("until");
  if (std::string id = reader.Text("id"); !id.empty()) {
    filter.at = ParseDeadLetterId(id);
    if (!filter.at) reader.Fault("id", "must be the id of a dead letter, as 0-17");
  }
  return filter;
}

json::object DeadLetterFilterForm(const DeadLetterFilter& filter) {
  json::object form;
  if (!filter.reason.empty()) form["reason"] = filter.reason;
  if (!filter.type.empty()) form["type"] = filter.type;
  if (filter.status) form["status"] = *filter.status;
  if (filter.since_ms) form["since"] = schema::FormatRfc3339(FromMillis(*filter.since_ms));
  if (filter.until_ms) form["until"] = schema::FormatRfc3339(FromMillis(*filter.until_ms));
  if (filter.at) {
    form["id"] = std::to_string(filter.at->first) + "-" + std::to_string(filter.at->second);
  }
  return form;
}

}  // namespace dispatch
