#include <fmt/format.h>

#include <cctype>

#include "cli/src/kinds/kind.h"

namespace dispatch::cli {

namespace {

Status FillFilters(const Arguments& flags, json::object& document) {
  json::array filters;
  for (const std::string& text : flags.All("filter")) {
    // No CESQL expression begins with a brace or a bracket.
    size_t first = text.find_first_not_of(" \t\r\n");
    if (first == std::string::npos) return UsageError("--filter is empty");
    if (text[first] != '{' && text[first] != '[') {
      filters.push_back(json::object{{"sql", text}});
      continue;
    }
    ASSIGN_OR_RETURN(auto filter, JsonOf("filter", text));
    if (!filter.is_object()) {
      return UsageError("--filter is a JSON object or a CESQL expression, one for each filter");
    }
    filters.push_back(std::move(filter));
  }
  if (!filters.empty() || flags.Has("all-events")) document["filters"] = std::move(filters);
  if (flags.Has("all-events")) document.erase("eventType");
  FillText(flags, "event-type", document, "eventType");
  return {};
}

Status FillTarget(const Arguments& flags, json::object& document) {
  if (auto function = flags.Value("function")) {
    document["function"] = *function;
    document.erase("sink");
  }
  if (!flags.Has("sink-url") && !flags.Has("sink-mode") && !flags.Has("sink-header") &&
      !flags.Has("sink-auth") && !flags.Has("sink-signing") && !flags.Has("sink-http") &&
      !flags.Has("sink-handshake"))
    return {};
  document.erase("function");
  json::value& sink = document["sink"];
  if (!sink.is_object()) sink = json::object();
  FillText(flags, "sink-url", sink.as_object(), "url");
  FillText(flags, "sink-mode", sink.as_object(), "mode");
  FillText(flags, "sink-http", sink.as_object(), "http");
  if (flags.Has("sink-handshake")) sink.as_object()["handshake"] = true;
  for (const char* field : {"auth", "signing"}) {
    auto secret = flags.Value(std::string("sink-") + field);
    if (secret) sink.as_object()[field] = json::object{{"secret", *secret}};
  }
  for (const std::string& header : flags.All("sink-header")) {
    size_t colon = header.find(':');
    if (colon == std::string::npos) {
      return UsageError(fmt::format("--sink-header is 'NAME: VALUE', not '{}'", header));
    }
    size_t value = header.find_first_not_of(' ', colon + 1);
    json::value& headers = sink.as_object()["headers"];
    if (!headers.is_object()) headers = json::object();
    headers.as_object()[header.substr(0, colon)] =
        value == std::string::npos ? "" : header.substr(value);
  }
  return {};
}

Status FillRate(const Arguments& flags, json::object& document) {
  auto rate = flags.Value("rate-limit");
  if (!rate) return {};
  ASSIGN_OR_RETURN(document["rateLimit"], RateOf("rate-limit", *rate));
  return {};
}

// A word, a time, or JSON.
Status FillStart(const Arguments& flags, json::object& document) {
  auto start = flags.Value("start");
  if (!start) return {};
  if (start->starts_with('{')) {
    ASSIGN_OR_RETURN(document["start"], JsonOf("start", *start));
  } else if (*start == "latest" || *start == "earliest") {
    document["start"] = *start;
  } else {
    document["start"] = {{"time", *start}};
  }
  return {};
}

Status Fill(const Arguments& flags, const Environment&, json::object& document) {
  FillText(flags, "topic", document, "topic");
  FillText(flags, "dead-letter-topic", document, "deadLetterTopic");
  FillText(flags, "reply-topic", document, "replyTopic");
  RETURN_IF_ERROR(FillFilters(flags, document));
  RETURN_IF_ERROR(FillTarget(flags, document));
  RETURN_IF_ERROR(FillStart(flags, document));
  ASSIGN_OR_RETURN(auto in_flight, flags.Int("max-in-flight", 1, 10'000));
  if (in_flight) document["maxInFlight"] = *in_flight;
  FillText(flags, "ordering", document, "ordering");
  FillText(flags, "on-failure", document, "onFailure");
  FillText(flags, "history", document, "history");
  RETURN_IF_ERROR(FillRate(flags, document));
  RETURN_IF_ERROR(FillDuration(flags, "timeout", document, "timeout"));
  if (auto retry = flags.Value("retry")) {
    ASSIGN_OR_RETURN(document["retry"], JsonOf("retry", *retry));
  }
  if (flags.Has("paused")) document["paused"] = true;
  if (auto secrets = flags.All("secret"); !secrets.empty()) {
    json::array names;
    for (const std::string& secret : secrets) names.emplace_back(secret);
    document["secrets"] = std::move(names);
  }
  return FillTags(flags, document);
}

std::string Target(const json::object& subscription) {
  if (const auto* sink = json::GetObject(subscription, "sink")) {
    return json::GetString(*sink, "url");
  }
  std::string function = json::GetString(subscription, "function");
  return function.empty() ? "" : "function " + function;
}

std::string Takes(const json::object& subscription) {
  std::string text = json::GetString(subscription, "eventType");
  const auto* filters = json::GetArray(subscription, "filters");
  if (filters == nullptr) return text;
  if (filters->empty() && text.empty()) return "all events";
  if (filters->empty()) return text;
  return fmt::format("{}{}{} filter{}", text, text.empty() ? "" : " + ", filters->size(),
                     filters->size() == 1 ? "" : "s");
}

std::string StatusText(const json::object& subscription) {
  bool paused = json::GetBool(subscription, "paused");
  std::string status = json::GetString(subscription, "status");
  return paused ? status + ", paused" : status;
}

}  // namespace

Kind SubscriptionKind() {
  return {
      .name = "subscription",
      .aliases = {"subscriptions", "sub", "subs"},
      .document_kind = "Subscription",
      .path = "/v1/subscriptions",
      .flags = {{.name = "topic", .value = "NAME", .help = "whose events (default: default)"},
                {.name = "event-type", .value = "TYPE", .help = "events of exactly this type"},
                {.name = "filter",
                 .value = "CESQL|JSON",
                 .help = "an expression, or {\"exact\": ...}, prefix, suffix, all, any, not, sql, "
                         "data; all must hold",
                 .repeatable = true},
                {.name = "all-events", .help = "every event of the topic"},
                {.name = "sink-url", .value = "URL", .help = "where they are posted to"},
                {.name = "sink-mode",
                 .value = "binary|structured|batch",
                 .help = "how (default binary)"},
                {.name = "sink-http",
                 .value = "1.1|2",
                 .help = "version of HTTP (default: what TLS agrees on, else 1.1)"},
                {.name = "sink-handshake",
                 .help = "ask the endpoint for its permission first (WebHook-Request-Origin)"},
                {.name = "sink-auth", .value = "SECRET", .help = "whose credentials go along"},
                {.name = "sink-signing", .value = "SECRET", .help = "whose keys sign each request"},
                {.name = "sink-header",
                 .value = "'NAME: VALUE'",
                 .help = "sent along",
                 .repeatable = true},
                {.name = "function",
                 .value = "NAME",
                 .help = "the function that gets them instead"},
                {.name = "max-in-flight", .value = "N", .help = "deliveries at once (default 512)"},
                {.name = "ordering",
                 .value = "none|key",
                 .help = "key: those of a partition key one at a time, in order"},
                {.name = "history",
                 .value = "WHICH",
                 .help = "attempts that are kept beside failures: all, window (the default) or "
                         "failures, which is none"},
                {.name = "on-failure",
                 .value = "block|park",
                 .help = "ordered: wait behind a failing event (default), or set it aside soon"},
                {.name = "rate-limit", .value = "N/TIME", .help = "no faster than, as in 100/s"},
                {.name = "dead-letter-topic",
                 .value = "TOPIC",
                 .help = "write dead letters there too, as events"},
                {.name = "reply-topic",
                 .value = "TOPIC",
                 .help = "publish events that come in answers there"},
                {.name = "timeout", .value = "DURATION", .help = "of one attempt (default 30s)"},
                {.name = "retry",
                 .value = "JSON",
                 .help = "maxAttempts, minBackoff, factor, maxBackoff, maxAge, jitter"},
                {.name = "start",
                 .value = "WHERE",
                 .help = "latest (default), earliest, a time, or {\"offsets\": [...]}"},
                {.name = "paused", .help = "make it paused"},
                {.name = "secret",
                 .value = "SECRET",
                 .help = "a secret that runs of its function are given",
                 .repeatable = true},
                {.name = "name",
                 .value = "NAME",
                 .help = "VMware's form: create subscription FUNCTION --name NAME --event-type "
                         "TYPE"},
                ApplicationFlag(),
                TagFlag()},
      .fill = Fill,
      .columns = {FieldColumn("NAME", "name"),
                  FieldColumn("TOPIC", "topic"),
                  {"EVENTS", Takes},
                  {"TARGET", Target},
                  {"STATUS", StatusText},
                  TimeColumn("CREATED", "createdTime")},
      .examples = {"dispatch create subscription orders-demo --topic orders --event-type "
                   "order.created \\\n    --sink-url http://127.0.0.1:9000/",
                   "dispatch create sub big --topic orders --sink-url https://example.com/hook \\\n"
                   "    --filter '{\"prefix\": {\"type\": \"order.\"}}' --start earliest",
                   "dispatch create sub urgent --sink-url https://example.com/hook \\\n"
                   "    --filter \"type LIKE 'order.%' AND priority > 5\" \\\n"
                   "    --filter '{\"data\": {\"/order/total\": {\"gte\": 100}}}'"}};
}

}  // namespace dispatch::cli
