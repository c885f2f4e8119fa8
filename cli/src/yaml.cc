#include "cli/src/yaml.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cmath>

#include "cli/src/arguments.h"
#include "cli/src/output.h"

namespace dispatch::cli {

namespace {

constexpr int kMaxDepth = 64;

// A plain scalar by the core schema (YAML 1.2, section 10.3.2).
json::value PlainScalar(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    return nullptr;
  }
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const char* end = text.data() + text.size();
  const char* first = text[0] == '+' ? text.data() + 1 : text.data();
  int64_t whole = 0;
  if (auto r = std::from_chars(first, end, whole); r.ec == std::errc() && r.ptr == end) {
    return whole;
  }
  double number = 0;
  bool numeric = text.find_first_not_of("+-.0123456789eE") == std::string::npos;
  auto r = std::from_chars(first, end, number);
  if (numeric && r.ec == std::errc() && r.ptr == end && std::isfinite(number)) return number;
  return json::value(text);
}

Result<json::value> Convert(const YAML::Node& node, int depth) {
  if (depth > kMaxDepth) return UsageError("the document is too deep");
  switch (node.Type()) {
    case YAML::NodeType::Scalar:
      // yaml-cpp gives plain scalars the tag "?".
      if (node.Tag() == "?") return PlainScalar(node.Scalar());
      return json::value(node.Scalar());
    case YAML::NodeType::Sequence: {
      json::array array;
      for (const auto& element : node) {
        ASSIGN_OR_RETURN(auto value, Convert(element, depth + 1));
        array.push_back(std::move(value));
      }
      return json::value(std::move(array));
    }
    case YAML::NodeType::Map: {
      json::object object;
      for (const auto& entry : node) {
        if (!entry.first.IsScalar()) return UsageError("a key of a mapping is not text");
        ASSIGN_OR_RETURN(auto value, Convert(entry.second, depth + 1));
        if (!object.emplace(entry.first.Scalar(), std::move(value)).second) {
          return UsageError(fmt::format("the key '{}' is there twice", entry.first.Scalar()));
        }
      }
      return json::value(std::move(object));
    }
    default:
      return json::value(nullptr);
  }
}

// Text that would be read as something else, or that YAML would fold.
bool NeedsQuotes(const std::string& text) {
  if (!PlainScalar(text).is_string()) return true;
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20; });
}

void Emit(YAML::Emitter& out, const json::value& value) {
  if (const auto* object = value.if_object()) {
    out << YAML::BeginMap;
    for (const auto& [name, member] : *object) {
      out << YAML::Key;
      Emit(out, json::value(name));
      out << YAML::Value;
      Emit(out, member);
    }
    out << YAML::EndMap;
  } else if (const auto* array = value.if_array()) {
    if (array->empty()) out << YAML::Flow;
    out << YAML::BeginSeq;
    for (const auto& element : *array) Emit(out, element);
    out << YAML::EndSeq;
  } else if (const auto* text = value.if_string()) {
    std::string plain(*text);
    if (NeedsQuotes(plain)) out << YAML::DoubleQuoted;
    out << plain;
  } else if (value.is_null()) {
    out << YAML::Null;
  } else {
    out << ScalarText(value);
  }
}

}  // namespace

std::string ToYaml(const json::value& value) {
  YAML::Emitter out;
  out.SetNullFormat(YAML::LowerNull);
  Emit(out, value);
  return std::string(out.c_str()) + "\n";
}

Result<std::vector<json::value>> ParseDocuments(std::string_view text) {
  std::vector<json::value> documents;
  // JSON first: its own parser refuses what is wrong in it.
  size_t start = text.find_first_not_of(" \t\r\n");
  if (start != std::string_view::npos && (text[start] == '{' || text[start] == '[')) {
    auto parsed = json::Parse(text, kMaxDepth);
    if (parsed.ok()) {
      documents.push_back(std::move(*parsed));
      return documents;
    }
  }
  try {
    for (const YAML::Node& node : YAML::LoadAll(std::string(text))) {
      if (node.IsNull()) continue;  // as behind a last "---"
      ASSIGN_OR_RETURN(auto value, Convert(node, 0));
      documents.push_back(std::move(value));
    }
  } catch (const YAML::Exception& e) {
    return UsageError(fmt::format("neither JSON nor YAML: {}", e.what()));
  }
  return documents;
}

}  // namespace dispatch::cli
