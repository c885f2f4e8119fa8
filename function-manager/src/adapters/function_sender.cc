#include "function-manager/src/adapters/function_sender.h"

#include "common/log.h"
#include "common/metrics.h"
#include "function-manager/src/domain/function_event.h"

namespace dispatch {

namespace {

constexpr size_t kMostUnwritten = 5'000;

}  // namespace

void FunctionSender::Send(SendRequest request, std::function<void(Answer)> done) {
  std::string name = FunctionOf(request.sink.url);
  if (name.empty()) return others_.Send(std::move(request), std::move(done));
  auto event = cloudevents::FromKafka(*request.event);
  if (!event.ok()) {
    Answer refusal;
    refusal.status = 422;
    refusal.message = event.error().message;
    return loop_.Post([refusal, done = std::move(done)] { done(refusal); });
  }
  Run run;
  run.id = Uuid::V7(loop_.Now());
  run.org = request.org;
  run.function = name;
  run.request = EventRun(*event);
  run.request.secrets = request.sink.secrets;
  run.request.traceparent = std::move(request.traceparent);
  run.executed_us = ToMicros(loop_.Now());
  // Neither the catalog nor the execution promises to call back later; Send does.
  loop_.Post([this, alive = std::weak_ptr(alive_), run = std::move(run), timeout = request.timeout,
              done = std::move(done)]() mutable {
    if (alive.expired()) return;
    std::string org = run.org;
    std::string function = run.function;
    catalog_.Find(org, function,
                  [this, alive, run = std::move(run), timeout,
                   done = std::move(done)](const auto& found) mutable {
                    if (alive.expired()) return;
                    if (!found.ok()) {
                      // It may become READY: the delivery is tried again.
                      Answer answer;
                      answer.failure = "not-ready";
                      answer.message = found.message();
                      return done(answer);
                    }
                    run.function_id = (*found)->uuid;
                    run.faas_id = (*found)->version->id;
                    RunRequest asked = run.request;
                    execution_.Execute(run.id, *found, asked, timeout,
                                       [this, run = std::move(run),
                                        done = std::move(done)](RunOutcome outcome) mutable {
                                         run.Finish(std::move(outcome), ToMicros(loop_.Now()));
                                         Answer answer = AnswerOf(run.outcome);
                                         Keep(std::move(run));
                                         done(std::move(answer));
                                       });
                  });
  });
}

// The delivery's outcome does not wait for this: attempts tell of it too.
void FunctionSender::Keep(Run run) {
  static const auto dropped = metrics::GetCounter(
      "dispatch_runs_not_kept_total", "Runs of deliveries that went by too fast to be kept");
  if (writer_.waiting() >= kMostUnwritten) return dropped.Add();
  writer_.Write(std::move(run), [](const Status& kept) {
    if (!kept.ok() && log::Sometimes("run.not-kept", 5)) {
      log::Warning("run of a delivery not kept error=\"{}\"", kept.message());
    }
  });
}

}  // namespace dispatch
