#include "common/runtime/service.h"

#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <utility>

#include "common/check.h"
#include "common/http/router.h"
#include "common/http/server.h"
#include "common/json.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/otlp/exporter.h"
#include "common/runtime/internal/process_metrics.h"
#include "common/uuid.h"
#include "common/version.h"

namespace dispatch {

namespace {

// What a stop step gets once its time is over, to let go of what it holds.
constexpr std::chrono::milliseconds kLastGrace{200};

struct ReadyCheck {
  std::string name;
  std::function<std::string()> check;
};

struct StopStep {
  std::string name;
  std::function<void(SteadyTime, std::function<void()>)> step;
};

}  // namespace

struct Service::Impl {
  Impl(std::string the_name, std::string summary, std::vector<Config::Setting> settings)
      : name(the_name), config(std::move(the_name), std::move(summary), std::move(settings)) {}

  Status StartAdmin();
  Status StartTracing();
  json::array Failing() const;
  http::Response Readiness();
  void BeginStop(const std::string& why);
  void NextStep();
  void ArmStepTimer();
  void StepDone(size_t number);

  std::string name;
  Config config;
  EventLoop loop;
  std::unique_ptr<internal::ProcessMetrics> process;
  http::Router router;
  std::unique_ptr<http::Server> admin;
  uint16_t admin_port = 0;
  std::unique_ptr<otlp::Exporter> exporter;  // none: no endpoint

  std::vector<ReadyCheck> checks;
  std::vector<StopStep> steps;
  bool stopping = false;
  SteadyTime deadline{};
  size_t step_number = 0;  // tells a late `done` from the current one
  std::string step_name;
  TimerId step_timer = kNoTimer;
  int exit_code = 0;
};

Service::Service(std::string name, std::string summary, std::vector<Config::Setting> settings)
    : impl_(std::make_unique<Impl>(std::move(name), std::move(summary), std::move(settings))) {}

Service::~Service() = default;

int Service::Start(int argc, const char* const* argv) {
  Impl& impl = *impl_;
  Status loaded = impl.config.Load(argc, argv);
  if (!loaded.ok()) {
    fmt::print(stderr, "{}: {}\n", impl.name, loaded.message());
    return 2;
  }
  if (impl.config.help_requested()) {
    fmt::print("{}", impl.config.Help());
    return 0;
  }
  if (impl.config.version_requested()) {
    fmt::print("{} {}\n", impl.name, BuildText());
    return 0;
  }
  log::Init(impl.name,
            impl.config.String("log-format") == "json" ? log::Format::kJson : log::Format::kText);
  internal::RaiseOpenFileLimit();
  impl.process = std::make_unique<internal::ProcessMetrics>(impl.name, std::string(BuildVersion()));
  impl.loop.OnTerminate(
      [&impl](int signal) { impl.BeginStop(signal == SIGINT ? "interrupted" : "terminated"); });
  Status admin = impl.StartAdmin();
  if (!admin.ok()) {
    log::Error("cannot start setting=admin-listen error=\"{}\"", admin.message());
    return 1;
  }
  Status tracing = impl.StartTracing();
  if (!tracing.ok()) {
    log::Error("cannot start error=\"{}\"", tracing.message());
    return 1;
  }
  log::Info("starting version={} commit={} admin-port={}", BuildVersion(), BuildCommit(),
            impl.admin_port);
  return -1;
}

EventLoop& Service::loop() { return impl_->loop; }
const Config& Service::config() const { return impl_->config; }
Tracing Service::tracing() const {
  return {impl_->exporter == nullptr ? nullptr : &impl_->exporter->tracer(),
          impl_->config.Ratio("traces-sample-ratio")};
}
uint16_t Service::admin_port() const { return impl_->admin_port; }

void Service::AddReadyCheck(std::string name, std::function<std::string()> check) {
  impl_->checks.push_back({std::move(name), std::move(check)});
}

void Service::AddStopStep(
    std::string name, std::function<void(SteadyTime deadline, std::function<void()> done)> step) {
  impl_->steps.push_back({std::move(name), std::move(step)});
}

void Service::Fail(const std::string& message) {
  log::Error("giving up reason=\"{}\"", message);
  impl_->exit_code = 1;
  if (!impl_->stopping) impl_->BeginStop("failed");
}

int Service::Run() {
  impl_->loop.Run();
  impl_->admin.reset();
  log::Info("stopped exit-code={}", impl_->exit_code);
  return impl_->exit_code;
}

Status Service::Impl::StartAdmin() {
  using http::Request;
  using Writer = std::shared_ptr<http::ResponseWriter>;
  router.Add("GET", "/healthz", [](Request, Writer writer) {
    writer->Send(http::Response::Json(200, R"({"status":"ok"})"));
  });
  router.Add("GET", "/readyz", [this](Request, Writer writer) { writer->Send(Readiness()); });
  router.Add("GET", "/metrics", [this](Request, Writer writer) {
    process->Update();
    metrics::GetGauge("dispatch_ready", "1 when /readyz says so, else 0").Set(Failing().empty());
    http::Response response{200, {}, metrics::Serialize()};
    response.headers.Add("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    writer->Send(std::move(response));
  });
  http::ServerOptions options;
  options.max_body_bytes = 64 * 1024;
  options.max_connections = 200;
  admin = std::make_unique<http::Server>(loop, options, [this](Request request, Writer writer) {
    auto match = router.Find(request.method, request.path);
    if (match.route != nullptr) return match.route->handler(std::move(request), std::move(writer));
    int status = match.allowed.empty() ? 404 : 405;
    auto response = http::Response::Json(
        status,
        fmt::format(R"({{"code":{},"message":"try /healthz, /readyz or /metrics"}})", status));
    if (status == 405) {
      response.headers.Add("Allow", fmt::format("{}", fmt::join(match.allowed, ", ")));
    }
    writer->Send(std::move(response));
  });
  ASSIGN_OR_RETURN(admin_port, admin->Listen(config.String("admin-listen")));
  return OkStatus();
}

// The first stop step, so that it runs last: what the others end is exported too.
Status Service::Impl::StartTracing() {
  const std::string& endpoint = config.String("otlp-endpoint");
  if (endpoint.empty()) return OkStatus();
  const std::string& instance = config.String("instance-id");
  otlp::Exporter::Options options;
  options.endpoint = endpoint;
  options.headers_file = config.String("otlp-headers-file");
  options.version = std::string(BuildVersion());
  options.resource = {
      {"service.name", name},
      {"service.namespace", "dispatch"},
      {"service.instance.id", instance.empty() ? Uuid::Random().ToString() : instance},
      {"service.version", options.version}};
  ASSIGN_OR_RETURN(exporter, otlp::Exporter::Make(loop, options));
  steps.push_back({"traces", [this](SteadyTime until, std::function<void()> done) {
                     exporter->Flush(until, std::move(done));
                   }});
  return OkStatus();
}

// The checks that say no, and why.
json::array Service::Impl::Failing() const {
  json::array failing;
  if (stopping) failing.push_back(json::object{{"check", "process"}, {"reason", "stopping"}});
  for (const ReadyCheck& check : checks) {
    std::string reason = check.check();
    if (!reason.empty()) failing.push_back(json::object{{"check", check.name}, {"reason", reason}});
  }
  return failing;
}

http::Response Service::Impl::Readiness() {
  json::array failing = Failing();
  if (failing.empty()) return http::Response::Json(200, R"({"status":"ready"})");
  auto response = http::Response::Json(
      503, json::Serialize(json::object{{"status", "not ready"}, {"failing", std::move(failing)}}));
  response.headers.Add("Retry-After", "1");
  return response;
}

void Service::Impl::BeginStop(const std::string& why) {
  if (std::exchange(stopping, true)) {
    // Asked again: the steps that are left still run, with no time.
    log::Info("stopping at once step={}", step_name);
    deadline = loop.Steady();
    ArmStepTimer();
    return;
  }
  log::Info("stopping reason={} drain-timeout={}", why,
            FormatDuration(config.GetDuration("drain-timeout")));
  deadline = loop.Steady() + config.GetDuration("drain-timeout");
  loop.Post([this] { NextStep(); });
}

void Service::Impl::NextStep() {
  loop.Cancel(step_timer);
  step_timer = kNoTimer;
  if (steps.empty()) return loop.Stop();
  auto step = std::move(steps.back());
  steps.pop_back();
  step_name = step.name;
  size_t number = ++step_number;
  ArmStepTimer();
  step.step(deadline, [this, number] { loop.Post([this, number] { StepDone(number); }); });
}

void Service::Impl::ArmStepTimer() {
  if (step_number == 0) return;  // the first step is still to come
  loop.Cancel(step_timer);
  Duration left = std::max<Duration>(deadline - loop.Steady(), Duration::zero()) + kLastGrace;
  step_timer = loop.After(left, [this] {
    step_timer = kNoTimer;
    log::Warning("stop step took too long step={}", step_name);
    NextStep();
  });
}

void Service::Impl::StepDone(size_t number) {
  if (number == step_number) NextStep();
}

}  // namespace dispatch
