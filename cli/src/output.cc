#include "cli/src/output.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/src/arguments.h"
#include "cli/src/yaml.h"
#include "schema/rfc3339.h"

namespace dispatch::cli {

namespace {

// Characters, not bytes: continuation bytes of UTF-8 take no room.
size_t Width(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](unsigned char c) { return (c & 0xC0) != 0x80; }));
}

void Indent(const json::value& value, size_t depth, std::string& out) {
  auto line = [&out](size_t level) { out += "\n" + std::string(2 * level, ' '); };
  if (const auto* object = value.if_object(); object != nullptr && !object->empty()) {
    out += "{";
    bool first = true;
    for (const auto& [name, member] : *object) {
      if (!std::exchange(first, false)) out += ",";
      line(depth + 1);
      out += json::Serialize(json::value(name)) + ": ";
      Indent(member, depth + 1, out);
    }
    line(depth);
    out += "}";
  } else if (const auto* array = value.if_array(); array != nullptr && !array->empty()) {
    out += "[";
    bool first = true;
    for (const auto& element : *array) {
      if (!std::exchange(first, false)) out += ",";
      line(depth + 1);
      Indent(element, depth + 1, out);
    }
    line(depth);
    out += "]";
  } else {
    out += ScalarText(value);
  }
}

}  // namespace

Result<Format> ParseFormat(std::string_view text) {
  if (text == "table") return Format::kTable;
  if (text == "json") return Format::kJson;
  if (text == "yaml") return Format::kYaml;
  return UsageError(fmt::format("--output is table, json or yaml, not '{}'", text));
}

std::string Printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    // The C1 controls are two bytes of UTF-8.
    bool c1 = c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (c < 0x20 || c == 0x7F || c1) {
      out += ' ';
      i += c1 ? 1 : 0;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string TimeText(const json::value* value) {
  if (value == nullptr) return "";
  WallTime time;
  if (value->is_int64() && value->as_int64() > 0) {
    time = FromMillis(value->as_int64() * 1000);
  } else if (value->is_string()) {
    auto parsed = schema::ParseRfc3339(value->as_string());
    if (!parsed.ok()) return std::string(value->as_string());
    time = *parsed;
  } else {
    return "";
  }
  // To the second: "2026-01-02 03:04:05Z".
  std::string text = schema::FormatRfc3339(time).substr(0, 19) + "Z";
  text[10] = ' ';
  return text;
}

std::string Cut(std::string_view text, size_t characters) {
  if (Width(text) <= characters) return std::string(text);
  size_t end = 0;
  for (size_t seen = 0; end < text.size(); ++end) {
    bool begins = (static_cast<unsigned char>(text[end]) & 0xC0) != 0x80;
    if (begins && ++seen + 3 > characters) break;
  }
  return std::string(text.substr(0, end)) + "...";
}

std::string Table::Render() const {
  std::vector<size_t> widths;
  std::vector<std::vector<std::string>> cells;
  for (const auto& row : rows_) {
    auto& line = cells.emplace_back();
    for (size_t i = 0; i < row.size(); ++i) {
      line.push_back(row[i].empty() ? "-" : Printable(row[i]));
      if (widths.size() <= i) widths.push_back(0);
      widths[i] = std::max(widths[i], Width(line.back()));
    }
  }
  std::string out;
  for (const auto& row : cells) {
    for (size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out += std::string(widths[i] - Width(row[i]) + 2, ' ');
    }
    out += "\n";
  }
  return out;
}

Table MakeTable(const std::vector<Column>& columns, const json::array& objects) {
  std::vector<std::string> headers;
  for (const Column& column : columns) headers.push_back(column.header);
  Table table(std::move(headers));
  for (const json::value& element : objects) {
    const auto* object = element.if_object();
    if (object == nullptr) continue;
    std::vector<std::string> row;
    for (const Column& column : columns) row.push_back(column.text(*object));
    table.Add(std::move(row));
  }
  return table;
}

std::string CellText(const json::value& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return std::string(value.as_string());
  return ScalarText(value);
}

std::string ScalarText(const json::value& value) {
  return value.is_double() ? fmt::format("{}", value.as_double()) : json::Serialize(value);
}

Column FieldColumn(std::string header, std::string field) {
  return {std::move(header), [field = std::move(field)](const json::object& o) {
            const auto* value = o.if_contains(field);
            return value == nullptr ? "" : CellText(*value);
          }};
}

Column TimeColumn(std::string header, std::string field) {
  return {std::move(header), [field = std::move(field)](const json::object& o) {
            return TimeText(o.if_contains(field));
          }};
}

std::string PrettyJson(const json::value& value) {
  std::string out;
  Indent(value, 0, out);
  return out;
}

std::string Serialized(const json::value& value, Format format) {
  return format == Format::kYaml ? ToYaml(value) : PrettyJson(value) + "\n";
}

}  // namespace dispatch::cli
