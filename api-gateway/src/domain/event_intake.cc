#include "api-gateway/src/domain/event_intake.h"

#include <fmt/format.h>

#include "common/uuid.h"
#include "schema/delivery_time.h"
#include "schema/rfc3339.h"

namespace dispatch::gateway {

namespace {

using cloudevents::ContentMode;
using cloudevents::Event;

constexpr size_t kMaxDetails = 20;

bool IsEventField(std::string_view name) {
  return name.size() > 3 && (name[0] == 'c' || name[0] == 'C') &&
         (name[1] == 'e' || name[1] == 'E') && name[2] == '-';
}

Result<Event> Wrap(http::Request& request, const std::string& default_source, WallTime now) {
  auto given = [&](std::string_view name, std::string otherwise) {
    auto value = request.Query(name);
    return value && !value->empty() ? std::move(*value) : std::move(otherwise);
  };
  Event event;
  event.attributes = {{"specversion", "1.0"},
                      {"id", given("id", Uuid::V7(now).ToString())},
                      {"source", given("source", default_source)},
                      {"type", given("type", "")},
                      {"time", schema::FormatRfc3339(now)}};
  for (std::string_view optional : {"subject", "partitionkey"}) {
    if (auto value = request.Query(optional)) event.Set(optional, std::move(*value));
  }
  if (auto type = request.headers.Get("Content-Type")) {
    event.Set("datacontenttype", std::string(*type));
  }
  if (!request.body.empty()) event.data = std::move(request.body);
  RETURN_IF_ERROR(cloudevents::Validate(event));
  return event;
}

Result<Event> ReadBinary(http::Request& request, const std::string& default_source, WallTime now) {
  schema::HeaderList fields;
  bool has_version = false;
  for (const auto& [name, value] : request.headers) {
    if (IsEventField(name)) {
      has_version = has_version || http::EqualsIgnoreCase(name, "ce-specversion") ||
                    http::EqualsIgnoreCase(name, "ce-cloudeventsversion");
      fields.emplace_back(name, value);
    } else if (http::EqualsIgnoreCase(name, "Content-Type")) {
      fields.emplace_back(name, value);
    }
  }
  if (has_version) return cloudevents::FromHttpBinary(fields, std::move(request.body));
  if (request.Query("type")) return Wrap(request, default_source, now);
  return Error{Code::kInvalidArgument,
               "not a CloudEvent: ce-specversion is missing. Send ce-* headers with the data as "
               "body, or Content-Type application/cloudevents+json, or ?type= to wrap the body",
               false,
               {{"specversion", "is missing"}}};
}

// When the event is to be delivered: what it says itself, or else the query.
class Timing {
 public:
  static Result<Timing> Of(const http::Request& request, WallTime now) {
    Timing timing;
    timing.now_ = now;
    timing.at_ = request.Query("deliverAt").value_or("");
    timing.delay_ = request.Query("delay").value_or("");
    if (timing.at_.empty() || timing.delay_.empty()) return timing;
    return Error{Code::kInvalidArgument,
                 "deliverAt and delay exclude each other: give one of them",
                 false,
                 {{"delay", "must not come with deliverAt"}}};
  }

  Status Settle(Event& event) const {
    bool says = event.Find(cloudevents::kDeliverAt) || event.Find(cloudevents::kDelay);
    if (!says && !at_.empty()) event.Set(cloudevents::kDeliverAt, at_);
    if (!says && !delay_.empty()) event.Set(cloudevents::kDelay, delay_);
    return cloudevents::SettleDelay(event, now_);
  }

 private:
  WallTime now_{};
  std::string at_;
  std::string delay_;
};

Result<Intake> ReadBatch(const std::string& body, const Timing& timing) {
  ASSIGN_OR_RETURN(auto elements, cloudevents::FromJsonBatch(body));
  for (auto& element : elements) {
    if (!element.ok()) continue;
    if (Status status = timing.Settle(*element); !status.ok()) element = status.error();
  }
  if (elements.size() > kMaxBatchEvents) {
    return {Code::kTooLarge, fmt::format("the batch has {} events: send at most {} at once",
                                         elements.size(), kMaxBatchEvents)};
  }
  Intake intake{true, {}};
  intake.events.reserve(elements.size());
  Error fault;
  size_t faulty = 0;
  for (size_t i = 0; i < elements.size(); ++i) {
    if (elements[i].ok()) {
      intake.events.push_back(std::move(*elements[i]));
      continue;
    }
    const Error& error = elements[i].error();
    if (faulty++ == 0) {
      fault = {error.code, fmt::format("event {} of the batch: {}", i, error.message)};
    }
    if (fault.details.size() >= kMaxDetails) continue;
    if (error.details.empty()) {
      fault.details.push_back({fmt::format("[{}]", i), error.message});
    } else {
      const FieldError& detail = error.details[0];
      fault.details.push_back({fmt::format("[{}].{}", i, detail.field), detail.reason});
    }
  }
  if (faulty > 0) {
    fault.message +=
        fmt::format("; {} of {} events are faulty, none was published", faulty, elements.size());
    return fault;
  }
  return intake;
}

}  // namespace

Result<Intake> ReadEvents(http::Request& request, const std::string& default_source, WallTime now) {
  ASSIGN_OR_RETURN(ContentMode mode,
                   cloudevents::ModeOf(request.headers.Get("Content-Type").value_or("")));
  ASSIGN_OR_RETURN(Timing timing, Timing::Of(request, now));
  if (mode == ContentMode::kBatch) return ReadBatch(request.body, timing);
  auto event = mode == ContentMode::kStructured ? cloudevents::FromJson(request.body)
                                                : ReadBinary(request, default_source, now);
  if (!event.ok()) return event.error();
  RETURN_IF_ERROR(timing.Settle(*event));
  Intake intake;
  intake.events.push_back(std::move(*event));
  return intake;
}

}  // namespace dispatch::gateway
