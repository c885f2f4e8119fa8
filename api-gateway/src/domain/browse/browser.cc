#include "api-gateway/src/domain/browse/browser.h"

#include <fmt/format.h>

#include <algorithm>

namespace dispatch::gateway {

EventBrowser::EventBrowser(Loop& loop, broker::Broker& broker, Options options)
    : loop_(loop),
      broker_(broker),
      options_(options),
      readers_(loop, broker, options.readers),
      shown_(metrics::GetCounter("dispatch_gateway_events_shown_total",
                                 "Events sent in pages and streams.")) {}

EventBrowser::~EventBrowser() = default;

void EventBrowser::Browse(CallPtr call, const std::string& topic, BrowseQuery query,
                          Allowed allowed) {
  bool follow = query.follow;
  auto reading = follow ? NewEventStream(*this, call, topic, std::move(query), std::move(allowed))
                        : NewEventPage(*this, call, topic, std::move(query));
  Run(call, std::move(reading));
}

void EventBrowser::Search(CallPtr call, std::vector<std::string> topics, std::string id) {
  Run(call, NewEventSearch(*this, call, std::move(topics), std::move(id)));
}

void EventBrowser::Run(const CallPtr& call, std::shared_ptr<Reading> reading) {
  if (stopped_) return call->Fail({Code::kUnavailable, "the gateway is stopping: try again"});
  readings_.insert(reading);
  reading->Start();
}

void EventBrowser::Stop() {
  stopped_ = true;
  auto readings = readings_;
  for (const auto& reading : readings) reading->Stop();
}

void EventBrowser::Forget(const Reading* reading) {
  auto it = std::find_if(readings_.begin(), readings_.end(),
                         [&](const auto& known) { return known.get() == reading; });
  if (it == readings_.end()) return;
  // Not from within one of its own calls.
  loop_.Post([gone = *it] {});
  readings_.erase(it);
}

std::string KafkaTopic(const Call& call, const std::string& topic) {
  return fmt::format("{}.{}", call.org, topic);
}

namespace {

using Log = std::vector<broker::Offsets>;

Result<BrowseStart> StartAt(const BrowseQuery& query, Log log, const std::vector<int64_t>& times) {
  BrowseStart start;
  for (const auto& [partition, offset] : query.positions) {
    if (static_cast<size_t>(partition) >= log.size()) {
      std::string reason = fmt::format("names partition {}; the topic has 0 to {}", partition,
                                       static_cast<int64_t>(log.size()) - 1);
      return Error{Code::kInvalidArgument, "from " + reason, false, {{"from", reason}}};
    }
  }
  for (size_t i = 0; i < log.size(); ++i) {
    auto partition = static_cast<int32_t>(i);
    int64_t offset = log[i].earliest;
    if (query.from == BrowseQuery::From::kLatest) offset = log[i].latest;
    if (query.from == BrowseQuery::From::kTime && i < times.size()) offset = times[i];
    if (query.from == BrowseQuery::From::kPositions) {
      auto it = query.positions.find(partition);
      if (it == query.positions.end()) continue;
      offset = it->second;
    }
    start.next[partition] = std::clamp(offset, log[i].earliest, log[i].latest);
  }
  start.log = std::move(log);
  return start;
}

}  // namespace

void FindStart(broker::Admin& admin, const std::string& kafka_topic, const BrowseQuery& query,
               std::function<void(Result<BrowseStart>)> done) {
  // The filter cannot be copied cheaply, and is not needed.
  BrowseQuery place{.from = query.from, .time_ms = query.time_ms, .positions = query.positions};
  admin.ListOffsets(kafka_topic, [&admin, kafka_topic, place,
                                  done = std::move(done)](Result<Log> log) {
    if (!log.ok()) return done(log.error());
    if (place.from != BrowseQuery::From::kTime) return done(StartAt(place, std::move(*log), {}));
    admin.OffsetsForTime(kafka_topic, place.time_ms,
                         [place, log = std::move(*log), done](Result<std::vector<int64_t>> times) {
                           if (!times.ok()) return done(times.error());
                           done(StartAt(place, log, *times));
                         });
  });
}

}  // namespace dispatch::gateway
