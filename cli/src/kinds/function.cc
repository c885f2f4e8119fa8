#include <algorithm>

#include "cli/src/kinds/kind.h"
#include "cli/src/source_archive.h"

namespace dispatch::cli {

namespace {

Status FillSchemas(const Arguments& flags, json::object& document) {
  for (const char* side : {"in", "out"}) {
    std::string flag = std::string("schema-") + side;
    auto file = flags.Value(flag);
    if (!file) continue;
    ASSIGN_OR_RETURN(auto text, ReadFile(*file));
    json::value& schema = document["schema"];
    if (!schema.is_object()) schema = json::object();
    ASSIGN_OR_RETURN(schema.as_object()[side], JsonOf(flag, text));
  }
  return {};
}

void FillNames(const Arguments& flags, std::string_view flag, json::object& document,
               std::string_view field) {
  auto given = flags.All(flag);
  if (given.empty()) return;
  json::array names;
  for (const std::string& name : given) names.emplace_back(name);
  document[field] = std::move(names);
}

Status FillLimits(const Arguments& flags, json::object& document) {
  ASSIGN_OR_RETURN(auto concurrency, flags.Int("concurrency", 1, 256));
  if (!concurrency && !flags.Has("memory") && !flags.Has("cpu")) return {};
  json::value& limits = document["limits"];
  if (!limits.is_object()) limits = json::object();
  FillText(flags, "memory", limits.as_object(), "memory");
  FillText(flags, "cpu", limits.as_object(), "cpu");
  if (concurrency) limits.as_object()["concurrency"] = *concurrency;
  return {};
}

// Milliseconds, VMware's form, or a duration.
Status FillTimeout(const Arguments& flags, json::object& document) {
  auto given = flags.Value("timeout");
  if (!given) return {};
  bool number = !given->empty() && given->size() < 10 &&
                given->find_first_not_of("0123456789") == std::string::npos;
  if (!number) return FillDuration(flags, "timeout", document, "timeout");
  document["timeout"] = std::stoll(*given);
  return {};
}

Status Fill(const Arguments& flags, const Environment&, json::object& document) {
  if (flags.positionals().size() > 2) {
    ASSIGN_OR_RETURN(document["source"], SourceArchive(flags.positionals()[2]));
  }
  FillText(flags, "image", document, "image");
  FillText(flags, "handler", document, "handler");
  RETURN_IF_ERROR(FillSchemas(flags, document));
  FillNames(flags, "secret", document, "secrets");
  FillNames(flags, "service", document, "services");
  FillText(flags, "url", document, "url");
  FillText(flags, "runtime", document, "runtime");
  if (flags.Has("url") && !document.contains("runtime")) document["runtime"] = "http";
  RETURN_IF_ERROR(FillTimeout(flags, document));
  RETURN_IF_ERROR(FillLimits(flags, document));
  if (flags.Has("network")) document["network"] = true;
  return FillTags(flags, document);
}

std::string Image(const json::object& function) {
  std::string image = json::GetString(function, "image");
  return image.empty() ? json::GetString(function, "url") : image;
}

}  // namespace

Kind FunctionKind() {
  return {
      .name = "function",
      .aliases = {"functions", "fn", "fns"},
      .document_kind = "Function",
      .path = "/v1/function",
      .flags = {{.name = "image", .value = "IMAGE", .help = "what it runs in"},
                {.name = "handler",
                 .value = "HANDLER",
                 .help = "module.function, ./file.js, a class; default: of the only file"},
                {.name = "schema-in", .value = "FILE", .help = "JSON Schema of its input"},
                {.name = "schema-out", .value = "FILE", .help = "JSON Schema of its output"},
                {.name = "secret",
                 .value = "SECRET",
                 .help = "a secret that it is given",
                 .repeatable = true},
                {.name = "service",
                 .value = "SERVICE",
                 .help = "a service that it is bound to",
                 .repeatable = true},
                {.name = "memory", .value = "BYTES", .help = "of one worker (default 256Mi)"},
                {.name = "cpu", .value = "CPUS", .help = "of one worker, as 1 or 500m (default 1)"},
                {.name = "concurrency", .value = "N", .help = "workers at most (default 1)"},
                {.name = "network", .help = "let it use the network"},
                {.name = "url", .value = "URL", .help = "where you run it, in place of PATH"},
                {.name = "runtime",
                 .value = "NAME",
                 .help = "process (default with --image) or http (default with --url)"},
                {.name = "timeout",
                 .value = "DURATION",
                 .help = "of one run, 15m at most (1h with --url); a bare number is milliseconds"},
                ApplicationFlag(),
                TagFlag()},
      .fill = Fill,
      .columns = {FieldColumn("NAME", "name"),
                  {"FUNCTIONIMAGE", Image},
                  FieldColumn("STATUS", "status"),
                  TimeColumn("CREATED DATE", "createdTime")},
      .examples = {"dispatch create function hello ./hello.py --image python3",
                   "dispatch create function web ./src --image nodejs --handler ./index.js",
                   "dispatch create function hello --url http://127.0.0.1:9000/hello"},
      .argument = "PATH"};
}

}  // namespace dispatch::cli
