#include "function-manager/src/adapters/function_sender.h"

#include <algorithm>
#include <iterator>

#include "common/log.h"
#include "common/metrics.h"
#include "function-manager/src/domain/function_event.h"

namespace dispatch {

namespace {

constexpr size_t kMostUnwritten = 5'000;
constexpr size_t kMostAtOnce = 500;

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
                    execution_.Execute(*found, asked, timeout,
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
  if (unwritten_.size() >= kMostUnwritten) return dropped.Add();
  unwritten_.push_back(std::move(run));
  if (!writing_) Write();
}

void FunctionSender::Write() {
  if (unwritten_.empty()) return;
  writing_ = true;
  size_t count = std::min(unwritten_.size(), kMostAtOnce);
  auto end = unwritten_.begin() + static_cast<std::ptrdiff_t>(count);
  std::vector<Run> batch(std::make_move_iterator(unwritten_.begin()), std::make_move_iterator(end));
  unwritten_.erase(unwritten_.begin(), end);
  pool_.Run([batch = std::move(batch)](pg::Transaction& tx) { return InsertRuns(tx, batch); },
            [this, alive = std::weak_ptr(alive_)](const Status& status) {
              if (alive.expired()) return;
              writing_ = false;
              if (!status.ok() && log::Sometimes("run.not-kept", 5)) {
                log::Warning("runs of deliveries not kept error=\"{}\"", status.message());
              }
              Write();
            });
}

void FunctionSender::Flush(std::function<void()> done) {
  Write();
  if (!writing_) return done();
  // After ours in the pool's queue.
  pool_.Run([](pg::Transaction&) { return OkStatus(); },
            [done = std::move(done)](const Status&) { done(); });
}

}  // namespace dispatch
