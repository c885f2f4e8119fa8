#include "cli/src/server_sent_events.h"

#include <charconv>

namespace dispatch::cli {

namespace {
constexpr size_t kMaxEvent = 64 * 1024 * 1024;
}

Status EventStreamReader::Take(std::string_view piece,
                               const std::function<void(const ServerSentEvent&)>& handle) {
  while (!piece.empty()) {
    // "\r\n" is one line's end, also when the pieces part between the two.
    if (std::exchange(after_return_, false) && piece[0] == '\n') {
      piece.remove_prefix(1);
      continue;
    }
    size_t end = piece.find_first_of("\r\n");
    line_ += piece.substr(0, end);
    if (line_.size() + data_.size() > kMaxEvent) {
      return {Code::kInternal, "the stream has an event larger than 64 MiB"};
    }
    if (end == piece.npos) return {};
    after_return_ = piece[end] == '\r';
    piece.remove_prefix(end + 1);
    std::string line = std::exchange(line_, {});
    TakeLine(line, handle);
  }
  return {};
}

void EventStreamReader::TakeLine(std::string_view line,
                                 const std::function<void(const ServerSentEvent&)>& handle) {
  if (line.empty()) {
    last_id_ = id_;
    ServerSentEvent event{type_.empty() ? "message" : std::exchange(type_, {}),
                          std::exchange(data_, {})};
    type_.clear();
    if (event.data.empty()) return;
    event.data.pop_back();  // the last line's end
    return handle(event);
  }
  size_t colon = line.find(':');
  std::string_view field = line.substr(0, colon);
  std::string_view value = colon == line.npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "data") {
    data_ += value;
    data_ += '\n';
  } else if (field == "event") {
    type_ = value;
  } else if (field == "id") {
    if (value.find('\0') == value.npos) id_ = value;
  } else if (field == "retry") {
    int64_t ms = 0;
    auto [stop, fault] = std::from_chars(value.data(), value.data() + value.size(), ms);
    bool number = fault == std::errc() && stop == value.data() + value.size() && ms >= 0;
    if (number) retry_ = std::chrono::milliseconds(ms);
  }
}

}  // namespace dispatch::cli
