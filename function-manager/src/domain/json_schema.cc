#include "function-manager/src/domain/json_schema.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace dispatch {

namespace {

constexpr size_t kMaxNodes = 5'000;
constexpr size_t kMaxPatterns = 64;
constexpr size_t kMaxPatternBytes = 1024;
constexpr int kPatternMemory = 1 << 20;
constexpr int kMaxDepth = 128;
constexpr int64_t kMaxSteps = 1'000'000;

enum Type : unsigned {
  kNull = 1,
  kBoolean = 2,
  kInteger = 4,
  kNumber = 8,
  kString = 16,
  kArray = 32,
  kObject = 64
};
constexpr std::array<std::pair<std::string_view, unsigned>, 7> kTypes{{{"null", kNull},
                                                                       {"boolean", kBoolean},
                                                                       {"integer", kInteger},
                                                                       {"number", kNumber},
                                                                       {"string", kString},
                                                                       {"array", kArray},
                                                                       {"object", kObject}}};

double NumberOf(const json::value& value) {
  if (value.is_int64()) return static_cast<double>(value.get_int64());
  if (value.is_uint64()) return static_cast<double>(value.get_uint64());
  return value.get_double();
}

unsigned TypesOf(const json::value& value) {
  switch (value.kind()) {
    case boost::json::kind::null:
      return kNull;
    case boost::json::kind::bool_:
      return kBoolean;
    case boost::json::kind::int64:
    case boost::json::kind::uint64:
      return kInteger | kNumber;
    case boost::json::kind::double_:
      return value.get_double() == std::floor(value.get_double()) ? kInteger | kNumber : kNumber;
    case boost::json::kind::string:
      return kString;
    case boost::json::kind::array:
      return kArray;
    case boost::json::kind::object:
      return kObject;
  }
  return 0;
}

// The same text for values that JSON Schema calls equal: keys sorted, 1 for 1.0.
void AppendCanonical(const json::value& value, std::string& out) {
  if (const auto* object = value.if_object()) {
    std::vector<const json::object::value_type*> members;
    for (const auto& member : *object) members.push_back(&member);
    std::sort(members.begin(), members.end(),
              [](const auto* a, const auto* b) { return a->key() < b->key(); });
    out += '{';
    for (const auto* member : members) {
      out += json::Serialize(json::value(member->key()));
      out += ':';
      AppendCanonical(member->value(), out);
      out += ',';
    }
    out += '}';
  } else if (const auto* array = value.if_array()) {
    out += '[';
    for (const auto& item : *array) {
      AppendCanonical(item, out);
      out += ',';
    }
    out += ']';
  } else if (value.is_double() && std::abs(value.get_double()) < 9e15 &&
             value.get_double() == std::floor(value.get_double())) {
    out += std::to_string(static_cast<int64_t>(value.get_double()));
  } else {
    out += json::Serialize(value);
  }
}

std::string Canonical(const json::value& value) {
  std::string out;
  AppendCanonical(value, out);
  return out;
}

int64_t CharactersOf(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

using Index = uint32_t;
constexpr Index kNone = ~Index{0};

struct Node {
  std::optional<bool> always;  // a boolean schema
  Index ref = kNone;
  unsigned types = 0;  // 0: any
  std::string type_names;
  std::optional<std::set<std::string>> allowed;  // enum and const
  std::string allowed_text;
  std::optional<double> minimum, maximum, multiple_of;
  bool exclusive_minimum = false, exclusive_maximum = false;
  std::optional<int64_t> min_length, max_length, min_items, max_items, min_properties,
      max_properties;
  std::shared_ptr<const re2::RE2> pattern;
  bool unique_items = false;
  std::map<std::string, Index, std::less<>> properties;
  std::vector<std::pair<std::shared_ptr<const re2::RE2>, Index>> pattern_properties;
  Index additional_properties = kNone, property_names = kNone;
  std::vector<std::string> required;
  std::vector<std::pair<std::string, std::vector<std::string>>> needs;
  std::vector<std::pair<std::string, Index>> need_schemas;
  Index items = kNone, additional_items = kNone, contains = kNone;
  std::vector<Index> tuple;
  std::vector<Index> all_of, any_of, one_of;
  Index never = kNone, condition = kNone, then = kNone, otherwise = kNone;
};

}  // namespace

struct JsonSchema::Program {
  std::vector<Node> nodes;
};

namespace {

class Compiler {
 public:
  explicit Compiler(const json::value& root) : root_(root) {}

  Result<std::vector<Node>> Run() {
    Add(root_, "");
    // References are resolved as a queue, so that they may go in circles.
    for (size_t next = 0; next < pending_.size() && fault_.empty(); ++next) {
      auto [index, pointer, place] = pending_[next];
      const json::value* target = Resolve(pointer);
      if (target == nullptr) {
        Refuse(place, fmt::format("names '{}', which is no place in this schema: only references "
                                  "into the same document are followed",
                                  pointer));
        break;
      }
      Index ref = Add(*target, pointer);
      nodes_[index].ref = ref;
    }
    if (fault_.empty()) return std::move(nodes_);
    return Error{Code::kUnprocessable, fault_, false, {{place_, why_}}};
  }

 private:
  void Refuse(const std::string& place, const std::string& why) {
    if (!fault_.empty()) return;
    place_ = place.starts_with('#') ? place : "#" + place;
    why_ = why;
    fault_ = fmt::format("the schema is not one: {} {}", place_, why);
  }

  const json::value* Resolve(std::string_view pointer) const {
    if (pointer.empty() || pointer[0] != '#') return nullptr;
    pointer.remove_prefix(1);
    const json::value* at = &root_;
    while (!pointer.empty()) {
      if (pointer[0] != '/') return nullptr;
      pointer.remove_prefix(1);
      std::string_view raw = pointer.substr(0, pointer.find('/'));
      pointer.remove_prefix(raw.size());
      std::string token;
      for (size_t i = 0; i < raw.size(); ++i) {
        bool escape = raw[i] == '~' && i + 1 < raw.size();
        token += escape ? (raw[++i] == '1' ? '/' : '~') : raw[i];
      }
      if (const auto* object = at->if_object()) {
        at = object->if_contains(token);
      } else if (const auto* array = at->if_array()) {
        size_t place = 0;
        auto [end, bad] = std::from_chars(token.data(), token.data() + token.size(), place);
        if (bad != std::errc() || end != token.data() + token.size()) return nullptr;
        at = place < array->size() ? &(*array)[place] : nullptr;
      } else {
        return nullptr;
      }
      if (at == nullptr) return nullptr;
    }
    return at;
  }

  Index Add(const json::value& schema, const std::string& place) {
    if (auto known = known_.find(&schema); known != known_.end()) return known->second;
    if (nodes_.size() >= kMaxNodes) Refuse(place, "is one of more than 5000 parts");
    if (!fault_.empty()) return 0;
    auto index = static_cast<Index>(nodes_.size());
    known_[&schema] = index;
    nodes_.emplace_back();
    Node node;
    if (schema.is_bool()) {
      node.always = schema.get_bool();
    } else if (const auto* object = schema.if_object()) {
      Fill(*object, place, index, node);
    } else {
      Refuse(place, "must be an object or a boolean");
    }
    nodes_[index] = std::move(node);
    return index;
  }

  void Fill(const json::object& o, const std::string& place, Index index, Node& node) {
    if (const auto* ref = o.if_contains("$ref")) {
      if (!ref->is_string()) return Refuse(place + "/$ref", "must be a text");
      // Beside a reference nothing else counts (draft 7, section 8.3).
      pending_.emplace_back(index, std::string(ref->get_string()), place + "/$ref");
      return;
    }
    Types(o, place, node);
    Values(o, place, node);
    node.minimum = Number(o, place, "minimum");
    node.maximum = Number(o, place, "maximum");
    Exclusive(o, place, "exclusiveMinimum", node.minimum, node.exclusive_minimum, true);
    Exclusive(o, place, "exclusiveMaximum", node.maximum, node.exclusive_maximum, false);
    node.multiple_of = Number(o, place, "multipleOf");
    if (node.multiple_of && *node.multiple_of <= 0) {
      Refuse(place + "/multipleOf", "must be above 0");
    }
    node.min_length = Count(o, place, "minLength");
    node.max_length = Count(o, place, "maxLength");
    node.min_items = Count(o, place, "minItems");
    node.max_items = Count(o, place, "maxItems");
    node.min_properties = Count(o, place, "minProperties");
    node.max_properties = Count(o, place, "maxProperties");
    if (const auto* pattern = o.if_contains("pattern")) {
      if (!pattern->is_string()) return Refuse(place + "/pattern", "must be a text");
      node.pattern = Pattern(pattern->get_string(), place + "/pattern");
    }
    if (const auto* unique = o.if_contains("uniqueItems")) {
      if (!unique->is_bool()) return Refuse(place + "/uniqueItems", "must be true or false");
      node.unique_items = unique->get_bool();
    }
    Members(o, place, node);
    Items(o, place, node);
    node.all_of = List(o, place, "allOf");
    node.any_of = List(o, place, "anyOf");
    node.one_of = List(o, place, "oneOf");
    node.never = One(o, place, "not");
    node.condition = One(o, place, "if");
    node.then = One(o, place, "then");
    node.otherwise = One(o, place, "else");
  }

  void Types(const json::object& o, const std::string& place, Node& node) {
    const auto* type = o.if_contains("type");
    if (type == nullptr) return;
    json::array one{*type};
    const json::array& names = type->is_array() ? type->get_array() : one;
    for (const auto& name : names) {
      unsigned bit = 0;
      for (const auto& [known, value] : kTypes) {
        if (name.is_string() && name.get_string() == known) bit = value;
      }
      if (bit == 0) {
        return Refuse(place + "/type",
                      "must be null, boolean, integer, number, string, array or object");
      }
      node.types |= bit;
      if (!node.type_names.empty()) node.type_names += " or ";
      node.type_names += name.get_string();
    }
    if (names.empty()) Refuse(place + "/type", "must not be empty");
  }

  void Values(const json::object& o, const std::string& place, Node& node) {
    if (const auto* values = o.if_contains("enum")) {
      if (!values->is_array()) return Refuse(place + "/enum", "must be an array");
      node.allowed.emplace();
      for (const auto& value : values->get_array()) node.allowed->insert(Canonical(value));
      node.allowed_text = json::Serialize(*values).substr(0, 200);
      node.allowed_text = "one of " + node.allowed_text;
    }
    if (const auto* value = o.if_contains("const")) {
      std::set<std::string> only{Canonical(*value)};
      // With an enum beside it, only what both allow.
      if (node.allowed && !node.allowed->contains(*only.begin())) only.clear();
      node.allowed = std::move(only);
      node.allowed_text = json::Serialize(*value).substr(0, 200);
    }
  }

  // Draft 4: a boolean beside the bound; later: a bound of its own.
  void Exclusive(const json::object& o, const std::string& place, const char* key,
                 std::optional<double>& bound, bool& exclusive, bool lower) {
    const auto* value = o.if_contains(key);
    if (value == nullptr) return;
    if (value->is_bool()) {
      exclusive = value->get_bool();
      return;
    }
    auto other = Number(o, place, key);
    if (!other) return;
    if (bound && (lower ? *bound > *other : *bound < *other)) return;
    bound = other;
    exclusive = true;
  }

  void Members(const json::object& o, const std::string& place, Node& node) {
    if (const auto* properties = Object(o, place, "properties")) {
      for (const auto& [name, schema] : *properties) {
        node.properties[name] = Add(schema, Under(place, "properties", name));
      }
    }
    if (const auto* properties = Object(o, place, "patternProperties")) {
      for (const auto& [text, schema] : *properties) {
        std::string at = Under(place, "patternProperties", text);
        auto pattern = Pattern(text, at);
        node.pattern_properties.emplace_back(std::move(pattern), Add(schema, at));
      }
    }
    node.additional_properties = One(o, place, "additionalProperties");
    node.property_names = One(o, place, "propertyNames");
    if (const auto* required = o.if_contains("required")) {
      node.required = Texts(*required, place + "/required");
    }
    for (const char* key : {"dependencies", "dependentRequired", "dependentSchemas"}) {
      const auto* needs = Object(o, place, key);
      if (needs == nullptr) continue;
      for (const auto& [name, what] : *needs) {
        std::string at = Under(place, key, name);
        if (what.is_array()) {
          node.needs.emplace_back(name, Texts(what, at));
        } else {
          node.need_schemas.emplace_back(name, Add(what, at));
        }
      }
    }
  }

  void Items(const json::object& o, const std::string& place, Node& node) {
    if (const auto* items = o.if_contains("items"); items != nullptr && items->is_array()) {
      node.tuple = List(o, place, "items");
    } else {
      node.items = One(o, place, "items");
    }
    node.additional_items = One(o, place, "additionalItems");
    node.contains = One(o, place, "contains");
  }

  static std::string Under(const std::string& place, std::string_view key, std::string_view name) {
    return fmt::format("{}/{}/{}", place, key, name.substr(0, 100));
  }

  Index One(const json::object& o, const std::string& place, const char* key) {
    const auto* schema = o.if_contains(key);
    return schema == nullptr ? kNone : Add(*schema, place + "/" + key);
  }

  std::vector<Index> List(const json::object& o, const std::string& place, const char* key) {
    std::vector<Index> out;
    const auto* list = o.if_contains(key);
    if (list == nullptr) return out;
    if (!list->is_array() || list->get_array().empty()) {
      Refuse(fmt::format("{}/{}", place, key), "must be an array of schemas");
      return out;
    }
    size_t number = 0;
    for (const auto& schema : list->get_array()) {
      out.push_back(Add(schema, fmt::format("{}/{}/{}", place, key, number++)));
    }
    return out;
  }

  const json::object* Object(const json::object& o, const std::string& place, const char* key) {
    const auto* value = o.if_contains(key);
    if (value == nullptr) return nullptr;
    if (!value->is_object()) Refuse(fmt::format("{}/{}", place, key), "must be an object");
    return value->if_object();
  }

  std::vector<std::string> Texts(const json::value& value, const std::string& place) {
    std::vector<std::string> out;
    const auto* texts = value.if_array();
    if (texts == nullptr) Refuse(place, "must be an array of texts");
    for (const auto& text : texts != nullptr ? *texts : json::array()) {
      if (!text.is_string()) Refuse(place, "must be an array of texts");
      if (text.is_string()) out.emplace_back(text.get_string());
    }
    return out;
  }

  std::optional<double> Number(const json::object& o, const std::string& place, const char* key) {
    const auto* value = o.if_contains(key);
    if (value == nullptr || value->is_bool()) return std::nullopt;
    if (value->is_number()) return NumberOf(*value);
    Refuse(fmt::format("{}/{}", place, key), "must be a number");
    return std::nullopt;
  }

  std::optional<int64_t> Count(const json::object& o, const std::string& place, const char* key) {
    const auto* value = o.if_contains(key);
    if (value == nullptr) return std::nullopt;
    if (value->is_number() && (TypesOf(*value) & kInteger) != 0 && NumberOf(*value) >= 0 &&
        NumberOf(*value) < 9e15) {
      return static_cast<int64_t>(NumberOf(*value));
    }
    Refuse(fmt::format("{}/{}", place, key), "must be a whole number, 0 or more");
    return std::nullopt;
  }

  std::shared_ptr<const re2::RE2> Pattern(std::string_view text, const std::string& place) {
    if (text.size() > kMaxPatternBytes) Refuse(place, "must be at most 1024 bytes long");
    if (++patterns_ > kMaxPatterns) Refuse(place, "is one of more than 64 patterns");
    if (!fault_.empty()) return nullptr;
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(kPatternMemory);
    auto pattern =
        std::make_shared<const re2::RE2>(re2::StringPiece(text.data(), text.size()), options);
    if (!pattern->ok()) {
      Refuse(place, fmt::format("is no regular expression of RE2 ({})", pattern->error()));
    }
    return pattern;
  }

  const json::value& root_;
  std::vector<Node> nodes_;
  std::unordered_map<const json::value*, Index> known_;
  std::vector<std::tuple<Index, std::string, std::string>> pending_;
  size_t patterns_ = 0;
  std::string fault_, place_, why_;
};

class Checker {
 public:
  Checker(const std::vector<Node>& nodes, std::string_view name) : nodes_(nodes), path_(name) {}

  std::optional<std::string> Run(const json::value& value) {
    bool holds = Check(0, value);
    if (exhausted_) {
      return fmt::format("{} cannot be checked: the schema asks for too much work for it",
                         std::string(path_.substr(0, path_.find_first_of(".["))));
    }
    return holds ? std::nullopt : std::optional(fault_);
  }

 private:
  bool Spend(size_t steps) {
    steps_ += static_cast<int64_t>(steps);
    if (steps_ > kMaxSteps) exhausted_ = true;
    return !exhausted_;
  }

  bool Fail(std::string_view why) {
    if (quiet_ == 0 && fault_.empty()) fault_ = fmt::format("{} {}", path_, why);
    return false;
  }

  // Whether `value` holds, with nothing said when it does not.
  bool Holds(Index index, const json::value& value) {
    ++quiet_;
    bool holds = Check(index, value);
    --quiet_;
    return holds;
  }

  bool At(Index index, const json::value& value, const std::string& step) {
    if (index == kNone) return true;
    size_t length = path_.size();
    if (path_.size() < 1000) path_ += step;
    bool holds = Check(index, value);
    path_.resize(length);
    return holds;
  }

  bool Check(Index index, const json::value& value) {
    if (!Spend(1)) return false;
    if (depth_ >= kMaxDepth) {
      exhausted_ = true;
      return false;
    }
    ++depth_;
    const Node& node = nodes_[index];
    bool holds = true;
    if (node.ref != kNone) {
      holds = Check(node.ref, value);
    } else if (node.always) {
      holds = *node.always || Fail("is not allowed");
    } else {
      holds = Itself(node, value) && Combined(node, value);
    }
    --depth_;
    return holds && !exhausted_;
  }

  bool Itself(const Node& node, const json::value& value) {
    if (node.types != 0 && (node.types & TypesOf(value)) == 0) {
      return Fail("must be of type " + node.type_names);
    }
    if (node.allowed) {
      std::string text = Canonical(value);
      if (!Spend(text.size() / 8)) return false;
      if (!node.allowed->contains(text)) return Fail("must be " + node.allowed_text);
    }
    if (value.is_number()) return CheckNumber(node, NumberOf(value));
    if (const auto* text = value.if_string()) return CheckText(node, *text);
    if (const auto* array = value.if_array()) return CheckArray(node, *array);
    if (const auto* object = value.if_object()) return CheckObject(node, value, *object);
    return true;
  }

  bool CheckNumber(const Node& node, double number) {
    if (node.minimum &&
        (number < *node.minimum || (node.exclusive_minimum && number == *node.minimum))) {
      return Fail(fmt::format("must be {} {}", node.exclusive_minimum ? "above" : "at least",
                              *node.minimum));
    }
    if (node.maximum &&
        (number > *node.maximum || (node.exclusive_maximum && number == *node.maximum))) {
      return Fail(fmt::format("must be {} {}", node.exclusive_maximum ? "below" : "at most",
                              *node.maximum));
    }
    if (node.multiple_of) {
      double ratio = number / *node.multiple_of;
      // 0.3 is three times 0.1, whatever binary fractions make of it.
      if (!std::isfinite(ratio) || std::abs(ratio - std::round(ratio)) > 1e-9 * std::abs(ratio)) {
        return Fail(fmt::format("must be a multiple of {}", *node.multiple_of));
      }
    }
    return true;
  }

  bool CheckText(const Node& node, std::string_view text) {
    if (!Spend(text.size() / 16)) return false;
    if (node.min_length || node.max_length) {
      int64_t length = CharactersOf(text);
      if (node.min_length && length < *node.min_length) {
        return Fail(fmt::format("must have at least {} characters", *node.min_length));
      }
      if (node.max_length && length > *node.max_length) {
        return Fail(fmt::format("must have at most {} characters", *node.max_length));
      }
    }
    if (node.pattern != nullptr && !Matches(*node.pattern, text)) {
      return Fail(fmt::format("must match the pattern {}", node.pattern->pattern()));
    }
    return true;
  }

  bool Matches(const re2::RE2& pattern, std::string_view text) {
    return Spend(1 + text.size() / 4) &&
           re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), pattern);
  }

  bool CheckArray(const Node& node, const json::array& array) {
    auto size = static_cast<int64_t>(array.size());
    if (node.min_items && size < *node.min_items) {
      return Fail(fmt::format("must have at least {} items", *node.min_items));
    }
    if (node.max_items && size > *node.max_items) {
      return Fail(fmt::format("must have at most {} items", *node.max_items));
    }
    if (node.unique_items) {
      std::set<std::string> seen;
      for (size_t i = 0; i < array.size(); ++i) {
        std::string text = Canonical(array[i]);
        if (!Spend(2 + text.size() / 4)) return false;
        if (!seen.insert(std::move(text)).second) {
          return Fail(fmt::format("must have different items: [{}] is there before", i));
        }
      }
    }
    for (size_t i = 0; i < array.size(); ++i) {
      Index index = node.items;
      if (!node.tuple.empty())
        index = i < node.tuple.size() ? node.tuple[i] : node.additional_items;
      if (index == kNone) continue;
      if (!At(index, array[i], fmt::format("[{}]", i))) return false;
    }
    if (node.contains == kNone) return true;
    for (const auto& item : array) {
      if (Holds(node.contains, item)) return true;
    }
    return Fail("must have an item as `contains` says");
  }

  bool CheckObject(const Node& node, const json::value& value, const json::object& object) {
    auto size = static_cast<int64_t>(object.size());
    if (node.min_properties && size < *node.min_properties) {
      return Fail(fmt::format("must have at least {} properties", *node.min_properties));
    }
    if (node.max_properties && size > *node.max_properties) {
      return Fail(fmt::format("must have at most {} properties", *node.max_properties));
    }
    if (!Spend(node.required.size() + node.needs.size() + node.need_schemas.size())) return false;
    for (const auto& name : node.required) {
      if (!object.contains(name)) return Fail(fmt::format("must have the property '{}'", name));
    }
    for (const auto& [name, others] : node.needs) {
      if (!object.contains(name)) continue;
      for (const auto& other : others) {
        if (object.contains(other)) continue;
        return Fail(fmt::format("must have the property '{}', since it has '{}'", other, name));
      }
    }
    for (const auto& [name, schema] : node.need_schemas) {
      if (object.contains(name) && !Check(schema, value)) return false;
    }
    for (const auto& member : object) {
      if (!CheckMember(node, member.key(), member.value())) return false;
    }
    return true;
  }

  bool CheckMember(const Node& node, std::string_view name, const json::value& value) {
    std::string step = "." + std::string(name.substr(0, 100));
    if (node.property_names != kNone &&
        !At(node.property_names, json::value(name), step + " (its name)")) {
      return false;
    }
    bool known = false;
    if (auto property = node.properties.find(name); property != node.properties.end()) {
      known = true;
      if (!At(property->second, value, step)) return false;
    }
    for (const auto& [pattern, schema] : node.pattern_properties) {
      if (!Matches(*pattern, name)) continue;
      known = true;
      if (!At(schema, value, step)) return false;
    }
    return known || At(node.additional_properties, value, step);
  }

  bool Combined(const Node& node, const json::value& value) {
    for (Index index : node.all_of) {
      if (!Check(index, value)) return false;
    }
    if (!node.any_of.empty()) {
      bool any = false;
      for (Index index : node.any_of) any = any || (!exhausted_ && Holds(index, value));
      if (!any) return Fail("must hold for one schema of `anyOf` at least");
    }
    if (!node.one_of.empty()) {
      int holding = 0;
      for (Index index : node.one_of) holding += !exhausted_ && Holds(index, value) ? 1 : 0;
      if (holding != 1) {
        return Fail(fmt::format("must hold for exactly one schema of `oneOf`, not {}", holding));
      }
    }
    if (node.never != kNone && Holds(node.never, value)) {
      return Fail("must not hold for the schema of `not`");
    }
    if (node.condition == kNone) return true;
    Index branch = Holds(node.condition, value) ? node.then : node.otherwise;
    return branch == kNone || Check(branch, value);
  }

  const std::vector<Node>& nodes_;
  std::string path_;
  std::string fault_;
  int64_t steps_ = 0;
  int depth_ = 0;
  int quiet_ = 0;
  bool exhausted_ = false;
};

}  // namespace

Result<JsonSchema> JsonSchema::Compile(const json::value& schema) {
  JsonSchema out;
  if (schema.is_null()) return out;
  ASSIGN_OR_RETURN(auto nodes, Compiler(schema).Run());
  out.program_ = std::make_shared<const Program>(Program{std::move(nodes)});
  return out;
}

std::optional<std::string> JsonSchema::Fault(const json::value& value,
                                             std::string_view name) const {
  if (program_ == nullptr) return std::nullopt;
  return Checker(program_->nodes, name).Run(value);
}

}  // namespace dispatch
