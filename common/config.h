#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace dispatch {

/// A service's settings: one typed table from which the flags (`--kafka-brokers`), the environment
/// (`DISPATCH_KAFKA_BROKERS`), the configuration file (`kafka-brokers = ...` a line) and `--help`
/// all follow. Flags win over the environment, the environment over the file. Unknown names, values
/// out of range and missing required settings are errors that name the setting.
class Config {
 public:
  enum class Type { kString, kInt, kBool, kDuration, kRatio };

  struct Setting {
    std::string name;  // kebab-case
    Type type = Type::kString;
    std::string default_value;  // durations as "30s", "250ms", "5m", "2h"
    std::string help;
    std::string unit = {};
    int64_t min = INT64_MIN;  // kInt; durations in microseconds
    int64_t max = INT64_MAX;
    bool secret = false;                    // never printed
    bool required = false;                  // has no default
    std::string group = {};                 // the heading in --help; empty: the program's own
    std::vector<std::string> choices = {};  // kString: what it may be; empty: anything
  };

  explicit Config(std::string program, std::string summary, std::vector<Setting> settings);

  /// Reads argv, the environment and the file named by --config. `--help` and `--version` are kept
  /// for the caller to ask for.
  Status Load(int argc, const char* const* argv);
  bool help_requested() const { return help_requested_; }
  bool version_requested() const { return version_requested_; }
  std::string Help() const;

  /// The accessors CHECK that the setting exists and has the type.
  const std::string& String(std::string_view name) const;
  int64_t Int(std::string_view name) const;
  double Ratio(std::string_view name) const;  // 0 to 1
  bool Bool(std::string_view name) const;
  std::chrono::microseconds GetDuration(std::string_view name) const;
  /// Tells whether the user gave the setting a value.
  bool IsSet(std::string_view name) const;
  const std::vector<Setting>& settings() const { return settings_; }

 private:
  Status Apply(std::string_view name, std::string value, std::string_view origin);
  Status LoadFile(const std::string& path);
  const Setting* Lookup(std::string_view name) const;
  const Setting& Find(std::string_view name, Type type) const;

  std::string program_;
  std::string summary_;
  std::vector<Setting> settings_;
  std::map<std::string, std::string, std::less<>> values_;
  std::map<std::string, bool, std::less<>> given_;
  bool help_requested_ = false;
  bool version_requested_ = false;
};

/// Parses "250ms", "30s", "5m", "2h", "7d", "100us".
Result<std::chrono::microseconds> ParseDuration(std::string_view text);
std::string FormatDuration(std::chrono::microseconds duration);

/// The settings that every service has: kafka-*, pg-* (when `with_postgres`), service-key-file,
/// admin-listen, replication-factor, log-format, otlp-*, traces-sample-ratio, config,
/// drain-timeout.
std::vector<Config::Setting> CommonSettings(bool with_postgres, std::string_view admin_listen);

}  // namespace dispatch
