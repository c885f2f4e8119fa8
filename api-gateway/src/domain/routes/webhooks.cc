#include <fmt/format.h>

#include "api-gateway/src/domain/event_intake.h"
#include "api-gateway/src/domain/routes.h"
#include "api-gateway/src/domain/views.h"
#include "schema/objects.h"
#include "schema/webhook_token.h"

// Where the events of webhook drivers are pushed, and what senders ask before they push.
namespace dispatch::gateway {

namespace {

constexpr char kValidationEvent[] = "Microsoft.EventGrid.SubscriptionValidationEvent";

std::string TokenOf(const http::Request& request) {
  if (auto token = request.Query("token")) return *token;
  std::string_view field = request.headers.Get("Authorization").value_or("");
  constexpr std::string_view kScheme = "Bearer ";
  if (field.size() <= kScheme.size()) return {};
  bool bearer = http::EqualsIgnoreCase(std::string(field.substr(0, kScheme.size())), kScheme);
  return bearer ? std::string(field.substr(kScheme.size())) : std::string();
}

std::string ConfigOf(const json::object& driver, std::string_view key, std::string fallback) {
  const auto* config = json::GetArray(driver, "config");
  for (const auto& entry : config != nullptr ? *config : json::array()) {
    const auto* object = entry.if_object();
    if (object != nullptr && json::GetString(*object, "key") == key) {
      fallback = json::GetString(*object, "value", fallback);
    }
  }
  return fallback;
}

// The driver's own, or its type's.
std::string SettingOf(Backend& backend, const broker::Entity& driver, std::string_view key,
                      std::string fallback) {
  auto type = backend.tables.events.Find(
      schema::kDriverTypeKind, driver.org + "/" + json::GetString(driver.document, "type"));
  if (type != nullptr) fallback = ConfigOf(type->document, key, std::move(fallback));
  return ConfigOf(driver.document, key, std::move(fallback));
}

// A list separated by commas; empty: everybody.
bool IsAllowed(std::string_view origin, std::string_view list) {
  bool any = true;
  while (!list.empty()) {
    std::string_view one = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), one.size() + 1));
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (one.empty()) continue;
    if (one == "*" || http::EqualsIgnoreCase(one, origin)) return true;
    any = false;
  }
  return any;
}

// The driver whose URL it is, with its token and no key; else the call is answered, an unknown
// driver and a wrong token alike.
EntityPtr DriverOf(const CallPtr& call, Backend& backend) {
  if (!backend.tables.events.ready()) {
    call->Fail({Code::kUnavailable, "the gateway is still reading drivers: try again"});
    return nullptr;
  }
  std::string org = call->request.Param("org");
  std::string name = call->request.Param("name");
  auto driver = backend.tables.events.Find(schema::kDriverKind, org + "/" + name);
  bool known = driver != nullptr &&
               schema::IsWebhookToken(backend.service_key, driver->uuid.ToString(),
                                      driver->document, TokenOf(call->request), backend.loop.Now());
  if (!known) {
    call->Fail(
        {Code::kUnauthenticated,
         "the token is missing, wrong or not valid any more: use the URL that the driver was "
         "created with, or rotate its token"});
    return nullptr;
  }
  call->org = org;
  return driver;
}

// CloudEvents 1.0 HTTP Web Hooks, section 4: whoever wants to send asks first. Without a list of
// origins everybody with the token may, and there is no limit to agree on.
void Handshake(const CallPtr& call, Backend& backend) {
  auto driver = DriverOf(call, backend);
  if (driver == nullptr) return;
  call->AddHeader("Allow", "OPTIONS, POST");
  auto origin = call->request.headers.Get("WebHook-Request-Origin");
  if (!origin) return call->Send({200, {}, ""});
  if (!IsAllowed(*origin, SettingOf(backend, *driver, "origins", ""))) {
    return call->Fail({Code::kPermissionDenied,
                       fmt::format("{} is none of the `origins` of the driver", *origin)});
  }
  call->AddHeader("WebHook-Allowed-Origin", std::string(*origin));
  if (call->request.headers.Has("WebHook-Request-Rate")) {
    call->AddHeader("WebHook-Allowed-Rate", "*");
  }
  call->Send({200, {}, ""});
}

// Azure Event Grid proves that the URL wants its events by a code that is to be sent back. It is
// no event of anybody's.
void SendValidationCode(const CallPtr& call) {
  auto events = json::Parse(call->request.body);
  const auto* array = events.ok() ? events->if_array() : nullptr;
  const auto* event = array != nullptr && array->size() == 1 ? (*array)[0].if_object() : nullptr;
  const auto* data = event != nullptr ? json::GetObject(*event, "data") : nullptr;
  std::string code = data != nullptr ? json::GetString(*data, "validationCode") : "";
  if (code.empty() || json::GetString(*event, "eventType") != kValidationEvent) {
    return call->Fail({Code::kInvalidArgument,
                       fmt::format("a validation of Event Grid is one {} with data.validationCode",
                                   kValidationEvent)});
  }
  call->SendJson(200, json::object{{"validationResponse", code}});
}

void Ingest(CallPtr call, Backend& backend) {
  auto driver = DriverOf(call, backend);
  if (driver == nullptr) return;
  std::string_view grid = call->request.headers.Get("aeg-event-type").value_or("");
  if (http::EqualsIgnoreCase(grid, "SubscriptionValidation")) return SendValidationCode(call);
  const std::string& org = driver->org;
  const std::string& name = driver->name;
  std::string topic = SettingOf(backend, *driver, "topic", "default");
  std::string event_type = SettingOf(backend, *driver, "type", "webhook.event");
  if (backend.tables.events.Find(schema::kTopicKind, org + "/" + topic) == nullptr) {
    return call->Fail(
        {Code::kUnavailable, fmt::format("topic {} of the driver does not exist", topic)});
  }
  // What is no CloudEvent becomes the data of one.
  std::erase_if(call->request.query, [](const auto& field) {
    return field.first != "type" && field.first != "subject";
  });
  if (!call->request.Query("type")) call->request.query.emplace_back("type", event_type);
  auto intake =
      ReadEvents(call->request, fmt::format("/{}/drivers/{}", org, name), backend.loop.Now());
  if (!intake.ok()) return call->Fail(intake.error());
  backend.publisher.Publish(std::move(call), topic, std::move(*intake));
}

}  // namespace

void AddWebhookRoutes(Gateway& gateway, Backend& backend) {
  constexpr char kPath[] = "/v1/event/ingest/{org}/{name}";
  gateway.Add({"POST", kPath, {Access::Check::kOpen}, [&backend](CallPtr call) {
                 Ingest(std::move(call), backend);
               }});
  gateway.Add({"OPTIONS", kPath, {Access::Check::kOpen}, [&backend](const CallPtr& call) {
                 Handshake(call, backend);
               }});
}

}  // namespace dispatch::gateway
