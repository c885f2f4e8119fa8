#include "cli/src/kinds/kind.h"

namespace dispatch::cli {

namespace {

Status Fill(const Arguments& flags, const Environment&, json::object& document) {
  ASSIGN_OR_RETURN(auto partitions, flags.Int("partitions", 1, 256));
  if (partitions) document["partitions"] = *partitions;
  ASSIGN_OR_RETURN(auto bytes, flags.Int("retention-bytes", 1, int64_t{1} << 50));
  if (bytes || flags.Has("retention")) {
    json::value& retention = document["retention"];
    if (!retention.is_object()) retention = json::object();
    RETURN_IF_ERROR(FillDuration(flags, "retention", retention.as_object(), "time"));
    if (bytes) retention.as_object()["bytes"] = *bytes;
  }
  return FillTags(flags, document);
}

std::string Retention(const json::object& topic) {
  const auto* retention = json::GetObject(topic, "retention");
  if (retention == nullptr) return "";
  std::string text = json::GetString(*retention, "time");
  if (int64_t bytes = json::GetInt(*retention, "bytes"); bytes > 0) {
    text += (text.empty() ? "" : ", ") + std::to_string(bytes) + " B";
  }
  return text;
}

}  // namespace

Kind TopicKind() {
  return {.name = "topic",
          .aliases = {"topics"},
          .document_kind = "Topic",
          .path = "/v1/topics",
          .flags = {{.name = "partitions", .value = "N", .help = "how many (default 4)"},
                    {.name = "retention",
                     .value = "DURATION",
                     .help = "how long events are kept (default 7d)"},
                    {.name = "retention-bytes",
                     .value = "N",
                     .help = "at most so many bytes of each partition"},
                    TagFlag()},
          .fill = Fill,
          .columns = {FieldColumn("NAME", "name"),
                      FieldColumn("PARTITIONS", "partitions"),
                      {"RETENTION", Retention},
                      FieldColumn("STATUS", "status"),
                      TimeColumn("CREATED", "createdTime")},
          .examples = {"dispatch create topic orders --partitions 4 --retention 7d"}};
}

}  // namespace dispatch::cli
