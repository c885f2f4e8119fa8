#include "api-gateway/src/domain/run_streams.h"

#include <fmt/format.h>

#include <algorithm>

namespace dispatch::gateway {

namespace {
constexpr std::chrono::milliseconds kAnswerTime{10'000};
constexpr char kFunctionManagerName[] = "function-manager";
}  // namespace

class RunStreams::Stream : public std::enable_shared_from_this<Stream> {
 public:
  Stream(RunStreams& owner, CallPtr call, json::object query, Allowed allowed)
      : owner_(owner),
        call_(std::move(call)),
        query_(std::move(query)),
        allowed_(std::move(allowed)) {}
  ~Stream() { owner_.loop_.Cancel(timer_); }

  const std::string& org() const { return call_->org; }

  void Start() {
    if (auto id = call_->request.headers.Get("Last-Event-ID")) query_["after"] = *id;
    // The first answer says whether there is a stream at all. It keeps this until then.
    owner_.services_.Ask(call_, kFunctionManagerName, "run.changes", query_,
                         [self = shared_from_this()](const broker::RpcReply& reply) {
                           self->owner_.Begin(self, reply.body);
                         });
  }

  void Begin(const json::value& changes) {
    until_ = owner_.loop_.Steady() + owner_.options_.stream_time;
    beat_ = owner_.loop_.Steady() + owner_.options_.heartbeat;
    writer_ = call_->Stream("text/event-stream");
    writer_->OnClosed([weak = weak_from_this()] {
      if (auto self = weak.lock()) self->Leave();
    });
    writer_->OnDrain([weak = weak_from_this()] {
      if (auto self = weak.lock()) self->full_ = false;
    });
    if (call_->request.method == "HEAD") return Finish();
    // Some proxies and clients wait for the first bytes.
    Write("retry: 2000\n: runs\n\n");
    Tell(changes);
    Later();
  }

  void Fail(const Error& error) { call_->Fail(error); }

  void EndWith(const std::string& reason) {
    if (done_) return;
    writer_->Write(fmt::format("event: end\ndata: {{\"reason\":\"{}\"}}\n\n", reason));
    Finish();
  }

 private:
  void Later() {
    if (done_) return;
    timer_ = owner_.loop_.After(owner_.options_.look_every, [this] {
      timer_ = kNoTimer;
      Look();
    });
  }

  void Look() {
    if (owner_.loop_.Steady() >= beat_ && !full_) {
      if (!allowed_(*call_)) return EndWith("the key may not read these runs any more");
      if (owner_.loop_.Steady() >= until_) return EndWith("long enough: connect again");
      beat_ = owner_.loop_.Steady() + owner_.options_.heartbeat;
      // With a field, so that it is an event of its own and the client keeps its id.
      Write(fmt::format("id: {}\n: heartbeat\n\n", json::GetString(query_, "after")));
    }
    // Who reads slower than runs end finds them later: nothing is gathered here.
    if (full_) return Later();
    owner_.services_.TryAsk(call_, kFunctionManagerName, "run.changes", query_, kAnswerTime,
                            [weak = weak_from_this()](const Result<broker::RpcReply>& reply) {
                              auto self = weak.lock();
                              if (!self || self->done_) return;
                              // A failed look is made again from where the last one ended.
                              if (reply.ok()) self->Tell(reply->body);
                              self->Later();
                            });
  }

  void Tell(const json::value& body) {
    const auto* changes = body.if_object();
    if (changes == nullptr || done_) return;
    std::string next = json::GetString(*changes, "next");
    query_["after"] = next;
    if (json::GetBool(*changes, "cut")) {
      Write(
          "event: lost\ndata: {\"reason\":\"more than 1000 runs changed at once: some are not "
          "shown\"}\n\n");
    }
    const auto* items = json::GetArray(*changes, "items");
    std::string text;
    for (size_t i = 0; items != nullptr && i < items->size(); ++i) {
      // Where reading goes on is behind all of them.
      if (i + 1 == items->size()) text += fmt::format("id: {}\n", next);
      text += fmt::format("data: {}\n\n", json::Serialize((*items)[i]));
    }
    if (items == nullptr || items->empty()) {
      if (!std::exchange(told_where_, true)) text = fmt::format("id: {}\n\n", next);
    }
    told_where_ = true;
    if (!text.empty()) Write(std::move(text));
  }

  void Write(std::string piece) {
    if (!done_ && !writer_->Write(std::move(piece))) full_ = true;
  }

  void Finish() {
    auto writer = writer_;
    Leave();
    writer->End();
  }

  void Leave() {
    if (std::exchange(done_, true)) return;
    owner_.loop_.Cancel(timer_);
    timer_ = kNoTimer;
    owner_.streams_.erase(shared_from_this());
  }

  RunStreams& owner_;
  CallPtr call_;
  json::object query_;
  Allowed allowed_;
  std::shared_ptr<http::ResponseWriter> writer_;
  TimerId timer_ = kNoTimer;
  SteadyTime until_{};
  SteadyTime beat_{};
  bool told_where_ = false;  // the client has an id to come back with
  bool full_ = false;        // the connection has more than it may hold
  bool done_ = false;
};

void RunStreams::Follow(CallPtr call, json::object query, Allowed allowed) {
  std::make_shared<Stream>(*this, std::move(call), std::move(query), std::move(allowed))->Start();
}

void RunStreams::Begin(const std::shared_ptr<Stream>& stream, const json::value& changes) {
  if (stopped_) {
    return stream->Fail({Code::kUnavailable, "the gateway is stopping: try again"});
  }
  auto of_org = std::count_if(streams_.begin(), streams_.end(),
                              [&](const auto& other) { return other->org() == stream->org(); });
  if (streams_.size() >= options_.max || of_org >= static_cast<int64_t>(options_.max_per_org)) {
    return stream->Fail({Code::kResourceExhausted, "too many follow runs: try again later"});
  }
  streams_.insert(stream);
  stream->Begin(changes);
}

void RunStreams::Stop() {
  stopped_ = true;
  auto streams = streams_;
  for (const auto& stream : streams) stream->EndWith("the gateway stops: connect again");
}

}  // namespace dispatch::gateway
