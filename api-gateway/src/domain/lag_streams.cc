#include "api-gateway/src/domain/lag_streams.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "api-gateway/src/domain/lag_question.h"
#include "schema/objects.h"
#include "schema/rfc3339.h"

namespace dispatch::gateway {

namespace {

constexpr Duration kLeastPause = std::chrono::milliseconds(200);
constexpr Duration kMostPause = std::chrono::seconds(2);

// A row of the last look. What only time changes is no change: the reader has the times themselves.
struct Row {
  std::string lasting;
  std::string times;  // the fields that only time changes
  bool operator==(const Row& other) const { return lasting == other.lasting; }
  /// Both objects in one; the first has a name at least.
  std::string Text() const {
    if (times == "{}") return lasting;
    return lasting.substr(0, lasting.size() - 1) + "," + times.substr(1);
  }
};
using Rows = std::unordered_map<std::string, Row>;  // by name

Row ToRow(json::object& form) {
  json::object times;
  for (const char* name :
       {"oldestPendingSeconds", "oldestUndeliveredSeconds", "retentionSeconds"}) {
    auto field = form.find(name);
    if (field == form.end()) continue;
    times.emplace(name, std::move(field->value()));
    form.erase(field);
  }
  return {json::Serialize(form), json::Serialize(times)};
}

// Takes the rows out of the board.
Rows ToRows(json::object& board, const char* field) {
  Rows rows;
  auto* items = board.contains(field) ? board.at(field).if_array() : nullptr;
  for (json::value& item : items != nullptr ? *items : json::array()) {
    auto* form = item.if_object();
    if (form != nullptr) rows.emplace(json::GetString(*form, "name"), ToRow(*form));
  }
  return rows;
}

// What of one kind a stream is told: rows that are new or changed, and names that went.
struct Change {
  std::vector<std::string> changed;
  std::vector<std::string> removed;
};

Change Compare(const Rows& before, const Rows& now) {
  Change change;
  for (const auto& [name, row] : now) {
    auto known = before.find(name);
    if (known == before.end() || !(known->second == row)) change.changed.push_back(name);
  }
  for (const auto& [name, row] : before) {
    if (!now.contains(name)) change.removed.push_back(name);
  }
  return change;
}

struct Kind {
  const char* field;
  const char* kind;
  Rows rows = {};
  Change change = {};
};

}  // namespace

/// One client. Lives in its watch, until it goes.
class LagStreams::Stream {
 public:
  Stream(CallPtr call, Reader reader, SteadyTime now, const Options& options)
      : call_(std::move(call)),
        reader_(std::move(reader)),
        principal_(call_->principal),
        until_(now + options.stream_time),
        beat_(now + options.heartbeat) {}

  const CallPtr& call() const { return call_; }
  bool open() const { return writer_ != nullptr; }

  void Open(std::function<void()> closed) {
    writer_ = call_->Stream("text/event-stream");
    writer_->OnClosed(std::move(closed));
    writer_->OnDrain([full = full_] { *full = false; });
    Write("retry: 2000\n: lag\n\n");
  }

  /// Why it must end now; empty: it must not.
  std::string Beat(SteadyTime now, Duration heartbeat) {
    if (now < beat_) return {};
    beat_ = now + heartbeat;
    principal_ = reader_(*call_);
    if (principal_ == nullptr) return "the key may not read this any more";
    if (now >= until_) return "long enough: connect again";
    if (!*full_) Write(": heartbeat\n\n");
    return {};
  }

  void Tell(const std::vector<Kind>& kinds, bool whole) {
    // Who reads too slowly gets everything anew as soon as there is room.
    if (*full_) {
      missed_ = true;
      return;
    }
    whole = std::exchange(missed_, false) || whole;
    std::string text = fmt::format(R"({{"whole":{})", whole);
    bool any = whole;
    for (const Kind& kind : kinds) {
      std::string rows = RowsFor(kind, whole);
      std::string removed = whole ? "" : RemovedFor(kind);
      any = any || !rows.empty() || !removed.empty();
      text += fmt::format(R"(,"{0}":[{1}],"{0}Removed":[{2}])", kind.field, rows, removed);
    }
    if (any || stale_) Write(fmt::format("event: lag\ndata: {}}}\n\n", text));
    stale_ = false;
  }

  void TellStale(const std::string& told) {
    if (*full_ || std::exchange(stale_, true)) return;
    Write("event: stale\ndata: " + told + "\n\n");
  }

  void EndWith(std::string_view reason) {
    writer_->Write(fmt::format("event: end\ndata: {{\"reason\":\"{}\"}}\n\n", reason));
    writer_->End();
  }

 private:
  bool MayRead(const Kind& kind, const std::string& name) const {
    return principal_->permissions.Allows(auth::kRead, fmt::format("{}/{}", kind.kind, name));
  }
  std::string RowsFor(const Kind& kind, bool whole) const {
    std::string text;
    auto add = [&](const std::string& name, const Row& row) {
      if (MayRead(kind, name)) text += (text.empty() ? "" : ",") + row.Text();
    };
    if (whole) {
      for (const auto& [name, row] : kind.rows) add(name, row);
    } else {
      for (const auto& name : kind.change.changed) add(name, kind.rows.at(name));
    }
    return text;
  }
  std::string RemovedFor(const Kind& kind) const {
    std::string text;
    for (const auto& name : kind.change.removed) {
      if (MayRead(kind, name)) text += fmt::format("{}\"{}\"", text.empty() ? "" : ",", name);
    }
    return text;
  }
  void Write(std::string piece) {
    if (!writer_->Write(std::move(piece))) *full_ = true;
  }

  CallPtr call_;
  Reader reader_;
  std::shared_ptr<const Principal> principal_;
  SteadyTime until_;
  SteadyTime beat_;
  std::shared_ptr<http::ResponseWriter> writer_;
  // The connection has more than it may hold.
  std::shared_ptr<bool> full_ = std::make_shared<bool>(false);
  bool missed_ = false;
  bool stale_ = false;
};

/// The looks at one organisation, and who follows them.
class LagStreams::Watch : public std::enable_shared_from_this<Watch> {
 public:
  explicit Watch(LagStreams& owner) : owner_(owner) {}
  ~Watch() { owner_.loop_.Cancel(timer_); }

  size_t size() const { return streams_.size(); }

  void Add(std::shared_ptr<Stream> stream) {
    streams_.push_back(std::move(stream));
    owner_.loop_.Cancel(std::exchange(timer_, kNoTimer));
    if (!looking_) Look();
  }

  void Stop() {
    for (const auto& stream : std::exchange(streams_, {})) {
      if (stream->open()) {
        stream->EndWith("the gateway stops: connect again");
      } else {
        stream->call()->Fail({Code::kUnavailable, "the gateway is stopping: try again"});
      }
    }
  }

 private:
  void Look() {
    if (streams_.empty()) return;
    looking_ = true;
    SteadyTime began = owner_.loop_.Steady();
    AskForLag(
        owner_.loop_, owner_.services_, streams_.front()->call(), LookTime(owner_.events_),
        [weak = weak_from_this(), began](Result<LagAnswer> lag) {
          auto self = weak.lock();
          if (!self) return;
          self->looking_ = false;
          Duration passed = self->owner_.loop_.Steady() - began;
          // One that failed costs nothing, and the next may be the first that does not.
          Duration pause = lag.ok() ? std::min(4 * lag->took, kMostPause) : Duration::zero();
          lag.ok() ? self->Tell(std::move(lag->document)) : self->TellFault(lag.error());
          self->Beat();
          self->Later(std::max({self->owner_.options_.look_every - passed, pause, kLeastPause}));
        });
  }

  void Later(Duration wait) {
    if (streams_.empty()) return;
    timer_ = owner_.loop_.After(wait, [this] {
      timer_ = kNoTimer;
      Look();
    });
  }

  void Tell(json::object board) {
    for (Kind& kind : kinds_) {
      Rows now = ToRows(board, kind.field);
      kind.change = Compare(kind.rows, now);
      kind.rows = std::move(now);
    }
    for (const auto& stream : Streams()) {
      bool is_new = !stream->open();
      if (is_new) Open(stream);
      stream->Tell(kinds_, is_new);
    }
  }

  void TellFault(const Error& error) {
    json::object told{{"reason", "event-manager does not answer"}};
    if (auto since = SilentSince(owner_.events_, owner_.loop_.Now())) {
      told = {{"reason", "event-manager is not heard"}, {"since", schema::FormatRfc3339(*since)}};
    }
    std::string stale = json::Serialize(told);
    for (const auto& stream : Streams()) {
      if (stream->open()) {
        stream->TellStale(stale);
      } else {
        stream->call()->Fail(ExplainLag(owner_.services_, *stream->call(), owner_.events_,
                                        owner_.loop_.Now(), error));
        Remove(stream.get());
      }
    }
  }

  void Beat() {
    for (const auto& stream : Streams()) {
      std::string reason = stream->Beat(owner_.loop_.Steady(), owner_.options_.heartbeat);
      if (reason.empty()) continue;
      Remove(stream.get());
      stream->EndWith(reason);
    }
  }

  void Open(const std::shared_ptr<Stream>& stream) {
    stream->Open([weak = weak_from_this(), raw = stream.get()] {
      if (auto self = weak.lock()) self->Remove(raw);
    });
  }

  // A copy: streams may go while they are told.
  std::vector<std::shared_ptr<Stream>> Streams() const { return streams_; }

  void Remove(const Stream* stream) {
    std::erase_if(streams_, [&](const auto& other) { return other.get() == stream; });
  }

  LagStreams& owner_;
  std::vector<std::shared_ptr<Stream>> streams_;
  std::vector<Kind> kinds_{{"subscriptions", schema::kSubscriptionKind},
                           {"topics", schema::kTopicKind}};
  TimerId timer_ = kNoTimer;
  bool looking_ = false;
};

LagStreams::LagStreams(Loop& loop, ServiceClient& services, const broker::StateTable& events,
                       Options options)
    : loop_(loop), services_(services), events_(events), options_(options) {}

LagStreams::~LagStreams() { Stop(); }

void LagStreams::Follow(CallPtr call, Reader reader) {
  if (stopped_) return call->Fail({Code::kUnavailable, "the gateway is stopping: try again"});
  std::erase_if(watches_, [&](const auto& entry) {
    return entry.first != call->org && entry.second->size() == 0;
  });
  auto& watch = watches_[call->org];
  if (watch == nullptr) watch = std::make_shared<Watch>(*this);
  if (size() >= options_.max || watch->size() >= options_.max_per_org) {
    return call->Fail({Code::kResourceExhausted, "too many follow the lag: try again later"});
  }
  watch->Add(
      std::make_shared<Stream>(std::move(call), std::move(reader), loop_.Steady(), options_));
}

void LagStreams::Stop() {
  stopped_ = true;
  for (const auto& [org, watch] : std::exchange(watches_, {})) watch->Stop();
}

size_t LagStreams::size() const {
  size_t all = 0;
  for (const auto& [org, watch] : watches_) all += watch->size();
  return all;
}

}  // namespace dispatch::gateway
