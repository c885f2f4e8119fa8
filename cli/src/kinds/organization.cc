#include "cli/src/kinds/kind.h"

namespace dispatch::cli {

namespace {

Status Fill(const Arguments& flags, const Environment&, json::object& document) {
  return FillTags(flags, document);
}

}  // namespace

Kind OrganizationKind() {
  return {.name = "organization",
          .aliases = {"organizations", "organisation", "organisations", "org", "orgs"},
          .document_kind = "Organization",
          .path = "/v1/iam/organization",
          .flags = {TagFlag()},
          .fill = Fill,
          .columns = {FieldColumn("NAME", "name"), FieldColumn("STATUS", "status"),
                      TimeColumn("CREATED", "createdTime")},
          .examples = {"dispatch create organization acme"}};
}

}  // namespace dispatch::cli
