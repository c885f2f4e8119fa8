#include "cli/src/kinds/kind.h"

namespace dispatch::cli {

namespace {

Status Fill(const Arguments& flags, const Environment&, json::object& document) {
  if (flags.positionals().size() > 2) document["image"] = flags.positionals()[2];
  if (flags.Has("expose")) document["expose"] = true;
  RETURN_IF_ERROR(FillConfig(flags, document));
  return FillTags(flags, document);
}

}  // namespace

Kind DriverTypeKind() {
  return {.name = "eventdrivertype",
          .aliases = {"eventdrivertypes", "event-driver-type", "event-driver-types"},
          .document_kind = "DriverType",
          .path = "/v1/event/drivertypes",
          .flags = {{.name = "expose", .help = "its drivers are pushed events at a URL"},
                    ConfigFlag(),
                    ApplicationFlag(),
                    TagFlag()},
          .fill = Fill,
          .columns = {FieldColumn("NAME", "name"), FieldColumn("IMAGE", "image"),
                      FieldColumn("EXPOSED", "expose")},
          .examples = {"dispatch create eventdrivertype ticker builtin/ticker",
                       "dispatch create eventdrivertype weather weather-driver --set units=metric"},
          .label = "event driver type",
          .argument = "IMAGE",
          .argument_required = true,
          .deleted_label = "driver types"};
}

}  // namespace dispatch::cli
