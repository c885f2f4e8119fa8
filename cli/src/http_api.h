#pragma once

#include <memory>
#include <string>

#include "cli/src/api.h"
#include "cli/src/connection.h"

namespace dispatch::cli {

/// Over HTTP, on connections that are kept.
std::unique_ptr<Api> ConnectApi(Connection connection);

/// What is at a URL, up to 16 MB, without any key; redirects are not followed.
Result<std::string> Fetch(const std::string& url);

}  // namespace dispatch::cli
