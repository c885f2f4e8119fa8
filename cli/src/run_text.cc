#include "cli/src/run_text.h"

#include <fmt/format.h>

#include "common/clock.h"
#include "common/uuid.h"
#include "schema/rfc3339.h"

namespace dispatch::cli {

namespace {

Column NanoColumn(std::string header, std::string field) {
  return {std::move(header), [field = std::move(field)](const json::object& run) {
            return NanoText(json::GetInt(run, field));
          }};
}

std::vector<std::string> LinesOf(const json::object& run, const char* stream) {
  std::vector<std::string> lines;
  const auto* logs = json::GetObject(run, "logs");
  const auto* array = logs != nullptr ? json::GetArray(*logs, stream) : nullptr;
  for (const auto& line : array != nullptr ? *array : json::array()) {
    lines.push_back(Printable(CellText(line)));
  }
  return lines;
}

}  // namespace

std::string NanoText(int64_t nanoseconds) {
  if (nanoseconds <= 0) return "";
  std::string text = schema::FormatRfc3339(FromMillis(nanoseconds / 1'000'000)).substr(0, 19);
  return fmt::format("{}.{:03}Z", text, nanoseconds / 1'000'000 % 1'000);
}

const std::vector<Column>& RunColumns() {
  static const std::vector<Column> columns = {
      FieldColumn("ID", "name"), FieldColumn("FUNCTION", "functionName"),
      FieldColumn("STATUS", "status"), NanoColumn("STARTED", "executedTime"),
      NanoColumn("FINISHED", "finishedTime")};
  return columns;
}

std::string RunLine(const json::object& run) {
  std::string line;
  for (const Column& column : RunColumns()) {
    std::string text = column.text(run);
    // Statuses are of different lengths: the longest is INITIALIZED.
    std::string cell = text.empty() ? "-" : Printable(text);
    line += (line.empty() ? "" : "  ") +
            (column.header == "STATUS" ? fmt::format("{:<11}", cell) : cell);
  }
  return line + "\n";
}

std::vector<std::string> OutputLines(const json::object& run) { return LinesOf(run, "stdout"); }

std::vector<std::string> ErrorLines(const json::object& run) {
  std::vector<std::string> lines = LinesOf(run, "stderr");
  if (const auto* error = json::GetObject(run, "error")) {
    lines.push_back(Printable(fmt::format("{}: {}", json::GetString(*error, "type"),
                                          json::GetString(*error, "message"))));
    const auto* trace = json::GetArray(*error, "stacktrace");
    for (const auto& line : trace != nullptr ? *trace : json::array()) {
      lines.push_back("  " + Printable(CellText(line)));
    }
  }
  return lines;
}

bool IsRunId(std::string_view word) { return Uuid::Parse(word).ok(); }

bool HasEnded(const json::object& run) { return json::GetInt(run, "finishedTime") != 0; }

}  // namespace dispatch::cli
