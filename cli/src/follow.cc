#include "cli/src/follow.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

namespace dispatch::cli {

namespace {

constexpr std::chrono::milliseconds kQuiet{45'000};  // three heartbeats of the server
constexpr Duration kFirstWait = std::chrono::seconds(2);
constexpr Duration kLongestWait = std::chrono::seconds(30);

/// Streams one after the other, each going on where the last one ended.
class Follower {
 public:
  Follower(Invocation& invocation, Api& api, const Following& following)
      : invocation_(invocation), api_(api), following_(following) {}

  Status Run() {
    while (true) {
      Status status = Once();
      if (!failure_.ok()) return failure_;
      if (enough_) return {};
      bool hopeless = !status.ok() && !status.error().retryable;
      // What was never reached is most likely not there.
      if (hopeless || (!status.ok() && last_id_.empty())) return status;
      Duration wait = std::min(kLongestWait, retry_ * (1 << std::min(failures_, 4)));
      ++failures_;
      Note(invocation_,
           fmt::format("{}; going on in {} s", status.ok() ? reason_ : status.message(),
                       std::chrono::duration_cast<std::chrono::seconds>(wait).count()));
      invocation_.environment.sleep(wait);
    }
  }

 private:
  Status Once() {
    ApiRequest request = following_.request();
    request.timeout = kQuiet;
    if (!last_id_.empty()) request.headers.Set("Last-Event-ID", last_id_);
    EventStreamReader reader;
    reason_ = "the stream ended";
    return api_.Follow(request, [&](std::string_view piece) {
      failure_ = reader.Take(piece, [this](const ServerSentEvent& event) { OnEvent(event); });
      // A stream that lives again may fail again as if for the first time.
      if (!reader.last_id().empty()) {
        last_id_ = reader.last_id();
        failures_ = 0;
      }
      if (reader.retry()) retry_ = *reader.retry();
      invocation_.out.flush();
      return failure_.ok() && !enough_;
    });
  }

  void OnEvent(const ServerSentEvent& event) {
    if (enough_) return;
    auto item = json::ParseObject(event.data);
    if (!item.ok()) return;
    if (event.type == "end") {
      reason_ = json::GetString(*item, "reason", reason_);
    } else {
      enough_ = !following_.take(event, *item);
    }
  }

  Invocation& invocation_;
  Api& api_;
  const Following& following_;
  bool enough_ = false;
  std::string last_id_;
  std::string reason_;
  Duration retry_ = kFirstWait;
  int failures_ = 0;
  Status failure_;
};

}  // namespace

Status Follow(Invocation& invocation, Api& api, const Following& following) {
  return Follower(invocation, api, following).Run();
}

void Note(Invocation& invocation, const std::string& text) {
  invocation.err << "dispatch: " << Printable(text) << "\n" << std::flush;
}

}  // namespace dispatch::cli
