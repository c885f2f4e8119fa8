#include "function-manager/src/domain/function_answer.h"

#include <fmt/format.h>

#include "function-manager/src/domain/run.h"

namespace dispatch {

namespace {

std::vector<std::string> Lines(const json::object* object, std::string_view key) {
  std::vector<std::string> out;
  const auto* lines = object != nullptr ? json::GetArray(*object, key) : nullptr;
  for (const auto& line : lines != nullptr ? *lines : json::array()) {
    if (line.is_string()) out.emplace_back(line.get_string());
  }
  return out;
}

RunError ErrorOf(const json::object& error) {
  RunError out{json::GetString(error, "type", kFunctionError), json::GetString(error, "message"),
               Lines(&error, "stacktrace")};
  // What is ours to say is not the function's.
  if (out.type != kInputError) out.type = kFunctionError;
  return out;
}

}  // namespace

FunctionAnswer ReadFunctionAnswer(const std::string& text, const std::string& who) {
  FunctionAnswer answer;
  auto body = json::ParseObject(text, json::kDataDepth);
  if (!body.ok()) {
    answer.outcome.error = RunError{
        kSystemError,
        fmt::format("{} answered what is not {{context, payload}}: {}", who, body.message()),
        {}};
    return answer;
  }
  RunOutcome& outcome = answer.outcome;
  if (const auto* context = json::GetObject(*body, "context")) {
    const auto* logs = json::GetObject(*context, "logs");
    answer.has_logs = logs != nullptr;
    outcome.out = Lines(logs, "stdout");
    outcome.err = Lines(logs, "stderr");
    if (const auto* error = json::GetObject(*context, "error")) outcome.error = ErrorOf(*error);
  }
  if (const auto* payload = body->if_contains("payload"); payload != nullptr && !outcome.error) {
    outcome.payload = *payload;
  }
  return answer;
}

}  // namespace dispatch
