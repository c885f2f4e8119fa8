#include "function-manager/src/domain/run.h"

#include <fmt/format.h>

#include "schema/objects.h"
#include "schema/request_reader.h"

namespace dispatch {

namespace {

constexpr size_t kMaxSecrets = 64;

json::value LinesForm(const std::vector<std::string>& lines) {
  if (lines.empty()) return nullptr;
  json::array out;
  for (const auto& line : lines) out.emplace_back(line);
  return out;
}

std::vector<std::string> LinesOf(const json::object& o, std::string_view key) {
  std::vector<std::string> out;
  const auto* lines = json::GetArray(o, key);
  for (const auto& line : lines != nullptr ? *lines : json::array()) {
    if (line.is_string()) out.emplace_back(line.get_string());
  }
  return out;
}

json::object ErrorForm(const RunError& error) {
  json::array trace;
  for (const auto& line : error.stacktrace) trace.emplace_back(line);
  return {{"type", error.type}, {"message", error.message}, {"stacktrace", std::move(trace)}};
}

size_t SizeOf(std::string_view text) {
  size_t size = text.size() + 3;
  for (unsigned char c : text) size += c < 0x20 ? 5 : c == '"' || c == '\\' ? 1 : 0;
  return size;
}

// What it has as JSON, or some bytes more.
size_t SizeOf(const json::value& value) {
  size_t size = value.is_number() ? 24 : 8;
  if (const auto* text = value.if_string()) return SizeOf(std::string_view(*text));
  if (const auto* array = value.if_array()) {
    for (const auto& item : *array) size += SizeOf(item);
  } else if (const auto* object = value.if_object()) {
    for (const auto& [key, item] : *object) size += SizeOf(std::string_view(key)) + SizeOf(item);
  }
  return size;
}

json::value ValueAt(const json::object& o, std::string_view key) {
  const auto* value = o.if_contains(key);
  return value == nullptr ? json::value() : *value;
}

}  // namespace

void Run::Finish(RunOutcome result, int64_t now_us) {
  outcome = std::move(result);
  status = outcome.error ? kRunFailed : kRunDone;
  finished_us = now_us;
}

Result<RunRequest> ReadRunRequest(const json::object& body) {
  schema::RequestReader reader(body);
  RunRequest out;
  out.blocking = reader.Bool("blocking", false);
  out.input = ValueAt(body, "input");
  out.event = ValueAt(body, "event");
  out.http_context = ValueAt(body, "httpContext");
  for (const char* field : {"event", "httpContext"}) {
    const auto* value = body.if_contains(field);
    if (value != nullptr && !value->is_null() && !value->is_object()) {
      reader.Fault(field, "must be an object");
    }
  }
  const auto* secrets = reader.Array("secrets");
  for (const auto& name : secrets != nullptr ? *secrets : json::array()) {
    if (!name.is_string() || !schema::IsObjectName(name.get_string())) {
      reader.Fault("secrets", "must be names of secrets");
      break;
    }
    out.secrets.emplace_back(name.get_string());
  }
  if (out.secrets.size() > kMaxSecrets) reader.Fault("secrets", "must be at most 64 names");
  if (const auto* services = reader.Array("services"); services != nullptr && !services->empty()) {
    reader.Fault("services", "must be empty: there are no service instances");
  }
  out.tags = reader.Tags();
  // What VMware's clients send along of a Run is read-only.
  reader.Allow({"input", "event", "httpContext", "executedTime", "finishedTime", "faasId",
                "functionId", "functionName", "output", "logs", "name", "reason", "status",
                "error"});
  if (!reader.ok()) return reader.error();
  return out;
}

json::object RequestDocument(const RunRequest& request) {
  json::object out;
  if (request.blocking) out["blocking"] = true;
  out["input"] = request.input;
  if (!request.event.is_null()) out["event"] = request.event;
  if (!request.http_context.is_null()) out["httpContext"] = request.http_context;
  if (!request.secrets.empty()) out["secrets"] = LinesForm(request.secrets);
  if (!request.tags.empty()) out["tags"] = request.tags;
  if (!request.traceparent.empty()) out["traceparent"] = request.traceparent;
  return out;
}

RunRequest RequestOf(const json::object& document) {
  RunRequest out;
  out.blocking = json::GetBool(document, "blocking");
  out.input = ValueAt(document, "input");
  out.event = ValueAt(document, "event");
  out.http_context = ValueAt(document, "httpContext");
  out.secrets = LinesOf(document, "secrets");
  if (const auto* tags = json::GetArray(document, "tags")) out.tags = *tags;
  out.traceparent = json::GetString(document, "traceparent");
  return out;
}

json::object OutcomeDocument(const RunOutcome& outcome) {
  json::object out;
  if (outcome.error) out["error"] = ErrorForm(*outcome.error);
  if (!outcome.payload.is_null()) out["output"] = outcome.payload;
  if (!outcome.out.empty()) out["stdout"] = LinesForm(outcome.out);
  if (!outcome.err.empty()) out["stderr"] = LinesForm(outcome.err);
  if (outcome.logs_cut) out["logsCut"] = true;
  if (outcome.cold) out["cold"] = true;
  out["elapsedUs"] = outcome.elapsed.count();
  return out;
}

RunOutcome OutcomeOf(const json::object& document) {
  RunOutcome out;
  if (const auto* error = json::GetObject(document, "error")) {
    out.error = RunError{json::GetString(*error, "type"), json::GetString(*error, "message"),
                         LinesOf(*error, "stacktrace")};
  }
  out.payload = ValueAt(document, "output");
  out.out = LinesOf(document, "stdout");
  out.err = LinesOf(document, "stderr");
  out.logs_cut = json::GetBool(document, "logsCut");
  out.cold = json::GetBool(document, "cold");
  out.elapsed = std::chrono::microseconds(json::GetInt(document, "elapsedUs"));
  return out;
}

json::object RunFormThatFits(const Run& run, bool without_output) {
  json::object form = RunForm(run);
  if (SizeOf(form) <= kMostRunBytes) return form;
  json::array omitted;
  auto omit = [&](const char* field, json::value instead) {
    json::value* found = form.if_contains(field);
    if (found == nullptr || SizeOf(form) <= kMostRunBytes) return;
    *found = std::move(instead);
    omitted.emplace_back(field);
  };
  omit("input", nullptr);
  omit("httpContext", json::object());
  omit("event", json::object());
  omit("logs", {{"stdout", nullptr}, {"stderr", nullptr}, {"cut", true}});
  if (without_output) omit("output", nullptr);
  form["omitted"] = std::move(omitted);
  return form;
}

json::object RunSummary(const Run& run) {
  json::object form = RunForm(run);
  for (const char* field : {"blocking", "input", "output", "event", "httpContext", "secrets",
                            "services", "tags", "logs", "elapsedMs", "coldStart"}) {
    form.erase(field);
  }
  if (auto* error = form.if_contains("error")) error->as_object().erase("stacktrace");
  return form;
}

json::object RunForm(const Run& run) {
  json::object form;
  form["name"] = run.id.ToString();
  form["kind"] = "Run";
  form["functionName"] = run.function;
  form["functionId"] = run.function_id.ToString();
  form["faasId"] = run.faas_id.ToString();
  form["blocking"] = run.request.blocking;
  form["status"] = run.status;
  form["input"] = run.request.input;
  form["output"] = run.outcome.payload;
  if (!run.request.event.is_null()) form["event"] = run.request.event;
  if (!run.request.http_context.is_null()) form["httpContext"] = run.request.http_context;
  form["secrets"] = LinesForm(run.request.secrets);
  form["services"] = nullptr;
  form["tags"] = run.request.tags;
  form["logs"] = {{"stdout", LinesForm(run.outcome.out)}, {"stderr", LinesForm(run.outcome.err)}};
  if (run.outcome.logs_cut) form["logs"].as_object()["cut"] = true;
  form["reason"] = nullptr;
  if (run.outcome.error) {
    form["error"] = ErrorForm(*run.outcome.error);
    form["reason"] = json::array{
        fmt::format("error running function: {}: {}", run.function, run.outcome.error->message)};
  }
  form["executedTime"] = run.executed_us * 1000;
  form["finishedTime"] = run.finished_us * 1000;
  if (run.finished()) {
    form["elapsedMs"] = static_cast<double>(run.outcome.elapsed.count()) / 1000;
    form["coldStart"] = run.outcome.cold;
  }
  return form;
}

}  // namespace dispatch
