#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/json.h"
#include "common/result.h"

namespace dispatch::cli {

enum class Format { kTable, kJson, kYaml };

/// "table", "json", "yaml"; a usage error for anything else.
Result<Format> ParseFormat(std::string_view text);

/// Aligned columns under upper-case headers. What could steer a terminal is left out of the cells.
class Table {
 public:
  explicit Table(std::vector<std::string> headers) { rows_.push_back(std::move(headers)); }
  void Add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string Render() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// One column of a list of objects.
struct Column {
  std::string header;
  std::function<std::string(const json::object&)> text;
};

Table MakeTable(const std::vector<Column>& columns, const json::array& objects);

/// A column of a field: strings, numbers, booleans; others as JSON.
Column FieldColumn(std::string header, std::string field);
/// Of a time in unix seconds or RFC 3339.
Column TimeColumn(std::string header, std::string field);
std::string CellText(const json::value& value);
/// A time in unix seconds or RFC 3339, to the second; nothing for null.
std::string TimeText(const json::value* value);
/// At most so many characters, with "..." in place of the rest.
std::string Cut(std::string_view text, size_t characters);

/// A number, true, false or null as JSON; numbers as people write them (0.2, not 2E-1).
std::string ScalarText(const json::value& value);
/// Indented by two.
std::string PrettyJson(const json::value& value);
/// Text without control characters, for terminals.
std::string Printable(std::string_view text);

/// `value` as JSON or YAML, with a final newline. Not for kTable.
std::string Serialized(const json::value& value, Format format);

}  // namespace dispatch::cli
