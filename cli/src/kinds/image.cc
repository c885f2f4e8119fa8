#include "cli/src/kinds/kind.h"

namespace dispatch::cli {

namespace {

Status Fill(const Arguments& flags, const Environment&, json::object& document) {
  if (flags.positionals().size() > 2) document["baseImageName"] = flags.positionals()[2];
  if (auto file = flags.Value("system-deps")) {
    ASSIGN_OR_RETURN(auto text, ReadFile(*file));
    ASSIGN_OR_RETURN(document["systemDependencies"], JsonOf("system-deps", text));
  }
  if (auto file = flags.Value("runtime-deps")) {
    ASSIGN_OR_RETURN(auto text, ReadFile(*file));
    document["runtimeDependencies"] = {{"manifest", text}};
  }
  return FillTags(flags, document);
}

}  // namespace

Kind ImageKind() {
  return {.name = "image",
          .aliases = {"images"},
          .document_kind = "Image",
          .path = "/v1/image",
          .flags = {{.name = "system-deps",
                     .value = "FILE",
                     .help = "JSON: {\"packages\": [{\"name\", \"version\"}]}"},
                    {.name = "runtime-deps",
                     .value = "FILE",
                     .help = "requirements.txt, package.json or pom.xml"},
                    ApplicationFlag(),
                    TagFlag()},
          .fill = Fill,
          .columns = {FieldColumn("NAME", "name"), FieldColumn("URL", "dockerUrl"),
                      FieldColumn("BASEIMAGE", "baseImageName"), FieldColumn("STATUS", "status"),
                      TimeColumn("CREATED DATE", "createdTime")},
          .examples = {"dispatch create image python3 python3-base",
                       "dispatch create image web python3-base --runtime-deps requirements.txt"},
          .argument = "BASE_IMAGE",
          .argument_required = true};
}

}  // namespace dispatch::cli
