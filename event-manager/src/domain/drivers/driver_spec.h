#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/json.h"
#include "common/result.h"

namespace dispatch {

/// What a driver is made of, by its type's image.
enum class DriverKind { kTicker, kCron, kWebhook, kKafka, kPostgres, kExecutable, kContainer };

/// Types that every organisation has without making them: ticker, cron, webhook, kafka, postgres.
struct BuiltInType {
  DriverKind kind;
  const char* name;
  const char* image;    // "builtin/ticker"
  const char* summary;  // for people
};
const std::vector<BuiltInType>& BuiltInTypes();
/// Null when there is none of that name.
const BuiltInType* FindBuiltIn(std::string_view name);

/// What an image of a driver type means: one of the built-in ones, by its own name or because the
/// image is one of VMware's (vmware/dispatch-events-ticker...), the name of an executable, or, when
/// there is a '/', ':' or '@' in it, the reference of a container's image. Else kUnprocessable.
Result<DriverKind> KindOfImage(const std::string& image);

/// Why images are refused where there is no engine, and what to do.
Error NoDriverEngine(const std::string& image);

/// `config` of a type or a driver: keys and values in order, the last of each key counts.
using DriverConfig = std::vector<std::pair<std::string, std::string>>;
DriverConfig ReadConfig(const json::object& document);
/// What the driver runs with: the type's values, and in their place the driver's own.
DriverConfig MergeConfig(const DriverConfig& of_type, const DriverConfig& own);
/// The value of a key, or the fallback.
std::string ConfigValue(const DriverConfig& config, std::string_view key,
                        std::string_view fallback = {});

/// The topic that it emits to: `topic` in its config, "default" else, as POST /v1/event has it.
std::string TopicOf(const DriverConfig& config);

/// Checks the config of a built-in kind: kUnprocessable naming every fault as config.<key>.
/// Executables and images may have any.
Status CheckConfig(DriverKind kind, const DriverConfig& config);

/// How many missed ticks are made up for (`catch-up`).
int64_t CatchUpOf(const DriverConfig& config);

}  // namespace dispatch
