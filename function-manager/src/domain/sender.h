#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "function-manager/src/domain/answer.h"
#include "schema/messages.h"
#include "schema/objects.h"

namespace dispatch {

/// One attempt to send.
struct SendRequest {
  std::string org;
  schema::Sink sink;
  std::string webhook_id;
  int32_t attempt = 1;
  std::chrono::milliseconds timeout{30'000};
  std::shared_ptr<const schema::EventData> event;
  std::string traceparent;  // of the attempt; empty: it has no span, the event's own goes along

  /// `sink.mode` batch: what goes along in the same request, in its order.
  struct Another {
    std::string webhook_id;
    std::shared_ptr<const schema::EventData> event;
  };
  std::vector<Another> more;
};

/// Sends events to endpoints; one owner. Never calls back inside Send; after its end nothing is
/// called back.
class Sender {
 public:
  virtual ~Sender() = default;
  virtual void Send(SendRequest request, std::function<void(Answer)> done) = 0;
};

}  // namespace dispatch
