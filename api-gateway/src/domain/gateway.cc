#include "api-gateway/src/domain/gateway.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>

#include "common/log.h"
#include "schema/api_object.h"
#include "schema/objects.h"

namespace dispatch::gateway {

namespace {

// DESIGN section 6: how old identity's state may be.
constexpr Duration kMutationStaleness = std::chrono::seconds(60);
constexpr Duration kStaleness = std::chrono::minutes(15);
constexpr Duration kReadYourWritesWait = std::chrono::seconds(2);

bool IsMutation(const Route& route) {
  bool publishes = !route.access.actions.empty() && route.access.actions[0] == auth::kPublish;
  return route.method != "GET" && !publishes;
}

// Its owner's.
broker::StateTable& TableOf(const Tables& tables, std::string_view kind) {
  auto among = [kind](std::initializer_list<std::string_view> kinds) {
    return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
  };
  if (among({schema::kBaseImageKind, schema::kImageKind, schema::kFunctionKind, schema::kSecretKind,
             schema::kApiKind, schema::kApplicationKind})) {
    return tables.functions;
  }
  if (among({schema::kTopicKind, schema::kSubscriptionKind, schema::kReplayKind,
             schema::kDriverTypeKind, schema::kDriverKind})) {
    return tables.events;
  }
  return tables.identity;
}

struct MinVersion {
  std::string kind;
  std::string key;  // org/name
  int64_t version = 0;
};

// "topic/acme/orders@17", as X-Dispatch-Version said it.
std::optional<MinVersion> ParseMinVersion(std::string_view text) {
  size_t slash = text.find('/');
  size_t at = text.rfind('@');
  if (slash == text.npos || at == text.npos || at < slash) return std::nullopt;
  MinVersion wanted{std::string(text.substr(0, slash)),
                    std::string(text.substr(slash + 1, at - slash - 1))};
  std::string_view digits = text.substr(at + 1);
  auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), wanted.version);
  if (fault != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return wanted;
}

}  // namespace

Gateway::Gateway(Loop& loop, Directory& directory, Tables tables, Options options)
    : loop_(loop),
      directory_(directory),
      tables_(tables),
      options_(std::move(options)),
      in_flight_gauge_(metrics::GetGauge("dispatch_gateway_requests_in_flight",
                                         "Requests that have no answer yet")) {
  unknown_.route.pattern = "unknown";
}

void Gateway::Add(Route route) {
  // The router only finds; this class calls.
  router_.Add(route.method, route.pattern, nullptr);
  entries_.push_back(std::make_unique<Entry>(Entry{std::move(route), {}}));
}

std::vector<std::pair<std::string, std::string>> Gateway::routes() const {
  std::vector<std::pair<std::string, std::string>> all;
  for (const auto& entry : entries_) all.emplace_back(entry->route.method, entry->route.pattern);
  return all;
}

void Gateway::Handle(http::Request request, std::shared_ptr<http::ResponseWriter> writer) {
  auto match = router_.Find(request.method, request.path);
  request.path_params = std::move(match.params);
  auto call = std::make_shared<Call>(std::move(request), std::move(writer));
  call->trace = RequestTrace(options_.tracing, call->request);
  Entry& entry = match.route != nullptr
                     ? *entries_[static_cast<size_t>(match.route - router_.routes().data())]
                     : unknown_;
  in_flight_gauge_.Set(static_cast<double>(++in_flight_));
  call->finished = [this, alive = std::weak_ptr(alive_), &entry, started = loop_.Steady()](
                       const Call& done, int status) {
    if (!alive.expired()) Count(entry, done, status, started);
  };
  if (match.route == nullptr) return Reject(call, match);
  if (entry.route.access.check == Access::Check::kOpen) return entry.route.handler(call);
  if (Admit(call, entry.route)) AwaitVersion(call, entry.route);
}

void Gateway::Reject(const CallPtr& call, const http::Router::Match& match) {
  if (match.allowed.empty()) {
    return call->Fail({Code::kNotFound, fmt::format("there is no {}: GET /v1/openapi.json lists "
                                                    "every route",
                                                    call->request.path)});
  }
  std::string allowed = fmt::format("{}", fmt::join(match.allowed, ", "));
  auto response = http::Response::Json(
      405, json::Serialize(json::object{{"code", 405},
                                        {"message", fmt::format("{} is not possible here, only {}",
                                                                call->request.method, allowed)},
                                        {"details", json::array()},
                                        {"requestId", call->request_id}}));
  response.headers.Add("Allow", allowed);
  call->Send(std::move(response));
}

bool Gateway::Admit(const CallPtr& call, const Route& route) {
  if (!tables_.identity.ready()) {
    call->Fail({Code::kUnavailable, "the gateway is still reading keys from Kafka: try again"});
    return false;
  }
  auto principal = directory_.Authenticate(call->request.headers.Get("Authorization"));
  if (!principal.ok()) {
    call->Fail(principal.error());
    return false;
  }
  call->principal = std::move(*principal);
  return ChooseOrganization(*call) && CheckFreshness(*call, route) &&
         CheckAccess(*call, route.access);
}

bool Gateway::ChooseOrganization(Call& call) {
  const Principal& principal = *call.principal;
  auto wanted = call.request.headers.Get("X-Dispatch-Org");
  call.org = wanted && !wanted->empty() ? std::string(*wanted) : principal.org;
  if (call.org == principal.org) return true;
  if (!principal.global) {
    call.Fail({Code::kPermissionDenied,
               fmt::format("the key belongs to organisation {}, X-Dispatch-Org says {}: use a key "
                           "of that organisation, or leave the header out",
                           principal.org, call.org)});
    return false;
  }
  if (tables_.identity.Find(schema::kOrganizationKind, call.org + "/" + call.org) != nullptr) {
    return true;
  }
  call.Fail({Code::kNotFound, fmt::format("organisation {} does not exist: create it with POST "
                                          "/v1/iam/organization",
                                          call.org)});
  return false;
}

// Without news from identity a revoked key would go on working.
bool Gateway::CheckFreshness(Call& call, const Route& route) {
  Duration age = tables_.identity.age();
  Duration limit = IsMutation(route) ? kMutationStaleness : kStaleness;
  if (age <= limit) return true;
  call.Fail({Code::kUnavailable,
             "nothing was heard from the identity service for too long: is it running?"});
  return false;
}

bool Gateway::CheckAccess(Call& call, const Access& access) {
  switch (access.check) {
    case Access::Check::kOpen:
    case Access::Check::kKey:
      return true;
    case Access::Check::kObject:
      return call.Require(access.actions,
                          fmt::format("{}/{}", access.kind, call.request.Param("name")));
    case Access::Check::kSome:
      for (std::string_view action : access.actions) {
        if (call.principal->permissions.AllowsSome(action, access.kind)) return true;
      }
      return call.Require(access.actions, fmt::format("{}/*", access.kind));
  }
  return false;
}

void Gateway::AwaitVersion(const CallPtr& call, const Route& route) {
  auto text = call->request.headers.Get("X-Dispatch-Min-Version");
  if (!text) return route.handler(call);
  auto wanted = ParseMinVersion(*text);
  if (!wanted || !wanted->key.starts_with(call->org + "/")) {
    return call->Fail({Code::kInvalidArgument,
                       "X-Dispatch-Min-Version must be the X-Dispatch-Version of an answer, as "
                       "topic/my-org/orders@17"});
  }
  broker::StateTable& table = TableOf(tables_, wanted->kind);
  table.WaitFor(
      wanted->kind, wanted->key, wanted->version, kReadYourWritesWait, [call, &route](bool there) {
        if (there) return route.handler(call);
        call->Fail({Code::kUnavailable, "this gateway has not seen that version yet: try again"});
      });
}

void Gateway::Trace(const Entry& entry, const Call& call, int status) {
  if (Span* span = call.trace.span()) {
    if (!call.org.empty()) span->Set("dispatch.org", call.org);
    span->Set("dispatch.request_id", call.request_id);
    call.trace.End(call.request, &entry == &unknown_ ? "" : entry.route.pattern, status);
  }
}

void Gateway::Count(Entry& entry, const Call& call, int status, SteadyTime started) {
  in_flight_gauge_.Set(static_cast<double>(--in_flight_));
  const metrics::Counter* counter = nullptr;
  for (const auto& [known, handle] : entry.counters) {
    if (known == status) counter = &handle;
  }
  if (counter == nullptr) {
    entry.counters.emplace_back(
        status, metrics::GetCounter("dispatch_gateway_requests_total",
                                    "Requests by route and status; 0: dropped unanswered",
                                    {{"method", entry.route.method},
                                     {"route", entry.route.pattern},
                                     {"status", std::to_string(status)}}));
    counter = &entry.counters.back().second;
  }
  counter->Add();
  Trace(entry, call, status);
  // Of an open route it is nobody's that identity knows.
  if (status == 403 && options_.on_denied && call.principal != nullptr) {
    options_.on_denied(call, fmt::format("{} {}", entry.route.method, entry.route.pattern));
  }
  if (options_.access_log) {
    // The target as it was sent: nothing in it can break the line.
    log::Info("request method={} target={} status={} us={} org={} key={} id={}",
              call.request.method, call.request.target, status, (loop_.Steady() - started).count(),
              call.org, call.principal ? call.principal->key_id : "", call.request_id);
  }
}

}  // namespace dispatch::gateway
