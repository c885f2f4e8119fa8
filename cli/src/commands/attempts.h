#pragma once

#include <vector>

#include "cli/src/output.h"

namespace dispatch::cli {

/// An attempt as the API tells it, with the first words of the endpoint's answer.
const std::vector<Column>& AttemptColumns();

}  // namespace dispatch::cli
