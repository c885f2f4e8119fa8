#pragma once

#include <string>
#include <string_view>

#include "common/clock.h"
#include "common/result.h"

namespace dispatch::schema {

/// RFC 3339 timestamps: "2026-01-02T03:04:05.678Z", with offsets and fractions of any length on
/// input; UTC and milliseconds on output. kInvalidArgument for anything else.
Result<WallTime> ParseRfc3339(std::string_view text);
std::string FormatRfc3339(WallTime time);

}  // namespace dispatch::schema
