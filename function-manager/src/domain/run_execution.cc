#include "function-manager/src/domain/run_execution.h"

#include <algorithm>

namespace dispatch {

namespace {

constexpr size_t kMaxKept = 1'000;

RunOutcome Failed(const char* type, std::string message) {
  RunOutcome out;
  out.error = RunError{type, std::move(message), {}};
  return out;
}

void Describe(const Uuid& run, const FunctionVersion& function, Span& span) {
  span.name = function.org + "." + function.name + " run";
  span.Set("faas.invocation_id", run.ToString());
  span.Set("faas.name", function.name);
  span.Set("faas.version", function.id.ToString());
  span.Set("dispatch.org", function.org);
}

}  // namespace

struct RunExecution::Work {
  FunctionPtr function;
  SchemasPtr schemas;
  RunInput input;
  std::vector<std::string> secrets;  // not looked up yet, the next one last
  json::object values;
  std::function<void(RunOutcome)> done;
};

RunExecution::SchemasPtr RunExecution::SchemasOf(const ReadyFunction& function) {
  auto& kept = schemas_[function.version->id];
  if (kept != nullptr) return kept;
  auto made = std::make_shared<const Schemas>(
      Schemas{JsonSchema::Compile(function.schema_in), JsonSchema::Compile(function.schema_out)});
  kept = made;
  if (schemas_.size() > kMaxKept) schemas_.clear();
  return made;
}

// What the function says of an error stays with the run: it may be data.
std::function<void(RunOutcome)> RunExecution::Traced(const SpanPtr& span,
                                                     std::function<void(RunOutcome)> done) const {
  return [tracer = tracer_, span, done = std::move(done)](RunOutcome outcome) {
    span->Set("faas.coldstart", outcome.cold ? "true" : "false");
    if (outcome.error) {
      span->Set("error.type", outcome.error->type);
      span->error = outcome.error->type;
    }
    tracer->End(*span);
    done(std::move(outcome));
  };
}

void RunExecution::Execute(const Uuid& run, FunctionPtr function, const RunRequest& request,
                           std::chrono::milliseconds limit, std::function<void(RunOutcome)> done) {
  auto work = std::make_shared<Work>();
  work->input.traceparent = request.traceparent;
  if (SpanPtr span = StartSpan(tracer_, Span::Kind::kInternal, request.traceparent)) {
    Describe(run, *function->version, *span);
    work->input.traceparent = span->context.ToTraceparent();
    done = Traced(span, std::move(done));
  }
  work->schemas = SchemasOf(*function);
  if (!work->schemas->in.ok()) {
    return done(Failed(kFunctionError, "schema.in: " + work->schemas->in.message()));
  }
  if (auto fault = work->schemas->in->Fault(request.input, "input")) {
    return done(Failed(kInputError, *fault));
  }
  work->secrets = function->secrets;
  work->secrets.insert(work->secrets.end(), request.secrets.begin(), request.secrets.end());
  std::reverse(work->secrets.begin(), work->secrets.end());
  work->input.payload = request.input;
  auto timeout = function->timeout;
  if (limit.count() > 0) timeout = timeout.count() > 0 ? std::min(timeout, limit) : limit;
  work->input.timeout = timeout;
  if (!request.event.is_null()) work->input.context["event"] = request.event;
  if (!request.http_context.is_null()) work->input.context["httpContext"] = request.http_context;
  work->function = std::move(function);
  work->done = std::move(done);
  AddSecret(std::move(work));
}

void RunExecution::AddSecret(std::shared_ptr<Work> work) {
  if (work->secrets.empty()) return Start(work);
  std::string name = std::move(work->secrets.back());
  work->secrets.pop_back();
  get_secret_(work->function->version->org, name,
              [this, alive = std::weak_ptr(alive_), work, name](const Result<Secrets>& values) {
                if (alive.expired()) return;
                if (!values.ok()) {
                  bool unknown = values.code() == Code::kNotFound;
                  return work->done(
                      Failed(unknown ? kInputError : kSystemError,
                             unknown ? "secret '" + name + "' does not exist" : values.message()));
                }
                for (const auto& [key, value] : **values) work->values[key] = value;
                AddSecret(work);
              });
}

void RunExecution::Start(const std::shared_ptr<Work>& work) {
  work->input.context["secrets"] = std::move(work->values);
  runner_.Run(work->function->version, std::move(work->input),
              [alive = std::weak_ptr(alive_), work](RunOutcome outcome) {
                if (alive.expired()) return;
                if (!outcome.error) {
                  const auto& schema = work->schemas->out;
                  auto fault = schema.ok() ? schema->Fault(outcome.payload, "output")
                                           : std::optional("schema.out: " + schema.message());
                  if (fault) outcome.error = RunError{kFunctionError, *fault, {}};
                }
                if (outcome.error) outcome.payload = nullptr;
                work->done(std::move(outcome));
              });
}

}  // namespace dispatch
