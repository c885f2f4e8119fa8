#include "function-manager/src/runtime/internal/worker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "common/check.h"
#include "common/json.h"

namespace dispatch::runtime {
namespace {

using std::chrono::milliseconds;

constexpr size_t kHeader = 4;
constexpr size_t kChunk = 64 * 1024;
// What a pipe holds, twice: enough to have all that was written before the answer.
constexpr int kDrainChunks = 2;
// Output that nobody keeps is read at 64 KiB each of these, so that a flood costs the service
// little.
constexpr milliseconds kPause{5};
// How long a worker that closed its socket may take to exit, which tells more about why.
constexpr milliseconds kCloseWait{200};
constexpr size_t kStartLogBytes = 4096;
constexpr size_t kMessageBytes = 16 * 1024;
constexpr int kShellSignal = 128;

RunError SystemFault(std::string message) { return {"SystemError", std::move(message), {}}; }
RunError FunctionFault(std::string message) { return {"FunctionError", std::move(message), {}}; }

/// What a worker says of an error. A type of its own invention is a FunctionError.
RunError ReadError(const json::object& o) {
  RunError error{json::GetString(o, "type"), json::GetString(o, "message"), {}};
  if (error.type != "InputError" && error.type != "SystemError") error.type = "FunctionError";
  if (error.message.size() > kMessageBytes) {
    error.message = ValidUtf8(std::string_view(error.message).substr(0, kMessageBytes));
  }
  if (const auto* lines = json::GetArray(o, "stacktrace")) {
    size_t left = kMessageBytes;
    for (const auto& line : *lines) {
      if (!line.is_string() || line.as_string().size() > left) break;
      left -= line.as_string().size();
      error.stacktrace.emplace_back(line.as_string());
    }
  }
  return error;
}

Result<std::pair<Fd, Fd>> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {Code::kUnavailable, "too many open files"};
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return std::pair{Fd(ends[0]), Fd(ends[1])};
}

class GroupRemains : public Remains {
 public:
  explicit GroupRemains(std::unique_ptr<Cgroup> group) : group_(std::move(group)) {}
  bool Remove() override { return group_->Remove(); }
  bool Await() override { return group_->Await(); }

 private:
  std::unique_ptr<Cgroup> group_;
};

}  // namespace

Worker::Worker(EventLoop& loop, Poller& poller, const ProcessRunnerOptions& options, Events events)
    : loop_(loop), poller_(poller), options_(options), events_(std::move(events)) {}

Result<std::unique_ptr<Worker>> Worker::Make(EventLoop& loop, Poller& poller,
                                             const ProcessRunnerOptions& options,
                                             const FunctionVersion& version, Launch launch,
                                             Events events) {
  std::unique_ptr<Worker> worker(new Worker(loop, poller, options, std::move(events)));
  Worker* w = worker.get();
  ASSIGN_OR_RETURN(auto out, MakePipe());
  ASSIGN_OR_RETURN(auto err, MakePipe());
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return {Code::kUnavailable, "too many open files"};
  }
  w->socket_ = Fd(pair[0]);
  Fd theirs(pair[1]);
  fcntl(w->socket_.get(), F_SETFL, O_NONBLOCK);
  Fd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  SpawnSpec spec{.argv = std::move(launch.argv),
                 .name = std::move(launch.name),
                 .env = std::move(launch.env),
                 .fds = {null.get(), out.second.get(), err.second.get(), theirs.get()},
                 .cgroups = {},
                 .nice = launch.nice};
  if (launch.filter) spec.fds.push_back(launch.filter.get());
  if (launch.gate) spec.fds.push_back(launch.gate->helper.get());
  for (const auto& entry : launch.cgroup_entries) spec.cgroups.push_back(entry.get());
  ASSIGN_OR_RETURN(w->pid_, Spawn(spec));
  w->cgroup_ = std::move(launch.cgroup);
  w->gate_ = std::move(launch.gate);
  if (w->gate_) w->gate_->helper.Reset();
  w->memory_bytes_ = version.memory_bytes;
  w->pidfd_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, w->pid_, 0)));
  if (!w->pidfd_) return {Code::kUnavailable, "too many open files"};
  fcntl(w->pidfd_.get(), F_SETFD, FD_CLOEXEC);
  w->log_.emplace(kStartLogBytes);
  w->streams_[0].fd = std::move(out.first);
  w->streams_[1].fd = std::move(err.first);
  for (bool is_err : {false, true}) {
    w->streams_[is_err].token = poller.Add(w->streams_[is_err].fd.get(), EPOLLIN,
                                           [w, is_err](uint32_t) { w->OnOutput(is_err); });
  }
  w->socket_token_ =
      poller.Add(w->socket_.get(), EPOLLIN, [w](uint32_t events) { w->OnSocket(events); });
  w->exit_token_ = poller.Add(w->pidfd_.get(), EPOLLIN, [w](uint32_t) { w->OnExit(); });
  return worker;
}

Worker::~Worker() {
  Unwatch();
  if (pid_ <= 0) return;
  Kill();
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::unique_ptr<Remains> Worker::TakeRemains() {
  if (cgroup_ == nullptr) return nullptr;
  return std::make_unique<GroupRemains>(std::move(cgroup_));
}

void Worker::Unwatch() {
  poller_.Remove(socket_token_);
  poller_.Remove(exit_token_);
  for (auto& stream : streams_) {
    poller_.Remove(stream.token);
    loop_.Cancel(std::exchange(stream.paused, kNoTimer));
  }
  loop_.Cancel(std::exchange(closing_, kNoTimer));
}

void Worker::Start(const RunInput& input) {
  DISPATCH_CHECK(usable());
  for (bool is_err : {false, true}) {
    if (streams_[is_err].fd) Drain(is_err);  // of before: nobody's
  }
  state_ = State::kBusy;
  log_.emplace(options_.log_bytes);
  began_ = loop_.Steady();
  std::string body = "{\"context\":" + boost::json::serialize(input.context) +
                     ",\"payload\":" + boost::json::serialize(input.payload) + "}";
  auto size = static_cast<uint32_t>(body.size());
  out_.clear();
  for (int shift : {24, 16, 8, 0}) out_.push_back(static_cast<char>(size >> shift));
  out_ += body;
  sent_ = 0;
  WriteSocket();
}

void Worker::WriteSocket() {
  while (sent_ < out_.size()) {
    ssize_t size =
        send(socket_.get(), out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) break;  // when it is broken, reading tells
    sent_ += static_cast<size_t>(size);
  }
  bool more = sent_ < out_.size();
  if (!more && out_.empty()) return;
  if (!closed_) poller_.Change(socket_token_, more ? EPOLLIN | EPOLLOUT : EPOLLIN);
  if (!more) std::string().swap(out_);
}

void Worker::OnSocket(uint32_t events) {
  if ((events & EPOLLOUT) != 0 && sent_ < out_.size()) WriteSocket();
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) ReadSocket();
}

void Worker::ReadSocket() {
  char chunk[kChunk];
  ssize_t size = recv(socket_.get(), chunk, sizeof(chunk), MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) return OnClosed();
  if (state_ == State::kEnding) return;
  in_.append(chunk, static_cast<size_t>(size));
  while (in_.size() >= kHeader && state_ != State::kEnding) {
    size_t length = 0;
    for (size_t i = 0; i < kHeader; ++i) length = length << 8 | static_cast<uint8_t>(in_[i]);
    if (length > options_.answer_bytes) {
      return Break(FunctionFault(
          fmt::format("The function's answer is larger than {} bytes", options_.answer_bytes)));
    }
    if (in_.size() < kHeader + length) return;
    std::string frame = in_.substr(kHeader, length);
    in_.erase(0, kHeader + length);
    OnFrame(frame);
  }
}

void Worker::OnFrame(std::string_view text) {
  auto parsed = json::Parse(text, json::kDataDepth);
  auto* frame = parsed.ok() ? parsed->if_object() : nullptr;
  const json::object* error = nullptr;
  switch (state_) {
    case State::kStarting:
      if (frame == nullptr || !json::GetBool(*frame, "hello")) {
        return Break(SystemFault("the worker's first words make no sense"));
      }
      state_ = State::kLoading;
      return;
    case State::kLoading:
      if (frame != nullptr && json::GetBool(*frame, "ready")) {
        state_ = State::kIdle;
        log_.reset();
        return events_.ready();
      }
      error = frame != nullptr ? json::GetObject(*frame, "failed") : nullptr;
      return Break(error != nullptr
                       ? ReadError(*error)
                       : FunctionFault("The function broke the protocol of its runtime"));
    case State::kBusy: {
      if (frame == nullptr || (!frame->contains("payload") && !frame->contains("error"))) {
        return Break(FunctionFault("The function's answer is no JSON" +
                                   (parsed.ok() ? "" : ": " + parsed.message())));
      }
      RunOutcome outcome;
      if ((error = json::GetObject(*frame, "error")) != nullptr) {
        outcome.error = ReadError(*error);
      } else if (auto* payload = frame->if_contains("payload")) {
        outcome.payload = std::move(*payload);
      }
      state_ = State::kIdle;
      return Answer(std::move(outcome));
    }
    case State::kIdle:  // words that nobody asked for: the next run would take them for its answer
      return End();
    case State::kEnding:
      return;
  }
}

void Worker::Answer(RunOutcome outcome) {
  for (bool is_err : {false, true}) {
    if (streams_[is_err].fd && !Drain(is_err)) poller_.Remove(streams_[is_err].token);
  }
  log_->Finish();
  outcome.out = std::move(log_->out);
  outcome.err = std::move(log_->err);
  outcome.logs_cut = log_->cut();
  outcome.elapsed = loop_.Steady() - began_;
  log_.reset();
  events_.answered(std::move(outcome));
}

void Worker::Break(RunError error) {
  State before = std::exchange(state_, State::kEnding);
  Kill();
  if (before == State::kBusy) {
    RunOutcome outcome;
    outcome.error = std::move(error);
    Answer(std::move(outcome));
  } else if (before == State::kStarting || before == State::kLoading) {
    events_.failed(std::move(error));
  }
}

void Worker::Abort(RunError error) { Break(std::move(error)); }

void Worker::End() {
  state_ = State::kEnding;
  Kill();
}

void Worker::Kill() {
  if (pid_ <= 0) return;
  // The kernel ends what is inside with bwrap; without a sandbox the group is all that there is.
  kill(-pid_, SIGKILL);
  kill(pid_, SIGKILL);
}

void Worker::OnClosed() {
  if (closed_) return;
  closed_ = true;
  poller_.Remove(socket_token_);
  closing_ = loop_.After(kCloseWait, [this] {
    closing_ = kNoTimer;
    Break(FunctionFault("The function closed the connection to its runtime"));
  });
}

RunError Worker::ExitError(int status) const {
  if (cgroup_ != nullptr && cgroup_->OutOfMemory()) {
    return FunctionFault(fmt::format("The function used more memory than its limit of {} MB",
                                     memory_bytes_ / 1024 / 1024));
  }
  int signal = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) - kShellSignal;
  std::string how = signal > 0 ? fmt::format("signal {}", signal)
                               : fmt::format("exit code {}", WEXITSTATUS(status));
  if (state_ != State::kStarting) {
    return FunctionFault("The function's process ended (" + how + ") before it answered");
  }
  std::string words;
  if (log_) {
    for (const auto& line : log_->err) words += ": " + line;
  }
  return SystemFault("the function's worker does not start (" + how + ")" + words);
}

void Worker::OnExit() {
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return;
  kill(-pid_, SIGKILL);  // what it left behind when there is no sandbox
  pid_ = -1;
  if (!closed_ && state_ != State::kEnding) ReadSocket();  // what it said before it went
  Unwatch();
  if (state_ == State::kStarting && log_) {
    Drain(true);
    log_->Finish();
  }
  Break(ExitError(status));
  events_.ended();
}

void Worker::OnOutput(bool is_err) {
  Stream& stream = streams_[is_err];
  if (!Drain(is_err)) return poller_.Remove(stream.token);
  if (log_ && !log_->cut()) return;
  if (stream.paused != kNoTimer) return;
  poller_.Change(stream.token, 0);
  stream.paused = loop_.After(kPause, [this, is_err] {
    streams_[is_err].paused = kNoTimer;
    if (streams_[is_err].fd) poller_.Change(streams_[is_err].token, EPOLLIN);
  });
}

bool Worker::Drain(bool is_err) {
  Stream& stream = streams_[is_err];
  char chunk[kChunk];
  for (int i = 0; i < kDrainChunks; ++i) {
    ssize_t size = read(stream.fd.get(), chunk, sizeof(chunk));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return true;
    if (size == 0) {
      poller_.Remove(stream.token);
      loop_.Cancel(std::exchange(stream.paused, kNoTimer));
      stream.fd.Reset();
      return false;
    }
    if (log_) log_->Append(is_err, {chunk, static_cast<size_t>(size)});
  }
  return true;
}

}  // namespace dispatch::runtime
