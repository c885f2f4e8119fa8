#include "common/http/internal/http2_session.h"

#include <fmt/format.h>
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "common/check.h"
#include "common/http/internal/wire.h"

namespace dispatch::http::internal {

namespace {

constexpr size_t kMaxHead = 64 * 1024;
constexpr int kMaxInterim = 8;
constexpr int32_t kStreamWindow = 256 * 1024;
constexpr int32_t kConnectionWindow = 4 * 1024 * 1024;
constexpr uint32_t kMostStreams = 256;
constexpr uint32_t kStreamsBeforeSettings =
    100;  // what RFC 9113, section 6.5.2 recommends at least

std::string_view Text(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

nghttp2_nv Field(std::string_view name, std::string_view value) {
  auto bytes = [](std::string_view text) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

}  // namespace

struct Http2Session::Callbacks {
  static Http2Session& Of(void* data) { return *static_cast<Http2Session*>(data); }

  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                      void* data) {
    Stream* stream = Of(data).Find(frame->hd.stream_id);
    if (stream == nullptr || stream->headed) return 0;  // trailers must not pass for headers
    stream->begun = true;
    stream->head_bytes += name_size + value_size + 32;
    if (stream->head_bytes > kMaxHead) {
      stream->fault = "the head of the answer is larger than 64 KiB";
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    std::string_view field = Text(name, name_size);
    std::string_view text = Text(value, value_size);
    if (field == ":status") {
      std::from_chars(text.data(), text.data() + text.size(), stream->response.status);
    } else if (!field.starts_with(':')) {
      stream->response.headers.Add(std::string(field), std::string(text));
    }
    return 0;
  }

  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* data) {
    Http2Session& self = Of(data);
    switch (frame->hd.type) {
      case NGHTTP2_SETTINGS:
        self.settled_ = self.settled_ || (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0;
        return 0;
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) self.awaits_pong_ = false;
        return 0;
      case NGHTTP2_GOAWAY:
        self.going_away_ = true;
        return 0;
      case NGHTTP2_HEADERS:
      case NGHTTP2_DATA:
        break;
      default:
        return 0;
    }
    Stream* stream = self.Find(frame->hd.stream_id);
    if (stream == nullptr) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && !stream->headed) {
      int status = stream->response.status;
      if (status >= 100 && status < 200) {
        if (++stream->interim > kMaxInterim) {
          stream->fault = "too many interim answers";
          self.Reset(frame->hd.stream_id, NGHTTP2_ENHANCE_YOUR_CALM);
          return 0;
        }
        stream->response = ClientResponse();
        stream->head_bytes = 0;
        return 0;
      }
      stream->headed = true;
    }
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) self.Finish(frame->hd.stream_id, *stream);
    return 0;
  }

  static int OnData(nghttp2_session*, uint8_t, int32_t id, const uint8_t* bytes, size_t size,
                    void* data) {
    Http2Session& self = Of(data);
    Stream* stream = self.Find(id);
    if (stream == nullptr) return 0;
    int status = stream->response.status;
    if (stream->request->on_piece && status >= 200 && status < 300) {
      Event event{.kind = Event::Kind::kPiece, .stream = id};
      event.response.status = status;
      event.response.body = Text(bytes, size);
      self.events_.push_back(std::move(event));
      return 0;
    }
    std::string& body = stream->response.body;
    size_t room = stream->request->max_response_bytes - body.size();
    body += Text(bytes, std::min(room, size));
    if (size > room) {
      stream->response.truncated = true;
      self.Finish(id, *stream);
    }
    return 0;
  }

  static int OnClose(nghttp2_session*, int32_t id, uint32_t code, void* data) {
    Http2Session& self = Of(data);
    Stream* stream = self.Find(id);
    if (stream == nullptr) return 0;
    if (!stream->fault.empty()) {
      self.Fail(id, FailureKind::kProtocol, std::move(stream->fault), false);
    } else if (code == NGHTTP2_PROTOCOL_ERROR) {
      self.Fail(id, FailureKind::kProtocol, "malformed answer", false);
    } else {
      self.Fail(id, FailureKind::kReset,
                fmt::format("the server reset the stream: {}", nghttp2_http2_strerror(code)),
                code == NGHTTP2_REFUSED_STREAM);
    }
    return 0;
  }

  static ssize_t ReadBody(nghttp2_session*, int32_t id, uint8_t* to, size_t size, uint32_t* flags,
                          nghttp2_data_source* source, void*) {
    Http2Session& self = Of(source->ptr);
    Stream* stream = self.Find(id);
    if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    const std::string& body = stream->request->body;
    size_t count = std::min(size, body.size() - stream->sent);
    std::memcpy(to, body.data() + stream->sent, count);
    stream->sent += count;
    if (stream->sent == body.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(count);
  }
};

Http2Session::Http2Session() {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_option* option = nullptr;
  DISPATCH_CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
  DISPATCH_CHECK(nghttp2_option_new(&option) == 0);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::OnHeader);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Callbacks::OnFrame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::OnData);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::OnClose);
  DISPATCH_CHECK(nghttp2_session_client_new2(&session_, callbacks, this, option) == 0);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_option_del(option);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, kMaxHead},
  };
  DISPATCH_CHECK(
      nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings)) == 0);
  DISPATCH_CHECK(nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                                       kConnectionWindow) == 0);
}

Http2Session::~Http2Session() { nghttp2_session_del(session_); }

Http2Session::Stream* Http2Session::Find(int32_t id) {
  auto it = streams_.find(id);
  return it == streams_.end() ? nullptr : &it->second;
}

bool Http2Session::Begun(int32_t stream) const {
  auto it = streams_.find(stream);
  return it != streams_.end() && it->second.begun;
}

Result<int32_t> Http2Session::Send(const ClientRequest& request, const Url& url,
                                   const std::string& user_agent) {
  std::vector<std::pair<std::string, std::string_view>> headers;
  bool agent = false;
  for (const auto& [name, value] : request.headers) {
    if (IsConnectionField(name)) continue;
    agent = agent || EqualsIgnoreCase(name, "User-Agent");
    headers.emplace_back(Lower(name), value);
  }
  if (!agent && !user_agent.empty()) headers.emplace_back("user-agent", user_agent);
  std::string length = std::to_string(request.body.size());
  if (!request.body.empty() || NeedsLength(request.method)) {
    headers.emplace_back("content-length", length);
  }
  std::vector<nghttp2_nv> fields = {Field(":method", request.method),
                                    Field(":scheme", url.tls ? "https" : "http"),
                                    Field(":authority", url.authority), Field(":path", url.target)};
  for (const auto& [name, value] : headers) fields.push_back(Field(name, value));
  nghttp2_data_provider body{};
  body.source.ptr = this;
  body.read_callback = Callbacks::ReadBody;
  int32_t id = nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(),
                                      request.body.empty() ? nullptr : &body, nullptr);
  if (id < 0) return {Code::kUnavailable, nghttp2_strerror(id)};
  streams_[id].request = &request;
  return id;
}

void Http2Session::Reset(int32_t id, uint32_t code) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, code);
}

void Http2Session::Cancel(int32_t stream) {
  if (streams_.erase(stream) > 0) Reset(stream, NGHTTP2_CANCEL);
}

void Http2Session::Ping() {
  awaits_pong_ = true;
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
}

// A whole answer. What is unsent, or still to come, the other side need not trouble with.
void Http2Session::Finish(int32_t id, Stream& stream) {
  bool over = stream.sent == stream.request->body.size() && !stream.response.truncated;
  Event event{.kind = Event::Kind::kAnswer, .stream = id};
  event.response = std::move(stream.response);
  events_.push_back(std::move(event));
  streams_.erase(id);
  if (!over) Reset(id, NGHTTP2_CANCEL);
}

void Http2Session::Fail(int32_t id, FailureKind kind, std::string message, bool untouched) {
  Event event{.kind = Event::Kind::kFailed, .stream = id};
  event.failure = kind;
  event.message = std::move(message);
  event.untouched = untouched;
  events_.push_back(std::move(event));
  streams_.erase(id);
}

Status Http2Session::Receive(std::string_view bytes) {
  ssize_t taken = nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()),
                                           bytes.size());
  if (taken < 0) return {Code::kUnavailable, nghttp2_strerror(static_cast<int>(taken))};
  return {};
}

Result<bool> Http2Session::Produce(std::string& out, size_t limit) {
  bool any = false;
  while (out.size() < limit) {
    const uint8_t* bytes = nullptr;
    ssize_t size = nghttp2_session_mem_send(session_, &bytes);
    if (size < 0) return Error{Code::kUnavailable, nghttp2_strerror(static_cast<int>(size))};
    if (size == 0) break;
    out += Text(bytes, static_cast<size_t>(size));
    any = true;
  }
  return any;
}

bool Http2Session::over() const {
  return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
}

std::vector<Http2Session::Event> Http2Session::TakeEvents() { return std::exchange(events_, {}); }

size_t Http2Session::room() const {
  if (going_away_ || nghttp2_session_check_request_allowed(session_) == 0) return 0;
  uint32_t most = kStreamsBeforeSettings;
  if (settled_) {
    most = std::min(kMostStreams, nghttp2_session_get_remote_settings(
                                      session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS));
  }
  return most > streams_.size() ? most - streams_.size() : 0;
}

}  // namespace dispatch::http::internal
