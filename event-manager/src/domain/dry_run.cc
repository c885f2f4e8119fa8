#include "event-manager/src/domain/dry_run.h"

#include <algorithm>

#include "common/cesql/event_view.h"
#include "schema/rfc3339.h"

namespace dispatch {

void DryRun::Look(const broker::Record& record) {
  ++scanned_;
  if (oldest_ms_ == 0 || record.timestamp_ms < oldest_ms_) oldest_ms_ = record.timestamp_ms;
  newest_ms_ = std::max(newest_ms_, record.timestamp_ms);
  auto event = cloudevents::FromKafka(record.headers, record.value);
  if (!event.ok()) {
    ++unparsable_;
    return;
  }
  cesql::ErrorSet errors;
  bool matches = subscription_->Matches(EventView(*event), &errors);
  if (!errors.empty()) ++with_errors_;
  for (size_t kind = 0; kind < kKinds; ++kind) {
    if (errors.Contains(static_cast<cesql::ErrorKind>(kind))) ++errors_[kind];
  }
  if (!matches) return;
  ++matched_;
  Keep(record, *event);
}

void DryRun::Keep(const broker::Record& record, const cloudevents::Event& event) {
  auto before = [](const Example& a, const Example& b) { return a.time_ms < b.time_ms; };
  if (examples_.size() == kExamples && record.timestamp_ms < examples_.front().time_ms) return;
  Example example{record.partition, record.offset, record.timestamp_ms, nullptr};
  if (record.value && record.value->size() > kExampleBytes) {
    json::object head;
    for (const char* name : {"specversion", "id", "source", "type", "subject", "time"}) {
      if (const std::string* value = event.Find(name)) head[name] = *value;
    }
    example.event = std::move(head);
  } else if (auto form = json::Parse(cloudevents::ToJson(event), json::kDataDepth); form.ok()) {
    example.event = std::move(*form);
  }
  examples_.insert(std::upper_bound(examples_.begin(), examples_.end(), example, before),
                   std::move(example));
  if (examples_.size() > kExamples) examples_.erase(examples_.begin());
}

json::object DryRun::Report() const {
  json::object out{{"scanned", scanned_}, {"matched", matched_}, {"notCloudEvents", unparsable_}};
  if (scanned_ > 0) {
    out["oldest"] = schema::FormatRfc3339(FromMillis(oldest_ms_));
    out["newest"] = schema::FormatRfc3339(FromMillis(newest_ms_));
  }
  json::object kinds;
  for (size_t kind = 0; kind < kKinds; ++kind) {
    if (errors_[kind] == 0) continue;
    kinds[cesql::ErrorKindName(static_cast<cesql::ErrorKind>(kind))] = errors_[kind];
  }
  out["evaluationErrors"] = {{"events", with_errors_}, {"kinds", std::move(kinds)}};
  json::array examples;
  for (auto it = examples_.rbegin(); it != examples_.rend(); ++it) {
    examples.push_back({{"partition", it->partition},
                        {"offset", it->offset},
                        {"time", schema::FormatRfc3339(FromMillis(it->time_ms))},
                        {"event", it->event}});
  }
  out["examples"] = std::move(examples);
  return out;
}

std::vector<int64_t> SampleStarts(const std::vector<broker::Offsets>& log, int64_t sample) {
  std::vector<size_t> order(log.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  auto size = [&](size_t i) { return std::max<int64_t>(0, log[i].latest - log[i].earliest); };
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return size(a) < size(b); });
  std::vector<int64_t> starts(log.size());
  int64_t left = sample;
  for (size_t done = 0; done < order.size(); ++done) {
    // The smallest first: what they do not use, the others get.
    auto share = left / static_cast<int64_t>(order.size() - done);
    if (left % static_cast<int64_t>(order.size() - done) != 0) ++share;
    int64_t taken = std::min({size(order[done]), share, left});
    starts[order[done]] = log[order[done]].latest - taken;
    left -= taken;
  }
  return starts;
}

}  // namespace dispatch
