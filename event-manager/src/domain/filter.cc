#include "event-manager/src/domain/filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace dispatch {

/// Parses with a budget of nodes that the whole filter shares.
class FilterParser {
 public:
  Result<Filter> Parse(const json::value& value, const std::string& place, int depth) {
    if (depth > Filter::kMaxDepth) return Bad(place, "is nested deeper than 16 levels");
    RETURN_IF_ERROR(Count(place));
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
    if (dialect == "sql") return ParseSql(body, inner);
    if (dialect == "data") return ParseData(body, inner);
    return Bad(place, "has the unknown dialect '" + dialect +
                          "'; use exact, prefix, suffix, all, any, not, sql or data");
  }

  Result<Filter> ParseList(Filter::Op op, const json::array& array, const std::string& place,
                           int depth) {
    std::vector<Filter> children;
    for (size_t i = 0; i < array.size(); ++i) {
      auto child = Parse(array[i], fmt::format("{}[{}]", place, i), depth + 1);
      if (!child.ok()) return child.error();
      children.push_back(std::move(*child));
    }
    return Group(op, std::move(children));
  }

 private:
  static Error Bad(const std::string& place, const std::string& reason) {
    return {Code::kUnprocessable, place + " " + reason, false, {{place, reason}}};
  }

  Status Count(const std::string& place) {
    if (++nodes_ > Filter::kMaxNodes) return Bad(place, "makes more than 256 conditions in all");
    return {};
  }

  // What needs the data comes last: the attributes often decide without it.
  static Filter Group(Filter::Op op, std::vector<Filter> children) {
    if (children.size() == 1) return std::move(children[0]);
    Filter filter;
    filter.op_ = op;
    for (bool with_data : {false, true}) {
      for (auto& child : children) {
        if (child.NeedsData() == with_data) filter.children_.push_back(child);
      }
    }
    return filter;
  }

  Result<Filter> ParseGroup(Filter::Op op, const json::value& body, const std::string& place,
                            int depth) {
    if (!body.is_array() || body.as_array().empty()) {
      return Bad(place, "must be an array of at least one filter");
    }
    return ParseList(op, body.as_array(), place, depth);
  }

  Result<Filter> ParseText(Filter::Op op, const json::value& body, const std::string& place) {
    if (!body.is_object() || body.as_object().empty()) {
      return Bad(place, "must be an object of at least one attribute and its text");
    }
    std::vector<Filter> children;
    for (const auto& [name, text] : body.as_object()) {
      RETURN_IF_ERROR(Count(place));
      if (name.empty()) return Bad(place, "has an empty attribute name");
      if (!text.is_string() || text.as_string().empty()) {
        return Bad(place + "." + std::string(name), "must be text that is not empty");
      }
      children.push_back(Leaf(op, std::string(name), std::string(text.as_string())));
    }
    return Group(Filter::Op::kAll, std::move(children));
  }

  Result<Filter> ParseSql(const json::value& body, const std::string& place) {
    if (!body.is_string()) return Bad(place, "must be a CESQL expression, as text");
    auto program = cesql::Program::Compile(body.get_string());
    if (!program.ok()) return Bad(place, program.error().message);
    if (!program->futile().empty()) return Bad(place, program->futile());
    sql_nodes_ += program->nodes();
    if (sql_nodes_ > Filter::kMaxSqlNodes) {
      return Bad(place, "makes more than 1024 parts of CESQL expressions in all");
    }
    if (program->conjunction()) return Conjunction(*program->conjunction());
    Filter leaf;
    leaf.op_ = Filter::Op::kSql;
    leaf.program_ = std::make_shared<const cesql::Program>(std::move(*program));
    return leaf;
  }

  static Filter Leaf(Filter::Op op, std::string attribute, std::string text) {
    Filter leaf;
    leaf.op_ = op;
    leaf.attribute_ = std::move(attribute);
    leaf.text_ = std::move(text);
    return leaf;
  }

  // What a plain expression says in the other dialects, which are several times faster.
  static Filter Conjunction(const std::vector<AccessKey>& keys) {
    std::vector<Filter> children;
    for (const auto& key : keys) {
      Filter::Op op = key.kind == AccessKey::Kind::kPrefix   ? Filter::Op::kPrefix
                      : key.kind == AccessKey::Kind::kSuffix ? Filter::Op::kSuffix
                                                             : Filter::Op::kExact;
      children.push_back(Leaf(op, key.name, key.text));
    }
    return Group(Filter::Op::kAll, std::move(children));
  }

  Result<Filter> ParseData(const json::value& body, const std::string& place) {
    if (!body.is_object() || body.as_object().empty()) {
      return Bad(place, "must be an object of at least one JSON pointer and its conditions");
    }
    std::vector<Filter> children;
    for (const auto& [text, conditions] : body.as_object()) {
      std::string field = fmt::format("{}[\"{}\"]", place, std::string_view(text));
      auto pointer = JsonPointer::Parse(text);
      if (!pointer.ok()) return Bad(field, pointer.error().message);
      if (!conditions.is_object() || conditions.as_object().empty()) {
        return Bad(field,
                   fmt::format("must be an object of conditions: {}", DataCondition::kNames));
      }
      for (const auto& [name, operand] : conditions.as_object()) {
        RETURN_IF_ERROR(Count(place));
        auto condition = DataCondition::Parse(*pointer, name, operand);
        if (!condition.ok()) return Bad(field + "." + std::string(name), condition.message());
        Filter leaf;
        leaf.op_ = Filter::Op::kData;
        leaf.data_ = std::make_shared<const DataCondition>(std::move(*condition));
        children.push_back(std::move(leaf));
      }
    }
    return Group(Filter::Op::kAll, std::move(children));
  }

  size_t nodes_ = 0;
  size_t sql_nodes_ = 0;
};

Result<Filter> Filter::Parse(const json::value& filter, const std::string& place) {
  return FilterParser().Parse(filter, place, 0);
}

Result<Filter> Filter::ParseAll(const json::array& filters, const std::string& place) {
  return FilterParser().ParseList(Op::kAll, filters, place, 0);
}

bool Filter::Matches(const EventView& event, cesql::ErrorSet* errors) const {
  auto holds = [&event, errors](const Filter& child) { return child.Matches(event, errors); };
  switch (op_) {
    case Op::kAll:
      return std::all_of(children_.begin(), children_.end(), holds);
    case Op::kAny:
      return std::any_of(children_.begin(), children_.end(), holds);
    case Op::kNot:
      return !children_[0].Matches(event, errors);
    case Op::kSql: {
      if (errors == nullptr) return program_->Holds(event);
      cesql::ErrorSet found;
      bool hold = program_->Holds(event, &found);
      *errors = *errors | found;
      return hold;
    }
    case Op::kData:
      return data_->Holds(event.Data());
    default:
      break;
  }
  const std::string* value = event.Attribute(attribute_);
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

bool Filter::NeedsData() const {
  return op_ == Op::kData || std::any_of(children_.begin(), children_.end(),
                                         [](const Filter& child) { return child.NeedsData(); });
}

Covers Filter::Covers() const {
  auto children = [this] {
    std::vector<dispatch::Covers> parts;
    for (const auto& child : children_) parts.push_back(child.Covers());
    return parts;
  };
  switch (op_) {
    case Op::kAll:
      return CoversOfAll(children());
    case Op::kAny:
      return CoversOfAny(children());
    case Op::kNot:
      return {};
    case Op::kSql:
      return program_->covers();
    case Op::kData: {
      auto key = data_->RequiredKey();
      if (!key) return {};
      return {{{AccessKey::Kind::kData, data_->pointer().text(), std::move(*key)}}};
    }
    case Op::kExact:
      return {{{AccessKey::Kind::kExact, attribute_, text_}}};
    case Op::kPrefix:
      return {{{AccessKey::Kind::kPrefix, attribute_, text_}}};
    default:
      return {{{AccessKey::Kind::kSuffix, attribute_, text_}}};
  }
}

}  // namespace dispatch
