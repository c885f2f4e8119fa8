#include "cli/src/kinds/kind.h"

namespace dispatch::cli {

namespace {

Status Fill(const Arguments& flags, const Environment&, json::object& document) {
  if (flags.positionals().size() > 2) document["dockerUrl"] = flags.positionals()[2];
  FillText(flags, "language", document, "language");
  return FillTags(flags, document);
}

}  // namespace

Kind BaseImageKind() {
  return {.name = "base-image",
          .aliases = {"base-images", "baseimages"},
          .document_kind = "BaseImage",
          .path = "/v1/baseimage",
          .flags = {{.name = "language",
                     .value = "LANGUAGE",
                     .help = "python3, nodejs, java, powershell or binary; default: what the "
                             "image's name says"},
                    ApplicationFlag(),
                    TagFlag()},
          .fill = Fill,
          .columns = {FieldColumn("NAME", "name"), FieldColumn("URL", "dockerUrl"),
                      FieldColumn("LANGUAGE", "language"), FieldColumn("STATUS", "status"),
                      TimeColumn("CREATED DATE", "createdTime")},
          .examples = {"dispatch create base-image python3-base "
                       "dispatchframework/python3-base:0.0.13 --language python3"},
          .label = "base image",
          .argument = "IMAGE_URL",
          .argument_required = true};
}

}  // namespace dispatch::cli
