#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "cli/src/api.h"
#include "common/json.h"

namespace dispatch::cli {

/// What the events of one command have in common.
struct EventTemplate {
  std::string type;
  std::string source;
  std::string subject;        // empty: none
  std::string partition_key;  // empty: none
  std::string content_type;   // empty: what the data looks like
  /// deliverAt or delay, for events that do not say it themselves; empty: at once.
  std::pair<std::string, std::string> timing;
};

std::string NewEventId();

/// The data as a CloudEvent in JSON; data that is one already stays as it is.
json::object MakeEvent(const EventTemplate& shape, std::string data);

/// Publishes one event whose data reaches subscribers byte for byte.
ApiRequest SingleRequest(const std::string& topic, const EventTemplate& shape,
                         const std::string& id, std::string data);

/// Sends, and sends again a few times while the server says that it cannot just now. Ids stay the
/// same, so that subscribers can tell a repetition.
Result<ApiAnswer> SendPersistently(Api& api, const ApiRequest& request);

/// Publishes events many at once.
class EventBatch {
 public:
  EventBatch(Api& api, std::string topic, size_t size, const EventTemplate& shape)
      : api_(api), topic_(std::move(topic)), size_(size), timing_(shape.timing) {}

  /// Sends when the batch is full.
  Status Add(const json::object& event);
  Status Flush();
  int64_t published() const { return published_; }

 private:
  Api& api_;
  std::string topic_;
  size_t size_;
  std::pair<std::string, std::string> timing_;
  std::string body_;
  size_t waiting_ = 0;
  int64_t published_ = 0;
};

}  // namespace dispatch::cli
