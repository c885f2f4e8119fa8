#pragma once

#include <memory>

#include "cli/src/api.h"
#include "cli/src/connection.h"

namespace dispatch::cli {

/// Over HTTP, on connections that are kept.
std::unique_ptr<Api> ConnectApi(Connection connection);

}  // namespace dispatch::cli
