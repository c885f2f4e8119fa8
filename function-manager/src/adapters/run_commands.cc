#include "function-manager/src/adapters/run_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "broker-adapters/entities/idempotency.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/trace.h"

namespace dispatch {

namespace {

constexpr Duration kLook = std::chrono::milliseconds(500);
constexpr Duration kRenewEvery = std::chrono::seconds(kRunLeaseSeconds) / 3;
constexpr Duration kForgetEvery = std::chrono::minutes(1);
constexpr size_t kForgetAtOnce = 5'000;
// The longest that a caller is kept waiting; the gateway gives up a little later.
constexpr std::chrono::milliseconds kMostBlocking = std::chrono::minutes(5);

// To who waits for an output, one that was left out would pass for none.
broker::RpcReply ReplyOf(const Run& run, bool without_output = false) {
  broker::RpcReply reply;
  reply.body = RunFormThatFits(run, without_output);
  return reply;
}

void Count(const Run& run) {
  std::string result = run.outcome.error ? run.outcome.error->type : "ok";
  metrics::GetCounter("dispatch_runs_total", "Runs of functions that ended, by result",
                      {{"result", result}})
      .Add();
}

RunOutcome SystemFailure(std::string message) {
  RunOutcome outcome;
  outcome.error = RunError{kSystemError, std::move(message), {}};
  return outcome;
}

Result<Uuid> IdOf(const json::object& body) {
  auto id = Uuid::Parse(json::GetString(body, "id"));
  if (id.ok()) return id;
  return Error{Code::kNotFound, "a run is named by a UUID, its `name`"};
}

// The context that a run is kept with.
std::string SampledIn(const schema::Request& request) {
  return IsSampled(request.traceparent) ? request.traceparent : std::string();
}

// A repeat of one that is not over yet would be run again all the same.
Error NoKeyForBlocking() {
  return {Code::kInvalidArgument,
          "Idempotency-Key: only for a run that nobody waits for: leave it out, or give blocking "
          "false",
          false,
          {{"blocking", "must be false with an Idempotency-Key"}}};
}

RunQuery QueryOf(const std::string& org, const json::object& body) {
  RunQuery query;
  query.org = org;
  query.function = json::GetString(body, "functionName");
  query.status = json::GetString(body, "status");
  query.since_us = json::GetInt(body, "sinceUs");
  if (const auto* tags = json::GetArray(body, "tags")) query.tags = *tags;
  return query;
}

}  // namespace

RunCommands::RunCommands(Loop& loop, pg::Pool& pool, FunctionCatalog& catalog,
                         RunExecution& execution, RunWriter& writer, Options options)
    : loop_(loop),
      pool_(pool),
      catalog_(catalog),
      execution_(execution),
      writer_(writer),
      options_(options) {}

void RunCommands::Register(broker::RpcServer& server) {
  auto answering_repeats = [&](auto handler) { return AnsweringRepeats(pool_, handler); };
  server.Handle("run.create", answering_repeats([this](schema::Request r, Responder d) {
                  Create(std::move(r), std::move(d));
                }));
  server.HandleChange("run.cancel", answering_repeats([this](schema::Request r, Responder d) {
                        Cancel(r, std::move(d));
                      }));
  server.Handle("run.rerun", answering_repeats([this](schema::Request r, Responder d) {
                  Rerun(r, std::move(d));
                }));
  server.Handle("run.get", [this](const auto& r, auto d) { Get(r, std::move(d)); });
  server.Handle("run.list", [this](const auto& r, auto d) { List(r, std::move(d)); });
  server.Handle("run.changes", [this](const auto& r, auto d) { Changes(r, std::move(d)); });
}

Run RunCommands::NewRun(const std::string& org, const std::string& function,
                        RunRequest request) const {
  Run run;
  run.id = Uuid::V7(loop_.Now());
  run.org = org;
  run.function = function;
  run.request = std::move(request);
  run.executed_us = ToMicros(loop_.Now());
  return run;
}

void RunCommands::Create(schema::Request request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  const auto* asked = json::GetObject(*body, "run");
  auto read = ReadRunRequest(asked != nullptr ? *asked : json::object());
  if (!read.ok()) return respond(read.error());
  if (read->blocking) {
    if (!request.idempotency_key.empty()) return respond(NoKeyForBlocking());
    Status admitted = AdmitBlocking(request.org);
    if (!admitted.ok()) return respond(admitted.error());
  }
  Run run = NewRun(request.org, json::GetString(*body, "functionName"), std::move(*read));
  run.request.traceparent = SampledIn(request);
  catalog_.Find(run.org, run.function,
                [this, alive = std::weak_ptr(alive_), request = std::move(request), run,
                 respond = std::move(respond)](const auto& function) mutable {
                  if (alive.expired()) return;
                  if (!function.ok()) return respond(function.error());
                  run.function_id = (*function)->uuid;
                  run.faas_id = (*function)->version->id;
                  if (run.request.blocking) return RunNow(*function, run, std::move(respond));
                  Keep(request, std::move(run), std::move(respond));
                });
}

Status RunCommands::AdmitBlocking(const std::string& org) const {
  auto of_org = blocking_of_.find(org);
  bool all = blocking_ >= options_.max_blocking;
  bool ours = of_org != blocking_of_.end() && of_org->second >= options_.max_blocking_per_org;
  if (!all && !ours) return OkStatus();
  return {Code::kResourceExhausted,
          fmt::format("too many runs{} are waited for: try again later, or with blocking false",
                      all ? "" : " of this organization")};
}

void RunCommands::EndBlocking(const std::string& org) {
  --blocking_;
  auto of_org = blocking_of_.find(org);
  if (--of_org->second == 0) blocking_of_.erase(of_org);
}

void RunCommands::KeepOnce(const schema::Request& request, Run run, Responder respond) {
  pool_.Query<broker::RpcReply>(
      [request, run = std::move(run)](pg::Transaction& tx) {
        return Once(tx, request, [&]() -> Result<broker::RpcReply> {
          RETURN_IF_ERROR(InsertRuns(tx, {&run}));
          return ReplyOf(run);
        });
      },
      [this, alive = std::weak_ptr(alive_),
       respond = std::move(respond)](Result<broker::RpcReply> reply) {
        bool kept = reply.ok();
        respond(std::move(reply));
        if (kept && !alive.expired()) Nudge();
      });
}

void RunCommands::Keep(const schema::Request& request, Run run, Responder respond) {
  if (!request.idempotency_key.empty()) {
    return KeepOnce(request, std::move(run), std::move(respond));
  }
  broker::RpcReply reply = ReplyOf(run);
  writer_.Write(std::move(run), [this, alive = std::weak_ptr(alive_), reply = std::move(reply),
                                 respond = std::move(respond)](const Status& kept) mutable {
    if (!kept.ok()) return respond(kept.error());
    respond(std::move(reply));
    if (!alive.expired()) Nudge();
  });
}

void RunCommands::RunNow(const RunExecution::FunctionPtr& function, Run run, Responder respond) {
  RunRequest request = run.request;
  ++blocking_;
  ++blocking_of_[run.org];
  execution_.Execute(
      run.id, function, request, kMostBlocking,
      [this, run = std::move(run), respond = std::move(respond)](RunOutcome outcome) mutable {
        EndBlocking(run.org);
        run.Finish(std::move(outcome), ToMicros(loop_.Now()));
        Count(run);
        // The caller learns what came of it even when that cannot be kept.
        broker::RpcReply reply = ReplyOf(run);
        std::string id = run.id.ToString();
        writer_.Write(std::move(run), [id, reply = std::move(reply),
                                       respond = std::move(respond)](const Status& kept) mutable {
          if (!kept.ok() && log::Sometimes("run.not-kept", 5)) {
            log::Warning("run not kept id={} error=\"{}\"", id, kept.message());
          }
          respond(std::move(reply));
        });
      });
}

void RunCommands::Cancel(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto id = IdOf(*body);
  if (!id.ok()) return respond(id.error());
  pool_.Query<broker::RpcReply>(
      [request, id = *id, now_us = ToMicros(loop_.Now())](pg::Transaction& tx) {
        return Once(tx, request, [&]() -> Result<broker::RpcReply> {
          ASSIGN_OR_RETURN(Run run, CancelRun(tx, request.org, id, now_us));
          return ReplyOf(run);
        });
      },
      std::move(respond));
}

void RunCommands::Rerun(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto id = IdOf(*body);
  if (!id.ok()) return respond(id.error());
  pool_.Query<Run>(
      [org = request.org, id = *id](pg::Transaction& tx) { return FindRun(tx, org, id, ""); },
      [this, alive = std::weak_ptr(alive_), request,
       respond = std::move(respond)](const Result<Run>& found) mutable {
        if (alive.expired()) return;
        if (!found.ok()) return respond(found.error());
        Run run = NewRun(found->org, found->function, found->request);
        run.request.blocking = false;
        run.request.traceparent = SampledIn(request);
        catalog_.Find(
            run.org, run.function,
            [this, alive, request, run, respond = std::move(respond)](const auto& f) mutable {
              if (alive.expired()) return;
              if (!f.ok()) return respond(f.error());
              run.function_id = (*f)->uuid;
              run.faas_id = (*f)->version->id;
              Keep(request, std::move(run), std::move(respond));
            });
      });
}

void RunCommands::Get(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  auto id = IdOf(*body);
  if (!id.ok()) return respond(id.error());
  pool_.Query<Run>([org = request.org, id = *id, function = json::GetString(*body, "functionName")](
                       pg::Transaction& tx) { return FindRun(tx, org, id, function); },
                   [respond = std::move(respond)](const Result<Run>& run) {
                     if (!run.ok()) return respond(run.error());
                     respond(ReplyOf(*run, true));
                   });
}

void RunCommands::List(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  RunQuery query = QueryOf(request.org, *body);
  query.before = json::GetString(*body, "cursor");
  query.limit = static_cast<size_t>(std::max<int64_t>(0, json::GetInt(*body, "limit")));
  pool_.Query<RunPage>([query](pg::Transaction& tx) { return ListRuns(tx, query); },
                       [respond = std::move(respond)](const Result<RunPage>& page) {
                         if (!page.ok()) return respond(page.error());
                         json::array items;
                         for (const Run& run : page->runs)
                           items.push_back(RunFormThatFits(run, true));
                         broker::RpcReply reply;
                         reply.body = json::object{{"items", std::move(items)}};
                         if (!page->next.empty()) reply.body.as_object()["next"] = page->next;
                         respond(std::move(reply));
                       });
}

void RunCommands::Changes(const schema::Request& request, Responder respond) {
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return respond(body.error());
  RunQuery query = QueryOf(request.org, *body);
  std::optional<RunCursor> after;
  if (std::string text = json::GetString(*body, "after"); !text.empty()) {
    auto cursor = RunCursor::Parse(text);
    if (!cursor.ok()) return respond(cursor.error());
    after = *cursor;
  }
  pool_.Query<RunChanges>(
      [query, after](pg::Transaction& tx) { return ListRunChanges(tx, query, after); },
      [respond = std::move(respond)](const Result<RunChanges>& changes) {
        if (!changes.ok()) return respond(changes.error());
        json::array items;
        for (const Run& run : changes->runs) items.push_back(RunSummary(run));
        broker::RpcReply reply;
        reply.body = json::object{
            {"items", std::move(items)}, {"next", changes->next.Text()}, {"cut", changes->cut}};
        respond(std::move(reply));
      });
}

void RunCommands::Start() {
  Claim();
  Renew();
  Forget();
}

void RunCommands::Nudge() {
  nudged_ = true;
  if (!claiming_) Claim();
}

void RunCommands::Claim() {
  if (stopping_ || claiming_) return;
  nudged_ = false;
  size_t room = options_.max_in_flight - std::min(options_.max_in_flight, running_.size());
  if (room == 0) return LookAgain();
  claiming_ = true;
  std::map<std::string, size_t> each;
  std::vector<Uuid> running;
  for (const auto& [id, claimed] : running_) {
    ++each[claimed->run.org + "/" + claimed->run.function];
    running.push_back(id);
  }
  std::vector<std::string> busy;
  for (const auto& [function, count] : each) {
    if (count >= options_.max_in_flight_per_function) busy.push_back(function);
  }
  size_t most = std::min(room, options_.max_in_flight_per_function);
  pool_.Query<std::vector<ClaimedRun>>(
      [owner = owner_, most, busy, running = std::move(running)](pg::Transaction& tx) {
        return ClaimRuns(tx, owner, most, busy, running);
      },
      [this, alive = std::weak_ptr(alive_), most](auto claimed) {
        if (alive.expired()) return;
        claiming_ = false;
        if (!claimed.ok()) {
          if (log::Sometimes("run.claim", 5)) {
            log::Warning("runs not claimed error=\"{}\"", claimed.message());
          }
          return LookAgain();
        }
        bool more = claimed->size() == most || nudged_;
        for (ClaimedRun& run : *claimed) Begin(std::move(run));
        more ? Claim() : LookAgain();
      },
      pg::Unit::kStatement);
}

void RunCommands::LookAgain() {
  loop_.Cancel(look_);
  look_ = loop_.AfterAbout(kLook, [this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    look_ = kNoTimer;
    if (!claiming_) Claim();
  });
}

void RunCommands::Begin(ClaimedRun claimed) {
  Uuid id = claimed.run.id;
  auto kept = std::make_shared<ClaimedRun>(std::move(claimed));
  running_[id] = kept;
  if (stopping_)
    return Settle(id,
                  [owner = owner_, id](pg::Transaction& tx) { return GiveBackRun(tx, owner, id); });
  // An instance that died of it must not be followed by all others.
  if (kept->attempt > options_.max_attempts) {
    return Ended(id, SystemFailure(fmt::format("given up: {} attempts did not bring it to an end",
                                               options_.max_attempts)));
  }
  catalog_.Find(kept->run.org, kept->run.function,
                [this, alive = std::weak_ptr(alive_), kept, id](const auto& function) {
                  if (alive.expired()) return;
                  if (!function.ok()) return Ended(id, SystemFailure(function.message()));
                  kept->run.faas_id = (*function)->version->id;
                  execution_.Execute(id, *function, kept->run.request, std::chrono::milliseconds(0),
                                     [this, id](RunOutcome o) { Ended(id, std::move(o)); });
                });
}

void RunCommands::Ended(const Uuid& id, RunOutcome outcome) {
  auto found = running_.find(id);
  if (found == running_.end()) return;
  ClaimedRun& claimed = *found->second;
  bool ours = outcome.error && outcome.error->type == kSystemError;
  if (ours && claimed.attempt < options_.max_attempts) {
    auto delay = std::chrono::milliseconds(500) * (1 << (2 * (claimed.attempt - 1)));
    return Settle(id, [owner = owner_, id, delay](pg::Transaction& tx) {
      return ReleaseRun(tx, owner, id, delay);
    });
  }
  claimed.run.Finish(std::move(outcome), ToMicros(loop_.Now()));
  Count(claimed.run);
  Settle(id, [owner = owner_, run = claimed.run](pg::Transaction& tx) {
    // False: it was cancelled, or another has it since our lease ended. Either is told already.
    return FinishRun(tx, owner, run).status();
  });
}

// What came of a run must be written, or its lease ends and it is begun again: tried while we live.
void RunCommands::Settle(const Uuid& id, std::function<Status(pg::Transaction&)> work) {
  pool_.Run(work, [this, alive = std::weak_ptr(alive_), id, work](const Status& status) {
    if (alive.expired()) return;
    if (!status.ok() && status.error().retryable) {
      loop_.After(std::chrono::seconds(1), [this, alive, id, work] {
        if (!alive.expired()) Settle(id, work);
      });
      return;
    }
    if (!status.ok())
      log::Warning("run not settled id={} error=\"{}\"", id.ToString(), status.message());
    running_.erase(id);
  });
}

void RunCommands::Renew() {
  loop_.After(kRenewEvery, [this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    Renew();
    if (running_.empty()) return;
    std::vector<Uuid> ids;
    for (const auto& [id, claimed] : running_) ids.push_back(id);
    pool_.Run([owner = owner_, ids](pg::Transaction& tx) { return RenewRuns(tx, owner, ids); },
              [](const Status& status) {
                if (!status.ok() && log::Sometimes("run.renew", 5)) {
                  log::Warning("leases of runs not renewed error=\"{}\"", status.message());
                }
              });
  });
}

void RunCommands::Forget() {
  int64_t before_us = ToMicros(loop_.Now() - options_.retention);
  pool_.Query<size_t>(
      [before_us](pg::Transaction& tx) { return ForgetRuns(tx, before_us, kForgetAtOnce); },
      [this, alive = std::weak_ptr(alive_)](const Result<size_t>& gone) {
        if (alive.expired()) return;
        bool more = gone.ok() && *gone == kForgetAtOnce;
        loop_.After(more ? Duration(std::chrono::milliseconds(100)) : kForgetEvery, [this, alive] {
          if (!alive.expired()) Forget();
        });
      });
}

void RunCommands::Stop(std::function<void()> done) {
  stopping_ = true;
  pool_.Run(
      [owner = owner_, running = running_](pg::Transaction& tx) -> Status {
        for (const auto& [id, claimed] : running) {
          RETURN_IF_ERROR(GiveBackRun(tx, owner, id));
        }
        return {};
      },
      [done = std::move(done)](const Status&) { done(); });
}

}  // namespace dispatch
