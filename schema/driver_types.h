#pragma once

#include <array>
#include <string_view>

#include "common/json.h"

/// The driver types that every organisation has without making them.
namespace dispatch::schema {

inline constexpr std::array<std::string_view, 5> kBuiltInDriverTypes{"ticker", "cron", "webhook",
                                                                     "kafka", "postgres"};

/// The document of one of them.
inline json::object BuiltInDriverType(std::string_view name) {
  return {{"id", "builtin-" + std::string(name)},
          {"name", name},
          {"kind", "DriverType"},
          {"image", "builtin/" + std::string(name)},
          {"expose", name == "webhook"},
          {"config", json::array()},
          {"tags", json::array()},
          {"status", "READY"},
          {"reason", json::array()},
          {"builtIn", true}};
}

}  // namespace dispatch::schema
