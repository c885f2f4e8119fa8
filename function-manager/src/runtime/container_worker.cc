#include "function-manager/src/runtime/internal/container_worker.h"

#include <fmt/format.h>

#include "common/check.h"
#include "common/container/network_namespace.h"
#include "common/json.h"
#include "common/log.h"
#include "function-manager/src/domain/run.h"
#include "schema/rfc3339.h"

namespace dispatch::runtime {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kHealthEvery{20};
constexpr milliseconds kHealthAnswer{5'000};
// A server whose answer says nothing of logs: what it wrote comes by another way than its answer.
constexpr milliseconds kLogsBehind{50};
constexpr milliseconds kEndBehind{500};
constexpr milliseconds kRemoveAgain{1'000};
constexpr milliseconds kRemoveLater{30'000};
constexpr int kRemoveSoon = 30;  // times; then later, for as long as it takes: it may run on
constexpr size_t kStartLogBytes = 4096;
constexpr size_t kMostUnread = 1024 * 1024;
constexpr int64_t kMiB = 1024 * 1024;

std::string Server(const char* path) { return fmt::format("http://127.0.0.1{}", path); }

RunError Fault(const char* type, std::string message) { return {type, std::move(message), {}}; }

// To the bound that logs of processes have.
bool CutLines(std::vector<std::string>& lines, size_t& left) {
  size_t kept = 0;
  while (kept < lines.size() && lines[kept].size() < left) left -= lines[kept++].size() + 1;
  bool cut = kept < lines.size();
  lines.resize(kept);
  return cut;
}

}  // namespace

ContainerWorker::ContainerWorker(EventLoop& loop, container::Engine& engine,
                                 const ContainerRunnerOptions& options,
                                 const FunctionVersion& version, Events events)
    : loop_(loop),
      engine_(engine),
      options_(options),
      version_(version),
      events_(std::move(events)),
      frames_(Frames()) {
  log_.emplace(kStartLogBytes);
  timer_ = loop_.After(Duration(0), [this] {
    timer_ = kNoTimer;
    Create(false);
  });
}

ContainerWorker::~ContainerWorker() { loop_.Cancel(timer_); }

template <typename Task>
auto ContainerWorker::Guard(Task task) {
  return [alive = std::weak_ptr(alive_), task = std::move(task)](auto&&... with) {
    if (!alive.expired()) task(std::forward<decltype(with)>(with)...);
  };
}

void ContainerWorker::Create(bool pulled) {
  if (state_ == State::kEnding) return events_.ended();
  asked_ = true;
  engine_.Create(
      ContainerSpec(version_, options_.owner), Guard([this, pulled](Result<std::string> id) {
        if (id.ok()) return OnCreated(std::move(*id));
        if (id.code() == Code::kNotFound && !pulled && state_ != State::kEnding) {
          return engine_.Image(version_.image, Guard([this](const Result<std::string>& found) {
                                 if (found.ok()) return Create(true);
                                 Break(Fault(kSystemError, found.message()));
                                 events_.ended();
                               }));
        }
        Break(Fault(kSystemError, id.message()));
        events_.ended();
      }));
}

void ContainerWorker::OnCreated(std::string id) {
  id_ = std::move(id);
  if (state_ == State::kEnding) return Remove(1);
  Attach([this] { StartContainer(); });
}

void ContainerWorker::StartContainer() {
  if (state_ != State::kStarting) return;
  engine_.Start(id_, Guard([this](const Status& started) {
                  if (state_ != State::kStarting) return;
                  if (!started.ok()) {
                    // An image without such a program, a limit that the engine cannot set ...
                    return Break(Fault(kSystemError, started.message()));
                  }
                  engine_.Wait(id_, Guard([this](const Status& ended) {
                                 if (ended.ok()) Explain("ended");
                               }));
                  OnStarted();
                }));
}

void ContainerWorker::OnStarted() {
  engine_.Inspect(id_, Guard([this](const Result<container::State>& found) {
                    if (state_ != State::kStarting) return;
                    if (!found.ok()) return Break(Fault(kSystemError, found.message()));
                    if (!found->running) return;  // the wait tells
                    auto inside = container::NetworkNamespace::Of(found->pid);
                    if (!inside.ok()) return Break(Fault(kSystemError, inside.message()));
                    http::ClientOptions client;
                    client.dial = [network = *inside] { return network->Dial(kContainerPort); };
                    // A connection for each request: one that was kept and found broken would be
                    // sent again.
                    client.max_idle_per_host = 0;
                    server_ = std::make_unique<http::Client>(loop_, client);
                    // Whether the number is still the container's, which a next process could have
                    // got.
                    engine_.Inspect(
                        id_, Guard([this, pid = found->pid](const Result<container::State>& again) {
                          if (state_ != State::kStarting) return;
                          bool same = again.ok() && again->running && again->pid == pid;
                          if (!same) return Explain("ended");
                          state_ = State::kLoading;
                          AskHealth();
                        }));
                  }));
}

void ContainerWorker::AskHealth() {
  http::ClientRequest request;
  request.method = "GET";
  request.url = Server("/healthz");
  request.timeout = kHealthAnswer;
  server_->Send(std::move(request), [this](const http::Client::Outcome& outcome) {
    if (state_ != State::kLoading) return;
    if (outcome.failure != http::FailureKind::kNone || outcome.response.status != 200) {
      timer_ = loop_.After(kHealthEvery, [this] {
        timer_ = kNoTimer;
        if (state_ == State::kLoading) AskHealth();
      });
      return;
    }
    state_ = State::kIdle;
    log_.reset();
    events_.ready();
  });
}

container::LogFrames ContainerWorker::Frames() {
  return container::LogFrames([this](bool err, std::string_view text) {
    if (log_) log_->Append(err, text);
  });
}

void ContainerWorker::Attach(std::function<void()> task) {
  when_attached_ = std::move(task);
  unread_ = 0;
  frames_ = Frames();
  output_ = engine_.Attach(
      id_, Guard([this] {
        attached_ = true;
        Attached();
      }),
      [this, alive = std::weak_ptr(alive_)](std::string_view data) {
        return !alive.expired() && OnOutput(data);
      },
      Guard([this] {
        attached_ = false;
        Attached();
      }));
}

void ContainerWorker::Attached() {
  if (auto task = std::exchange(when_attached_, nullptr)) task();
}

// A flood is not read on: the engine drops what nobody takes, until the next run.
bool ContainerWorker::OnOutput(std::string_view data) {
  if (!log_ || log_->cut()) unread_ += data.size();
  return frames_.Append(data) && unread_ < kMostUnread && state_ != State::kEnding;
}

void ContainerWorker::Start(const RunInput& input) {
  DISPATCH_CHECK(usable());
  state_ = State::kBusy;
  log_.emplace(options_.log_bytes);
  unread_ = 0;
  began_ = loop_.Steady();
  ++run_;
  if (attached_) return Send(input);
  Attach([this, input, run = run_] {
    if (state_ == State::kBusy && run == run_) Send(input);
  });
}

void ContainerWorker::Send(const RunInput& input) {
  json::object context = input.context;
  if (input.timeout.count() > 0) {
    context["deadline"] = schema::FormatRfc3339(loop_.Now() + input.timeout);
  }
  http::ClientRequest request;
  request.url = Server("/");
  request.timeout = options_.longest + kHealthAnswer;  // the pool aborts before
  request.max_response_bytes = options_.answer_bytes;
  request.headers.Add("Content-Type", "application/json");
  request.body =
      json::Serialize(json::object{{"context", std::move(context)}, {"payload", input.payload}});
  server_->Send(std::move(request), [this, run = run_](const http::Client::Outcome& outcome) {
    OnAnswer(run, outcome);
  });
}

void ContainerWorker::OnAnswer(uint64_t run, const http::Client::Outcome& answer) {
  if (state_ != State::kBusy || run != run_) return;
  if (answer.failure != http::FailureKind::kNone) {
    // Its end, when that is why, tells more.
    timer_ = loop_.After(kEndBehind, [this, failure = answer.failure] {
      timer_ = kNoTimer;
      Explain(fmt::format("broke its connection ({})", http::FailureKindName(failure)));
    });
    return;
  }
  RunOutcome outcome;
  if (answer.response.status != 200) {
    outcome.error =
        Fault(kSystemError, fmt::format("the function's container answered {} in place of 200",
                                        answer.response.status));
    return Answer(std::move(outcome), false);
  }
  if (answer.response.truncated) {
    outcome.error =
        Fault(kFunctionError,
              fmt::format("The function's answer is larger than {} bytes", options_.answer_bytes));
    return Answer(std::move(outcome), false);
  }
  auto read = ReadFunctionAnswer(answer.response.body, "the function's container");
  Answer(std::move(read.outcome), read.has_logs);
}

void ContainerWorker::Answer(RunOutcome outcome, bool has_logs) {
  outcome.elapsed = loop_.Steady() - began_;
  if (has_logs) {
    size_t left = options_.log_bytes;
    outcome.logs_cut = CutLines(outcome.out, left);
    outcome.logs_cut = CutLines(outcome.err, left) || outcome.logs_cut;
    log_.reset();
    state_ = State::kIdle;
    return events_.answered(std::move(outcome));
  }
  answer_ = std::move(outcome);
  timer_ = loop_.After(kLogsBehind, [this] {
    timer_ = kNoTimer;
    state_ = State::kIdle;
    Tell();
  });
}

void ContainerWorker::Tell() {
  RunOutcome outcome = std::move(*answer_);
  answer_.reset();
  log_->Finish();
  outcome.out = std::move(log_->out);
  outcome.err = std::move(log_->err);
  outcome.logs_cut = log_->cut();
  log_.reset();
  events_.answered(std::move(outcome));
}

void ContainerWorker::Explain(const std::string& otherwise) {
  if (state_ == State::kEnding) return;
  engine_.Inspect(
      id_, Guard([this, otherwise](const Result<container::State>& found) {
        if (state_ == State::kEnding) return;
        if (found.ok() && found->out_of_memory) {
          return Break(Fault(kFunctionError,
                             fmt::format("The function used more memory than its limit of {} MB",
                                         version_.memory_bytes / kMiB)));
        }
        std::string how = found.ok() && !found->running
                              ? fmt::format("ended (exit code {})", found->exit_code)
                              : otherwise;
        bool loaded = state_ == State::kBusy || state_ == State::kIdle;
        std::string message = fmt::format("The function's container {} before {}", how,
                                          loaded ? "it answered" : "its server was healthy");
        RunError error = Fault(kFunctionError, std::move(message));
        if (!loaded && log_) {
          log_->Finish();
          error.stacktrace = log_->err.empty() ? std::move(log_->out) : std::move(log_->err);
        }
        Break(std::move(error));
      }));
}

void ContainerWorker::Break(RunError error) {
  if (state_ == State::kEnding) return;
  State before = std::exchange(state_, State::kEnding);
  loop_.Cancel(std::exchange(timer_, kNoTimer));
  if (!id_.empty()) {
    Remove(1);
  } else if (!asked_) {
    timer_ = loop_.After(Duration(0), [this] {
      timer_ = kNoTimer;
      events_.ended();
    });
  }  // else it is being made, and removed then
  if (before == State::kBusy) {
    // What it answered stays its answer when it ends, or is ended, before its log is all there.
    if (!answer_) {
      answer_.emplace();
      answer_->error = std::move(error);
      answer_->elapsed = loop_.Steady() - began_;
    }
    Tell();
  } else if (before == State::kStarting || before == State::kLoading) {
    events_.failed(std::move(error));
  }
}

void ContainerWorker::Remove(int time) {
  engine_.Remove(id_, Guard([this, time](const Status& removed) {
                   if (removed.ok()) return events_.ended();
                   if (time % kRemoveSoon == 0) {
                     log::Warning("container not removed yet id={} tried={} reason=\"{}\"", id_,
                                  time, removed.message());
                   }
                   timer_ =
                       loop_.After(time < kRemoveSoon ? kRemoveAgain : kRemoveLater, [this, time] {
                         timer_ = kNoTimer;
                         Remove(time + 1);
                       });
                 }));
}

}  // namespace dispatch::runtime
