#include "event-manager/src/domain/filter.h"

#include <algorithm>

namespace dispatch {

/// Parses with a budget of nodes that the whole filter shares.
class FilterParser {
 public:
  Result<Filter> Parse(const json::value& value, const std::string& place, int depth) {
    if (depth > Filter::kMaxDepth) return Bad(place, "is nested deeper than 16 levels");
    if (++nodes_ > Filter::kMaxNodes) return Bad(place, "makes more than 256 conditions in all");
    if (!value.is_object()) return Bad(place, "must be an object with one dialect key");
    const auto& object = value.as_object();
    if (object.size() != 1) return Bad(place, "must have exactly one dialect key");
    std::string dialect(object.begin()->key());
    const auto& body = object.begin()->value();
    std::string inner = place + "." + dialect;
    if (dialect == "all") return ParseGroup(Filter::Op::kAll, body, inner, depth);
    if (dialect == "any") return ParseGroup(Filter::Op::kAny, body, inner, depth);
    if (dialect == "not") {
      auto child = Parse(body, inner, depth + 1);
      if (!child.ok()) return child.error();
      Filter filter;
      filter.op_ = Filter::Op::kNot;
      filter.children_.push_back(std::move(*child));
      return filter;
    }
    if (dialect == "exact") return ParseText(Filter::Op::kExact, body, inner);
    if (dialect == "prefix") return ParseText(Filter::Op::kPrefix, body, inner);
    if (dialect == "suffix") return ParseText(Filter::Op::kSuffix, body, inner);
    return Bad(place, "has the unknown dialect '" + dialect +
                          "'; use exact, prefix, suffix, all, any or not");
  }

  Result<Filter> ParseList(const json::array& array, const std::string& place, int depth) {
    Filter filter;
    for (size_t i = 0; i < array.size(); ++i) {
      auto child = Parse(array[i], place + "[" + std::to_string(i) + "]", depth + 1);
      if (!child.ok()) return child.error();
      filter.children_.push_back(std::move(*child));
    }
    return filter;
  }

 private:
  static Error Bad(const std::string& place, const std::string& reason) {
    return {Code::kUnprocessable, place + " " + reason, false, {{place, reason}}};
  }

  Result<Filter> ParseGroup(Filter::Op op, const json::value& body, const std::string& place,
                            int depth) {
    if (!body.is_array() || body.as_array().empty()) {
      return Bad(place, "must be an array of at least one filter");
    }
    auto filter = ParseList(body.as_array(), place, depth);
    if (filter.ok()) filter->op_ = op;
    return filter;
  }

  Result<Filter> ParseText(Filter::Op op, const json::value& body, const std::string& place) {
    if (!body.is_object() || body.as_object().empty()) {
      return Bad(place, "must be an object of at least one attribute and its text");
    }
    Filter filter;
    for (const auto& [name, text] : body.as_object()) {
      if (++nodes_ > Filter::kMaxNodes) return Bad(place, "makes more than 256 conditions in all");
      if (name.empty()) return Bad(place, "has an empty attribute name");
      if (!text.is_string() || text.as_string().empty()) {
        return Bad(place + "." + std::string(name), "must be text that is not empty");
      }
      Filter leaf;
      leaf.op_ = op;
      leaf.attribute_ = name;
      leaf.text_ = text.as_string();
      filter.children_.push_back(std::move(leaf));
    }
    return filter;
  }

  size_t nodes_ = 0;
};

Result<Filter> Filter::Parse(const json::value& filter, const std::string& place) {
  return FilterParser().Parse(filter, place, 0);
}

Result<Filter> Filter::ParseAll(const json::array& filters, const std::string& place) {
  return FilterParser().ParseList(filters, place, 0);
}

bool Filter::Matches(const cloudevents::Event& event) const {
  auto holds = [&event](const Filter& child) { return child.Matches(event); };
  switch (op_) {
    case Op::kAll:
      return std::all_of(children_.begin(), children_.end(), holds);
    case Op::kAny:
      return std::any_of(children_.begin(), children_.end(), holds);
    case Op::kNot:
      return !children_[0].Matches(event);
    default:
      break;
  }
  const std::string* value = event.Find(attribute_);
  if (value == nullptr) return false;
  switch (op_) {
    case Op::kExact:
      return *value == text_;
    case Op::kPrefix:
      return value->starts_with(text_);
    default:
      return value->ends_with(text_);
  }
}

const std::string* Filter::RequiredType() const {
  if (op_ == Op::kExact) return attribute_ == "type" ? &text_ : nullptr;
  if (op_ != Op::kAll) return nullptr;
  for (const auto& child : children_) {
    if (const std::string* type = child.RequiredType()) return type;
  }
  return nullptr;
}

}  // namespace dispatch
