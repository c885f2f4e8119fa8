#include "cli/src/commands/consumer_groups.h"

#include <fmt/format.h>

#include "common/json.h"

namespace dispatch::cli {

namespace {

std::string Age(const json::object& partition) {
  const auto* seconds = partition.if_contains("oldestUnreadSeconds");
  return seconds == nullptr
             ? ""
             : fmt::format("{:.0f} s", json::GetDouble(partition, "oldestUnreadSeconds"));
}

// What is not known is a dash: it is no zero.
Column KnownColumn(std::string header, std::string field) {
  return {std::move(header), [field = std::move(field)](const json::object& object) {
            const auto* value = object.if_contains(field);
            return value == nullptr || value->is_null() ? std::string("-") : CellText(*value);
          }};
}

std::string GroupTable(const json::array& groups) {
  return MakeTable({FieldColumn("NAME", "name"), FieldColumn("STATE", "state"),
                    KnownColumn("MEMBERS", "members"), KnownColumn("LAG", "lag")},
                   groups)
      .Render();
}

std::string PartitionTable(const json::value& group) {
  const auto* object = group.if_object();
  const auto* partitions = object != nullptr ? json::GetArray(*object, "partitions") : nullptr;
  return MakeTable({FieldColumn("TOPIC", "topic"),
                    FieldColumn("PARTITION", "partition"),
                    KnownColumn("COMMITTED", "committed"),
                    KnownColumn("END", "end"),
                    KnownColumn("LAG", "lag"),
                    {"OLDEST", Age},
                    KnownColumn("MEMBER", "member")},
                   partitions != nullptr ? *partitions : json::array())
      .Render();
}

}  // namespace

bool IsConsumerGroups(std::string_view word) {
  return word == "consumer-groups" || word == "consumer-group";
}

Status GetConsumerGroups(Invocation& invocation) {
  const auto& words = invocation.arguments.positionals();
  if (words.size() > 2) return UsageError("get consumer-groups takes one name, or none");
  ASSIGN_OR_RETURN(Api * api, invocation.api());
  std::string path = "/v1/consumer-groups";
  if (words.size() == 2) path += "/" + PercentEncode(words[1]);
  ASSIGN_OR_RETURN(auto answer, CallJson(*api, "GET", path));
  invocation.Print(answer, [&] {
    return words.size() == 2   ? PartitionTable(answer)
           : answer.is_array() ? GroupTable(answer.as_array())
                               : std::string();
  });
  return {};
}

}  // namespace dispatch::cli
