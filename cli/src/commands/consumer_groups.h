#pragma once

#include <string_view>

#include "cli/src/command.h"

namespace dispatch::cli {

/// `get consumer-groups [NAME]`: any group of the Kafka cluster, which nothing here changes.
bool IsConsumerGroups(std::string_view word);
Status GetConsumerGroups(Invocation& invocation);

}  // namespace dispatch::cli
