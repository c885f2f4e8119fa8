#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/http/client.h"
#include "common/http/internal/url.h"
#include "common/result.h"

struct nghttp2_session;

namespace dispatch::http::internal {

/// The client's side of one HTTP/2 connection (RFC 9113) without I/O: bytes in, bytes out, several
/// exchanges at once. What happens to them is kept until TakeEvents, so that whoever handles it may
/// do anything, ending this too. One owner.
class Http2Session {
 public:
  struct Event {
    enum class Kind {
      kAnswer,  // whole, or cut at the limit
      kPiece,   // of the body, for a request with on_piece; with the status in response
      kFailed,  // there is no answer
    };
    Kind kind = Kind::kFailed;
    int32_t stream = 0;
    ClientResponse response;
    FailureKind failure = FailureKind::kNone;
    std::string message;
    bool untouched = false;  // kFailed: the server did not look at it, it may be sent again
  };

  Http2Session();
  ~Http2Session();
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

  /// Begins an exchange. `request` must stay until it ended or is cancelled. Requires room().
  Result<int32_t> Send(const ClientRequest& request, const Url& url, const std::string& user_agent);
  /// Ends an exchange; nothing more is told of it.
  void Cancel(int32_t stream);
  void Ping();

  /// Takes what came. An error ends the connection: it says what the server did. So does over(),
  /// once what is to be said was.
  Status Receive(std::string_view bytes);
  /// Appends what is to be sent, about `limit` bytes at most. False: there was nothing.
  Result<bool> Produce(std::string& out, size_t limit);
  std::vector<Event> TakeEvents();
  bool has_events() const { return !events_.empty(); }

  /// How many exchanges may begin now: the server's limit, ours, none behind its GOAWAY.
  size_t room() const;
  size_t streams() const { return streams_.size(); }
  bool going_away() const { return going_away_; }
  /// Nothing is to come or to be said any more: all ended behind a GOAWAY, or the server broke the
  /// rules.
  bool over() const;
  bool awaits_pong() const { return awaits_pong_; }
  /// Whether an answer to it has begun.
  bool Begun(int32_t stream) const;

 private:
  struct Stream {
    const ClientRequest* request = nullptr;
    size_t sent = 0;
    ClientResponse response;
    size_t head_bytes = 0;
    int interim = 0;      // answers 1xx
    bool begun = false;   // a byte of the answer came
    bool headed = false;  // its final head is whole
    std::string fault;    // why we reset it
  };
  struct Callbacks;

  Stream* Find(int32_t id);
  void Finish(int32_t id, Stream& stream);
  void Fail(int32_t id, FailureKind kind, std::string message, bool untouched);
  void Reset(int32_t id, uint32_t code);

  nghttp2_session* session_ = nullptr;
  std::unordered_map<int32_t, Stream> streams_;
  std::vector<Event> events_;
  bool settled_ = false;  // the server's first SETTINGS came
  bool going_away_ = false;
  bool awaits_pong_ = false;
};

}  // namespace dispatch::http::internal
