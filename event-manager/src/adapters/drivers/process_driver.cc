#include "event-manager/src/adapters/drivers/process_driver.h"

#include <fmt/format.h>

#include <chrono>

#include "common/crypto.h"
#include "event-manager/src/adapters/drivers/process_command.h"
#include "schema/rfc3339.h"

namespace dispatch {

namespace {

constexpr size_t kMaxBody = 8 * 1024 * 1024;
constexpr size_t kMaxConnections = 64;
constexpr size_t kMaxInFlight = 1'000;
// Alive for so long, it works.
constexpr Duration kSettled = std::chrono::milliseconds(1'500);

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

ProcessDriver::ProcessDriver(DriverHost& host, EventLoop& loop, const DriverSettings& settings,
                             std::shared_ptr<DriverConfinement> confinement, DriverSetup setup)
    : host_(host),
      loop_(loop),
      settings_(settings),
      confinement_(std::move(confinement)),
      setup_(std::move(setup)),
      token_(crypto::RandomAlphanumeric(32)) {
  timer_ = loop_.After(Duration(0), [this] { Begin(); });
}

ProcessDriver::~ProcessDriver() {
  loop_.Cancel(timer_);
  if (child_ == nullptr) return;
  child_->Kill();
  confinement_->Bury(child_->TakeGroup());
}

void ProcessDriver::Fail(const std::string& reason) {
  if (failed_) return;
  failed_ = true;
  host_.Fail(reason);
}

void ProcessDriver::Begin() {
  timer_ = kNoTimer;
  http::ServerOptions options;
  options.max_body_bytes = kMaxBody;
  options.max_connections = kMaxConnections;
  server_ = std::make_unique<http::Server>(
      loop_, options, [this, alive = std::weak_ptr(alive_)](http::Request request, auto writer) {
        if (!alive.expired()) Handle(std::move(request), std::move(writer));
      });
  auto port = server_->Listen("127.0.0.1:0");
  if (!port.ok()) return Fail(port.message());
  Status started = StartChild(*port, true);
  // Control groups that can be made but not entered are as good as none.
  if (!started.ok()) started = StartChild(*port, false);
  if (!started.ok()) return Fail(started.message());
  host_.Log("driver", "started");
  timer_ = loop_.After(kSettled, [this] {
    timer_ = kNoTimer;
    if (!failed_) host_.Ready();
  });
}

Status ProcessDriver::StartChild(uint16_t port, bool groups) {
  ASSIGN_OR_RETURN(auto spec, DriverCommand(settings_, setup_, port, token_));
  RETURN_IF_ERROR(confinement_->Confine(spec));
  if (!groups) confinement_->Bury(std::move(spec.group));
  auto child = ChildProcess::Start(
      loop_, std::move(spec),
      [this](const std::string& stream, std::string line) { host_.Log(stream, std::move(line)); },
      [this](const std::string& how) {
        Fail(child_->OutOfMemory()
                 ? fmt::format("the executable used more memory than its limit of {} MB",
                               kDriverMemoryBytes / 1024 / 1024)
                 : "the executable " + how);
      });
  if (child.ok()) {
    child_ = std::move(*child);
    if (!groups) confinement_->GiveUpGroups("they cannot be entered");
  }
  return child.status();
}

void ProcessDriver::Handle(http::Request request, std::shared_ptr<http::ResponseWriter> writer) {
  if (request.method == "GET" || request.method == "HEAD") return Answer(*writer, 200, "healthy");
  if (request.method != "POST") return Answer(*writer, 405, "only GET and POST are possible here");
  // Others of this machine must not speak for it.
  std::string given = request.Query("authToken").value_or("");
  if (given.empty()) {
    std::string_view field = request.headers.Get("Authorization").value_or("");
    if (field.starts_with("Bearer ")) given = field.substr(7);
  }
  if (given.empty() && request.path.starts_with('/')) given = request.path.substr(1);
  if (!crypto::EqualConstantTime(given, token_)) {
    return Answer(*writer, 401,
                  "the token is missing or wrong: POST to DISPATCH_ENDPOINT, or send AUTH_TOKEN as "
                  "?authToken= or bearer token");
  }
  auto events = ReadEvents(request);
  if (!events.ok()) return Answer(*writer, 400, events.message());
  if (failed_ || in_flight_ + events->size() > kMaxInFlight) {
    return Answer(*writer, 500, "too many events wait: try again");
  }
  Publish(std::move(*events), std::move(writer));
}

void ProcessDriver::Publish(std::vector<cloudevents::Event> events,
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
