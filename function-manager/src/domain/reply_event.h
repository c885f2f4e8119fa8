#pragma once

#include <optional>
#include <string>

#include "common/result.h"
#include "schema/cloudevents.h"

/// Reply events: a CloudEvent in the answer of an endpoint, which goes to the `replyTopic` of the
/// subscription before the delivery is settled.
namespace dispatch {

/// Extension attribute: how many replies made this event out of one that was published. An endpoint
/// cannot reset it.
inline constexpr char kReplyHops[] = "dispatchhops";
inline constexpr int kMaxReplyHops = 16;
/// As for published events: data and attributes.
inline constexpr size_t kMaxReplyBytes = 1'000'000;
/// What an answer may have in bytes so that its event is within the limit: base64, names, quotes.
inline constexpr size_t kMaxReplyAnswerBytes = 1'500'000;

/// The event in a 2xx answer in the HTTP binding, binary or structured; nothing when there is none.
/// One without an id has `<webhook_id>-reply`, the same for every repeat of the delivery.
/// kInvalidArgument for what is meant to be an event and is none, kTooLarge, and kConflict for one
/// that would be hop kMaxReplyHops + 1 after `delivered`: a loop.
Result<std::optional<cloudevents::Event>> ReplyIn(const schema::HeaderList& headers,
                                                  std::string body,
                                                  const cloudevents::Event& delivered,
                                                  const std::string& webhook_id);

}  // namespace dispatch
