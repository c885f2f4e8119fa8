#include "function-manager/src/adapters/http_functions.h"

#include <fmt/format.h>

#include "function-manager/src/domain/function_answer.h"
#include "function-manager/src/domain/run.h"
#include "schema/objects.h"
#include "schema/rfc3339.h"

namespace dispatch {

namespace {

constexpr char kHttp[] = "http";
constexpr size_t kMostAnswerBytes = 1024 * 1024;
constexpr Duration kOwnState = std::chrono::seconds(1);
constexpr Duration kLookAgain = std::chrono::milliseconds(10);
constexpr std::chrono::milliseconds kNoTimeout = std::chrono::hours(1);

RunOutcome Failed(const char* type, std::string message) {
  RunOutcome outcome;
  outcome.error = RunError{type, std::move(message), {}};
  return outcome;
}

RunOutcome OutcomeOf(const http::Client::Outcome& answer) {
  if (answer.failure == http::FailureKind::kTimeout) {
    return Failed(kFunctionError, "Function execution exceeded the timeout");
  }
  if (answer.failure != http::FailureKind::kNone) {
    return Failed(kSystemError, fmt::format("the function's URL was not reached ({}): {}",
                                            http::FailureKindName(answer.failure), answer.message));
  }
  if (answer.response.status != 200) {
    return Failed(kSystemError, fmt::format("the function's URL answered {} in place of 200",
                                            answer.response.status));
  }
  if (answer.response.truncated) {
    return Failed(kFunctionError, "the function's answer is longer than 1 MiB");
  }
  return ReadFunctionAnswer(answer.response.body, "the function's URL").outcome;
}

}  // namespace

void HttpFunctionCatalog::Find(const std::string& org, const std::string& name, Done done) {
  FindUntil(org, name, loop_.Steady() + kOwnState, std::move(done));
}

void HttpFunctionCatalog::FindUntil(const std::string& org, const std::string& name,
                                    SteadyTime deadline, Done done) {
  auto entity = functions_.Find(schema::kFunctionKind, org + "/" + name);
  if (entity == nullptr && loop_.Steady() < deadline) {
    loop_.After(kLookAgain,
                [this, alive = std::weak_ptr(alive_), org, name, deadline, done = std::move(done)] {
                  if (!alive.expired()) FindUntil(org, name, deadline, done);
                });
    return;
  }
  if (entity == nullptr || json::GetString(entity->document, "runtime", kHttp) != kHttp) {
    return others_.Find(org, name, std::move(done));
  }
  auto parsed = schema::ParseFunction(entity->uuid, entity->org, entity->name, entity->version,
                                      entity->document);
  auto version = std::make_shared<FunctionVersion>();
  version->id = entity->uuid;
  version->org = org;
  version->name = name;
  version->language = kHttp;
  version->source = parsed.url;
  ReadyFunction ready;
  ready.uuid = entity->uuid;
  ready.version = std::move(version);
  ready.timeout = parsed.timeout;
  if (const auto* schema = json::GetObject(entity->document, "schema")) {
    if (const auto* in = schema->if_contains("in")) ready.schema_in = *in;
    if (const auto* out = schema->if_contains("out")) ready.schema_out = *out;
  }
  if (const auto* secrets = json::GetArray(entity->document, "secrets")) {
    for (const auto& secret : *secrets) {
      if (secret.is_string()) ready.secrets.emplace_back(secret.get_string());
    }
  }
  done(std::make_shared<const ReadyFunction>(std::move(ready)));
}

void HttpFunctionRunner::Prove(VersionPtr version, std::function<void(Status)> done) {
  if (version->language != kHttp) return others_.Prove(std::move(version), std::move(done));
  loop_.Post([done = std::move(done)] { done(OkStatus()); });
}

void HttpFunctionRunner::Run(VersionPtr version, RunInput input,
                             std::function<void(RunOutcome)> done) {
  if (version->language != kHttp) {
    return others_.Run(std::move(version), std::move(input), std::move(done));
  }
  http::ClientRequest request;
  request.url = version->source;
  request.timeout = input.timeout.count() > 0 ? input.timeout : kNoTimeout;
  if (input.timeout.count() > 0) {
    input.context["deadline"] = schema::FormatRfc3339(loop_.Now() + input.timeout);
  }
  request.max_response_bytes = kMostAnswerBytes;
  request.headers.Add("content-type", "application/json");
  if (!input.traceparent.empty()) request.headers.Add("traceparent", std::move(input.traceparent));
  request.body = json::Serialize(
      json::object{{"context", std::move(input.context)}, {"payload", std::move(input.payload)}});
  client_.Send(std::move(request), [done = std::move(done)](const http::Client::Outcome& answer) {
    RunOutcome outcome = OutcomeOf(answer);
    outcome.elapsed = answer.elapsed;
    done(std::move(outcome));
  });
}

}  // namespace dispatch
