#include "cli/src/kinds/kind.h"

namespace dispatch::cli {

namespace {

Status Fill(const Arguments& flags, const Environment&, json::object& document) {
  FillText(flags, "url", document, "url");
  FillText(flags, "runtime", document, "runtime");
  if (flags.Has("url") && !document.contains("runtime")) document["runtime"] = "http";
  RETURN_IF_ERROR(FillDuration(flags, "timeout", document, "timeout"));
  return FillTags(flags, document);
}

}  // namespace

Kind FunctionKind() {
  return {.name = "function",
          .aliases = {"functions", "fn", "fns"},
          .document_kind = "Function",
          .path = "/v1/function",
          .flags = {{.name = "url", .value = "URL", .help = "where it runs"},
                    {.name = "runtime", .value = "NAME", .help = "http (default with --url)"},
                    {.name = "timeout", .value = "DURATION", .help = "of one call"},
                    TagFlag()},
          .fill = Fill,
          .columns = {FieldColumn("NAME", "name"), FieldColumn("RUNTIME", "runtime"),
                      FieldColumn("URL", "url"), FieldColumn("STATUS", "status"),
                      TimeColumn("CREATED", "createdTime")},
          .examples = {"dispatch create function hello --url http://127.0.0.1:9000/hello"}};
}

}  // namespace dispatch::cli
