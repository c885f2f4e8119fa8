#include "common/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <optional>

#include "common/check.h"
#include "common/clock.h"

namespace dispatch {

namespace po = boost::program_options;

namespace {

struct DurationUnit {
  std::string_view suffix;
  int64_t micros;
};
constexpr DurationUnit kDurationUnits[] = {
    {"us", 1},           {"ms", 1'000},          {"s", 1'000'000},
    {"m", 60'000'000LL}, {"h", 3'600'000'000LL}, {"d", 86'400'000'000LL},
};

std::optional<int64_t> ParseInt(std::string_view text) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

std::optional<double> ParseRatio(std::string_view text) {
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  if (!(value >= 0 && value <= 1)) return {};
  return value;
}

std::string_view TypeName(Config::Type type) {
  switch (type) {
    case Config::Type::kString:
      return "text";
    case Config::Type::kInt:
      return "number";
    case Config::Type::kBool:
      return "true|false";
    case Config::Type::kDuration:
      return "duration";
    case Config::Type::kRatio:
      return "0 to 1";
  }
  return "text";
}

std::string EnvironmentName(std::string_view name) {
  std::string out = "DISPATCH_";
  for (char c : name) out += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return out;
}

// What is wrong with a value of a setting; empty when nothing. Never repeats a secret.
std::string Problem(const Config::Setting& setting, const std::string& value) {
  std::string shown = setting.secret ? "the value" : fmt::format("'{}'", value);
  auto outside = [&](int64_t v) { return v < setting.min || v > setting.max; };
  switch (setting.type) {
    case Config::Type::kString:
      if (setting.choices.empty() || std::find(setting.choices.begin(), setting.choices.end(),
                                               value) != setting.choices.end()) {
        return {};
      }
      return fmt::format("{} is none of {}", shown, fmt::join(setting.choices, ", "));
    case Config::Type::kBool:
      if (value == "true" || value == "false") return {};
      return fmt::format("{} is neither true nor false", shown);
    case Config::Type::kInt: {
      auto number = ParseInt(value);
      if (!number) return fmt::format("{} is not a whole number", shown);
      if (!outside(*number)) return {};
      return fmt::format("{} is outside {} to {}", shown, setting.min, setting.max);
    }
    case Config::Type::kDuration: {
      auto duration = ParseDuration(value);
      if (!duration.ok()) return fmt::format("{} is not a duration such as 250ms, 30s, 5m", shown);
      if (!outside(duration->count())) return {};
      return fmt::format("{} is outside {} to {}", shown, FormatDuration(Duration(setting.min)),
                         FormatDuration(Duration(setting.max)));
    }
    case Config::Type::kRatio:
      if (ParseRatio(value)) return {};
      return fmt::format("{} is no number from 0 to 1, such as 0.01", shown);
  }
  return {};
}

// Words of `text` in lines of at most `width`, each but the first after `indent` spaces.
std::string Wrap(const std::string& text, size_t indent, size_t width) {
  std::string out;
  size_t column = indent;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find(' ', at), text.size());
    size_t length = end - at;
    if (column > indent && column + 1 + length > width) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += ' ';
      ++column;
    }
    out.append(text, at, length);
    column += length;
    at = end + 1;
  }
  return out;
}

std::string Trim(std::string_view text) {
  size_t first = text.find_first_not_of(" \t\r");
  if (first == text.npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r") - first + 1));
}

}  // namespace

Result<std::chrono::microseconds> ParseDuration(std::string_view text) {
  size_t digits = text.find_first_not_of("0123456789");
  auto number = ParseInt(text.substr(0, digits));
  if (number && digits != text.npos) {
    for (const auto& unit : kDurationUnits) {
      if (text.substr(digits) != unit.suffix) continue;
      if (*number > INT64_MAX / unit.micros) break;
      return std::chrono::microseconds(*number * unit.micros);
    }
  }
  return {
      Code::kInvalidArgument,
      fmt::format("'{}' is not a duration; write a whole number and us, ms, s, m, h or d", text)};
}

std::string FormatDuration(std::chrono::microseconds duration) {
  int64_t micros = duration.count();
  if (micros == 0) return "0s";
  for (size_t i = std::size(kDurationUnits); i-- > 0;) {
    const auto& unit = kDurationUnits[i];
    if (micros % unit.micros == 0) return fmt::format("{}{}", micros / unit.micros, unit.suffix);
  }
  return fmt::format("{}us", micros);
}

Config::Config(std::string program, std::string summary, std::vector<Setting> settings)
    : program_(std::move(program)), summary_(std::move(summary)), settings_(std::move(settings)) {
  for (const Setting& setting : settings_) {
    DISPATCH_CHECK(values_.try_emplace(setting.name, setting.default_value).second);
    DISPATCH_CHECK(setting.required || setting.default_value.empty() ||
                   Problem(setting, setting.default_value).empty());
  }
}

const Config::Setting* Config::Lookup(std::string_view name) const {
  for (const Setting& setting : settings_) {
    if (setting.name == name) return &setting;
  }
  return nullptr;
}

Status Config::Apply(std::string_view name, std::string value, std::string_view origin) {
  const Setting* setting = Lookup(name);
  if (setting == nullptr) {
    std::string near;
    for (const Setting& other : settings_) {
      if (other.name.find(name) != std::string::npos || name.find(other.name) != name.npos) {
        near = fmt::format("; is '{}' meant?", other.name);
      }
    }
    return {Code::kInvalidArgument,
            fmt::format("there is no setting '{}' ({}){}; `{} --help` lists them", name, origin,
                        near, program_)};
  }
  std::string problem = Problem(*setting, value);
  if (!problem.empty()) {
    return {Code::kInvalidArgument, fmt::format("setting '{}' ({}): {}", name, origin, problem)};
  }
  values_[setting->name] = std::move(value);
  given_[setting->name] = true;
  return OkStatus();
}

Status Config::LoadFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return {Code::kInvalidArgument,
            fmt::format("setting 'config': the file '{}' cannot be read", path)};
  }
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    std::string text = Trim(line);
    if (text.empty() || text[0] == '#') continue;
    size_t equals = text.find('=');
    std::string origin = fmt::format("{} line {}", path, number);
    if (equals == std::string::npos) {
      return {Code::kInvalidArgument, fmt::format("{}: write `name = value`", origin)};
    }
    std::string_view view = text;
    RETURN_IF_ERROR(Apply(Trim(view.substr(0, equals)), Trim(view.substr(equals + 1)), origin));
  }
  return OkStatus();
}

Status Config::Load(int argc, const char* const* argv) {
  po::options_description flags;
  flags.add_options()("help,h", "")("version", "");
  for (const Setting& setting : settings_) {
    auto* text = po::value<std::string>();
    if (setting.type == Type::kBool) text->implicit_value("true");
    flags.add_options()(setting.name.c_str(), text, "");
  }
  std::vector<po::option> options;
  try {
    // No guessing of abbreviated names: a later setting would change their meaning.
    using po::command_line_style::allow_guessing;
    using po::command_line_style::unix_style;
    options = po::command_line_parser(argc, argv)
                  .options(flags)
                  .style(unix_style & ~allow_guessing)
                  .allow_unregistered()
                  .run()
                  .options;
  } catch (const po::error& error) {
    return {Code::kInvalidArgument,
            fmt::format("{}; `{} --help` lists the settings", error.what(), program_)};
  }
  for (const auto& option : options) {
    if (option.string_key == "help") help_requested_ = true;
    if (option.string_key == "version") version_requested_ = true;
  }
  if (help_requested_ || version_requested_) return OkStatus();

  auto from_flags = [&](std::string_view only) -> Status {
    for (const auto& option : options) {
      if (!only.empty() && option.string_key != only) continue;
      if (option.position_key >= 0) {
        return {Code::kInvalidArgument,
                fmt::format("unexpected argument '{}'", option.value.at(0))};
      }
      std::string name = option.string_key;
      if (option.unregistered && name.starts_with("--")) name.erase(0, 2);
      // Only a boolean flag may stand alone.
      RETURN_IF_ERROR(Apply(name, option.value.empty() ? "true" : option.value[0], "command line"));
    }
    return OkStatus();
  };
  auto from_environment = [&](std::string_view only) -> Status {
    for (const Setting& setting : settings_) {
      if (!only.empty() && setting.name != only) continue;
      std::string variable = EnvironmentName(setting.name);
      const char* value = std::getenv(variable.c_str());
      if (value != nullptr) RETURN_IF_ERROR(Apply(setting.name, value, variable));
    }
    return OkStatus();
  };
  // The weaker source first; what names the file is needed before the file.
  if (Lookup("config") != nullptr) {
    RETURN_IF_ERROR(from_environment("config"));
    RETURN_IF_ERROR(from_flags("config"));
    std::string path = values_["config"];
    if (!path.empty()) RETURN_IF_ERROR(LoadFile(path));
  }
  RETURN_IF_ERROR(from_environment(""));
  RETURN_IF_ERROR(from_flags(""));
  for (const Setting& setting : settings_) {
    if (!setting.required || !values_[setting.name].empty()) continue;
    return {Code::kInvalidArgument,
            fmt::format("setting '{}' is required: give --{} or {}", setting.name, setting.name,
                        EnvironmentName(setting.name))};
  }
  return OkStatus();
}

std::string Config::Help() const {
  std::vector<std::pair<std::string, std::vector<const Setting*>>> groups;
  size_t widest = std::string_view("--version").size();
  auto label = [](const Setting& s) {
    return fmt::format("--{} {}", s.name, s.unit.empty() ? TypeName(s.type) : s.unit);
  };
  for (const Setting& setting : settings_) {
    auto group = std::find_if(groups.begin(), groups.end(),
                              [&](const auto& g) { return g.first == setting.group; });
    if (group == groups.end()) {
      // The program's own settings come first.
      group =
          groups.insert(setting.group.empty() ? groups.begin() : groups.end(), {setting.group, {}});
    }
    group->second.push_back(&setting);
    widest = std::max(widest, label(setting).size());
  }
  const size_t indent = widest + 4;
  std::string out = fmt::format("{} - {}\n\nUsage: {} [settings]\n", program_, summary_, program_);
  for (const auto& [name, settings] : groups) {
    out += fmt::format("\n{}:\n", name.empty() ? "Settings" : name);
    for (const Setting* s : settings) {
      std::string help = s->help;
      if (s->required) {
        help += " [required]";
      } else if (s->secret) {
        help += " [secret]";
      } else if (!s->default_value.empty()) {
        help += fmt::format(" [{}]", s->default_value);
      }
      out += fmt::format("  {:<{}}  {}\n", label(*s), widest, Wrap(help, indent, 110));
    }
  }
  out += fmt::format("\nOther:\n  {:<{}}  {}\n  {:<{}}  {}\n", "--help", widest,
                     "print this and exit", "--version", widest, "print the version and exit");
  out +=
      "\nEach setting is also read from the environment, as DISPATCH_KAFKA_BROKERS for\n"
      "--kafka-brokers, and from the file named by --config, a line `kafka-brokers = ...` each.\n"
      "Flags win over the environment, the environment over the file.\n";
  return out;
}

const Config::Setting& Config::Find(std::string_view name, Type type) const {
  const Setting* setting = Lookup(name);
  DISPATCH_CHECK(setting != nullptr);
  DISPATCH_CHECK(setting->type == type);
  return *setting;
}

const std::string& Config::String(std::string_view name) const {
  return values_.find(Find(name, Type::kString).name)->second;
}

int64_t Config::Int(std::string_view name) const {
  return ParseInt(values_.find(Find(name, Type::kInt).name)->second).value_or(0);
}

double Config::Ratio(std::string_view name) const {
  return ParseRatio(values_.find(Find(name, Type::kRatio).name)->second).value_or(0);
}

bool Config::Bool(std::string_view name) const {
  return values_.find(Find(name, Type::kBool).name)->second == "true";
}

std::chrono::microseconds Config::GetDuration(std::string_view name) const {
  auto duration = ParseDuration(values_.find(Find(name, Type::kDuration).name)->second);
  return duration.ok() ? *duration : Duration::zero();
}

bool Config::IsSet(std::string_view name) const {
  DISPATCH_CHECK(Lookup(name) != nullptr);
  return given_.contains(name);
}

}  // namespace dispatch
