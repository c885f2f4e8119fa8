#pragma once

#include <string>

#include "common/clock.h"

namespace dispatch::internal {

/// "2026-01-02T03:04:05.678Z" (RFC 3339, milliseconds).
std::string FormatRfc3339(WallTime t);
/// "Fri, 02 Jan 2026 03:04:05 GMT" (RFC 9110, section 5.6.7).
std::string FormatHttpDate(WallTime t);

}  // namespace dispatch::internal
