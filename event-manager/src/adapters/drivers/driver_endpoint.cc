#include "event-manager/src/adapters/drivers/driver_endpoint.h"

#include "common/crypto.h"

namespace dispatch {

namespace {

constexpr size_t kMaxBody = 8 * 1024 * 1024;
constexpr size_t kMaxConnections = 64;
constexpr size_t kMaxInFlight = 1'000;
constexpr size_t kTokenLength = 32;

http::ServerOptions ServerSettings() {
  http::ServerOptions options;
  options.max_body_bytes = kMaxBody;
  options.max_connections = kMaxConnections;
  return options;
}

void Answer(http::ResponseWriter& writer, int status, const std::string& message) {
  json::object body{{"message", message}};
  if (status >= 400) body["code"] = status;
  writer.Send(http::Response::Json(status, json::Serialize(body)));
}

Result<std::vector<cloudevents::Event>> ReadEvents(http::Request& request) {
  std::string type(request.headers.Get("Content-Type").value_or("application/json"));
  ASSIGN_OR_RETURN(auto mode, cloudevents::ModeOf(type));
  std::vector<cloudevents::Event> events;
  if (mode == cloudevents::ContentMode::kBatch) {
    ASSIGN_OR_RETURN(auto elements, cloudevents::FromJsonBatch(request.body));
    for (auto& element : elements) {
      if (!element.ok()) return element.error();
      events.push_back(std::move(*element));
    }
    return events;
  }
  bool binary =
      request.headers.Has("ce-specversion") || request.headers.Has("ce-cloudeventsversion");
  if (binary) {
    schema::HeaderList fields;
    for (const auto& [name, value] : request.headers) {
      bool ours = name.size() > 3 && http::EqualsIgnoreCase(name.substr(0, 3), "ce-");
      if (ours || http::EqualsIgnoreCase(name, "Content-Type")) fields.emplace_back(name, value);
    }
    ASSIGN_OR_RETURN(auto event, cloudevents::FromHttpBinary(fields, std::move(request.body)));
    events.push_back(std::move(event));
    return events;
  }
  // VMware's clients send 0.1 as plain JSON.
  ASSIGN_OR_RETURN(auto object, json::ParseObject(request.body));
  bool one = object.contains("specversion");
  ASSIGN_OR_RETURN(auto event, one ? cloudevents::FromJson(request.body)
                                   : cloudevents::UpgradeFrom01(request.body));
  RETURN_IF_ERROR(cloudevents::Validate(event));
  events.push_back(std::move(event));
  return events;
}

}  // namespace

DriverEndpoint::DriverEndpoint(DriverHost& host, EventLoop& loop, Callers callers)
    : host_(host),
      callers_(callers),
      token_(crypto::RandomAlphanumeric(kTokenLength)),
      server_(loop, ServerSettings(), [this](http::Request request, auto writer) {
        Handle(std::move(request), std::move(writer));
      }) {}

bool DriverEndpoint::HasToken(const http::Request& request) const {
  std::string given = request.Query("authToken").value_or("");
  if (given.empty()) {
    std::string_view field = request.headers.Get("Authorization").value_or("");
    if (field.starts_with("Bearer ")) given = field.substr(7);
  }
  if (given.empty() && request.path.starts_with('/')) given = request.path.substr(1);
  return crypto::EqualConstantTime(given, token_);
}

void DriverEndpoint::Handle(http::Request request, std::shared_ptr<http::ResponseWriter> writer) {
  if (request.method == "GET" || request.method == "HEAD") return Answer(*writer, 200, "healthy");
  if (request.method != "POST") return Answer(*writer, 405, "only GET and POST are possible here");
  // Others of this machine must not speak for it.
  if (callers_ == Callers::kMany && !HasToken(request)) {
    return Answer(*writer, 401,
                  "the token is missing or wrong: POST to DISPATCH_ENDPOINT, or send AUTH_TOKEN as "
                  "?authToken= or bearer token");
  }
  auto events = ReadEvents(request);
  if (!events.ok()) return Answer(*writer, 400, events.message());
  if (refusing_ || in_flight_ + events->size() > kMaxInFlight) {
    return Answer(*writer, 500, "too many events wait: try again");
  }
  Publish(std::move(*events), std::move(writer));
}

void DriverEndpoint::Publish(std::vector<cloudevents::Event> events,
                             std::shared_ptr<http::ResponseWriter> writer) {
  if (events.empty()) return Answer(*writer, 201, "no events");
  struct Pending {
    size_t waiting;
    Status fault;
    std::shared_ptr<http::ResponseWriter> writer;
  };
  auto pending = std::make_shared<Pending>(Pending{events.size(), {}, std::move(writer)});
  in_flight_ += events.size();
  for (auto& event : events) {
    host_.Publish(std::move(event),
                  [this, alive = std::weak_ptr(alive_), pending](const Status& published) {
                    if (!published.ok()) pending->fault = published;
                    if (!alive.expired()) --in_flight_;
                    if (--pending->waiting > 0) return;
                    bool large = pending->fault.code() == Code::kTooLarge;
                    if (pending->fault.ok()) return Answer(*pending->writer, 201, "accepted");
                    Answer(*pending->writer, large ? 400 : 500, pending->fault.message());
                  });
  }
}

}  // namespace dispatch
