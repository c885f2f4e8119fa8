#include "event-manager/src/domain/drivers/driver_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "common/container/spec.h"
#include "event-manager/src/domain/drivers/cron.h"
#include "schema/objects.h"
#include "schema/request_reader.h"

namespace dispatch {

namespace {

constexpr int64_t kDefaultCatchUp = 60;
constexpr int64_t kMaxCatchUp = 10'000;
constexpr int64_t kMaxSeconds = 366 * 86'400;

std::optional<int64_t> Number(std::string_view text) {
  int64_t value = 0;
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Reads a config by key and keeps what is wrong.
class Checker {
 public:
  explicit Checker(const DriverConfig& config) : config_(config) {}

  std::string Text(const char* key, bool required = false) {
    known_.emplace_back(key);
    std::string value = ConfigValue(config_, key);
    if (required && value.empty()) Fault(key, "is required");
    return value;
  }
  void Int(const char* key, int64_t min, int64_t max, bool required = false) {
    std::string text = Text(key, required);
    if (text.empty()) return;
    auto value = Number(text);
    if (value && *value >= min && *value <= max) return;
    Fault(key, fmt::format("must be a whole number from {} to {}", min, max));
  }
  void OneOf(const char* key, std::initializer_list<std::string_view> allowed) {
    std::string text = Text(key);
    if (text.empty() || std::find(allowed.begin(), allowed.end(), text) != allowed.end()) return;
    Fault(key, fmt::format("must be one of {}", fmt::join(allowed, ", ")));
  }
  void Identifier(const char* key, const std::string& text) {
    bool valid = text.size() <= 127 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
                   return std::isalnum(c) != 0 || c == '_' || c == '.';
                 });
    if (!valid) Fault(key, "must be a name of letters, digits, '_' and '.'");
  }
  void Fault(const char* key, std::string reason) {
    faults_.push_back({fmt::format("config.{}", key), std::move(reason)});
  }

  Status Finish() {
    for (const auto& [key, value] : config_) {
      if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
        faults_.push_back(
            {"config." + key, fmt::format("is not known: {} are", fmt::join(known_, ", "))});
      }
    }
    if (faults_.empty()) return {};
    Error error{Code::kUnprocessable, "", false, faults_};
    for (const auto& fault : faults_) {
      error.message += (error.message.empty() ? "" : "; ") + fault.field + " " + fault.reason;
    }
    return error;
  }

 private:
  const DriverConfig& config_;
  std::vector<std::string> known_;
  std::vector<FieldError> faults_;
};

void CheckCron(Checker& checker) {
  std::string zone_name = checker.Text("timezone");
  auto zone = Zone::Named(zone_name.empty() ? "UTC" : zone_name);
  if (!zone.ok()) {
    checker.Text("cron", true);
    return checker.Fault("timezone", zone.message());
  }
  std::string text = checker.Text("cron", true);
  if (text.empty()) return;
  auto spec = CronSpec::Parse(text, *zone);
  if (!spec.ok()) return checker.Fault("cron", spec.message());
  if (!spec->Next(0, 0)) checker.Fault("cron", "never comes");
}

void CheckKafka(Checker& checker) {
  std::string source = checker.Text("source", true);
  std::string brokers = checker.Text("brokers");
  if (!source.empty() && brokers.empty() && !schema::IsTopicName(source)) {
    checker.Fault("source", "must be the name of a topic of the organization");
  }
  if (!source.empty() && brokers.empty() && source == TopicOf({}) &&
      checker.Text("topic").empty()) {
    checker.Fault("source", "is the topic that it would emit to");
  }
  checker.OneOf("start", {"earliest", "latest"});
  checker.OneOf("security", {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl"});
  checker.OneOf("mechanism", {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"});
  if (source == checker.Text("topic") && brokers.empty() && !source.empty()) {
    checker.Fault("topic", "must not be the source");
  }
}

void CheckPostgres(Checker& checker) {
  // Objects are read by many, secrets by none.
  std::string url = checker.Text("url");
  size_t at = url.find('@');
  size_t user = url.find("://");
  bool in_user = user != url.npos && at != url.npos && url.find(':', user + 3) < at;
  if (in_user || url.find("password") != url.npos) {
    checker.Fault("url", "must have no password: put that into a secret, under `password`");
  }
  std::string table = checker.Text("table");
  std::string channel = checker.Text("channel");
  checker.Identifier("table", table);
  checker.Identifier("channel", channel);
  std::string mark = checker.Text("mark");
  checker.Identifier("mark", mark);
  checker.Identifier("key", checker.Text("key"));
  if (table.empty() && channel.empty()) {
    checker.Fault("table", "or channel is required: an outbox table, a channel of NOTIFY, or both");
  }
  checker.Int("poll", 1, 3600);
}

}  // namespace

const std::vector<BuiltInType>& BuiltInTypes() {
  static const std::vector<BuiltInType> types = {
      {DriverKind::kTicker, "ticker", "builtin/ticker", "an event every so many seconds"},
      {DriverKind::kCron, "cron", "builtin/cron", "events at the times of a cron specification"},
      {DriverKind::kWebhook, "webhook", "builtin/webhook", "events pushed at a URL with a token"},
      {DriverKind::kKafka, "kafka", "builtin/kafka", "the records of another topic or cluster"},
      {DriverKind::kPostgres, "postgres", "builtin/postgres",
       "an outbox table or NOTIFY of a PostgreSQL database"}};
  return types;
}

const BuiltInType* FindBuiltIn(std::string_view name) {
  for (const BuiltInType& type : BuiltInTypes()) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

Result<DriverKind> KindOfImage(const std::string& image) {
  for (const BuiltInType& type : BuiltInTypes()) {
    if (image == type.image) return type.kind;
  }
  if (image.find_first_of("/:@") == std::string::npos) {
    bool hidden = image.starts_with('.');
    bool name = !image.empty() && !hidden && image.size() <= 128 &&
                std::all_of(image.begin(), image.end(), [](unsigned char c) {
                  return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
                });
    if (name) return DriverKind::kExecutable;
    return Error{Code::kUnprocessable,
                 "image must be the name of an executable, without a path",
                 false,
                 {{"image", "must be a file name"}}};
  }
  // VMware's: dispatchframework/dispatch-events-ticker:0.1, kars7e/timer:latest.
  std::string last = image.substr(image.rfind('/') + 1);
  last = last.substr(0, last.find_first_of(":@"));
  constexpr std::pair<const char*, DriverKind> kKnown[] = {
      {"ticker", DriverKind::kTicker},
      {"timer", DriverKind::kTicker},
      {"cron", DriverKind::kCron},
      {"cloudevents", DriverKind::kWebhook},
      {"azure-eventgrid", DriverKind::kWebhook}};
  constexpr const char* kBefore[] = {"", "events-", "event-driver-", "dispatch-events-",
                                     "dispatch-event-driver-"};
  for (const auto& [word, kind] : kKnown) {
    for (const char* before : kBefore) {
      if (last == std::string(before) + word) return kind;
    }
  }
  if (Status good = container::CheckImageReference(image); !good.ok()) {
    return Error{Code::kUnprocessable, good.message(), false, {{"image", good.message()}}};
  }
  return DriverKind::kContainer;
}

Error NoDriverEngine(const std::string& image) {
  return {Code::kUnprocessable,
          fmt::format("image '{}' cannot be run: there is no container engine here, the operator "
                      "has not set drivers-engine-socket. Name an executable of the setting "
                      "drivers-dir, or a built-in type (builtin/ticker, cron, webhook, kafka, "
                      "postgres)",
                      image),
          false,
          {{"image", "must be an executable or a built-in type"}}};
}

DriverConfig ReadConfig(const json::object& document) {
  DriverConfig config;
  const auto* entries = json::GetArray(document, "config");
  for (const auto& entry : entries != nullptr ? *entries : json::array()) {
    const auto* object = entry.if_object();
    if (object == nullptr) continue;
    config.emplace_back(json::GetString(*object, "key"), json::GetString(*object, "value"));
  }
  return config;
}

DriverConfig MergeConfig(const DriverConfig& of_type, const DriverConfig& own) {
  DriverConfig merged;
  auto put = [&](const DriverConfig& from) {
    for (const auto& [key, value] : from) {
      auto same = std::find_if(merged.begin(), merged.end(),
                               [&, name = &key](const auto& e) { return e.first == *name; });
      if (same == merged.end()) {
        merged.emplace_back(key, value);
      } else {
        same->second = value;
      }
    }
  };
  put(of_type);
  put(own);
  return merged;
}

std::string ConfigValue(const DriverConfig& config, std::string_view key,
                        std::string_view fallback) {
  for (auto it = config.rbegin(); it != config.rend(); ++it) {
    if (it->first == key) return it->second;
  }
  return std::string(fallback);
}

std::string TopicOf(const DriverConfig& config) {
  std::string topic = ConfigValue(config, "topic");
  return topic.empty() ? "default" : topic;
}

Status CheckConfig(DriverKind kind, const DriverConfig& config) {
  if (kind == DriverKind::kExecutable || kind == DriverKind::kContainer) {
    if (schema::IsTopicName(TopicOf(config))) return {};
    return Error{Code::kUnprocessable,
                 "config.topic must be the name of a topic",
                 false,
                 {{"config.topic", "must be the name of a topic"}}};
  }
  Checker checker(config);
  std::string topic = checker.Text("topic");
  if (!topic.empty() && !schema::IsTopicName(topic)) {
    checker.Fault("topic", "must be the name of a topic");
  }
  switch (kind) {
    case DriverKind::kTicker:
      checker.Int("seconds", 1, kMaxSeconds);
      checker.Int("catch-up", 0, kMaxCatchUp);
      break;
    case DriverKind::kCron:
      CheckCron(checker);
      checker.Int("catch-up", 0, kMaxCatchUp);
      break;
    case DriverKind::kWebhook:
      checker.Text("type");
      checker.Text("origins");
      break;
    case DriverKind::kKafka:
      CheckKafka(checker);
      break;
    case DriverKind::kPostgres:
      CheckPostgres(checker);
      break;
    case DriverKind::kExecutable:
    case DriverKind::kContainer:
      break;
  }
  return checker.Finish();
}

int64_t CatchUpOf(const DriverConfig& config) {
  return Number(ConfigValue(config, "catch-up")).value_or(kDefaultCatchUp);
}

}  // namespace dispatch
