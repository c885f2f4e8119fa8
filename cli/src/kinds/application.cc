#include "cli/src/kinds/kind.h"

namespace dispatch::cli {

namespace {

Status Fill(const Arguments& flags, const Environment&, json::object& document) {
  return FillTags(flags, document);
}

}  // namespace

Kind ApplicationKind() {
  return {.name = "application",
          .aliases = {"applications", "app", "apps"},
          .document_kind = "Application",
          .path = "/v1/application",
          .flags = {TagFlag()},
          .fill = Fill,
          .columns = {FieldColumn("NAME", "name"), FieldColumn("STATUS", "status"),
                      TimeColumn("CREATED DATE", "createdTime")},
          .examples = {"dispatch create application shop   # then: create function ... -a shop"}};
}

}  // namespace dispatch::cli
