#include "event-manager/src/adapters/log_places.h"

#include <algorithm>
#include <utility>

namespace dispatch {

void LogPlaces::Find(const std::string& kafka_topic, const StartAt& start, Done done, int tries) {
  Ask(kafka_topic, start,
      [this, kafka_topic, start, done = std::move(done),
       tries](Result<Boundaries> boundaries) mutable {
        bool again = !boundaries.ok() && boundaries.error().retryable && tries > 1;
        if (!again) return done(std::move(boundaries));
        loop_.After(std::chrono::milliseconds(100),
                    [this, kafka_topic, start, done = std::move(done), tries]() mutable {
                      Find(kafka_topic, start, std::move(done), tries - 1);
                    });
      });
}

void LogPlaces::Ask(const std::string& kafka_topic, const StartAt& start, Done done) {
  if (start.kind == StartAt::Kind::kTime) {
    return broker_.admin().OffsetsForTime(kafka_topic, start.time_ms, std::move(done));
  }
  broker_.admin().ListOffsets(
      kafka_topic, [start, done = std::move(done)](Result<std::vector<broker::Offsets>> offsets) {
        if (!offsets.ok()) return done(offsets.error());
        Boundaries boundaries;
        for (const auto& partition : *offsets) {
          bool latest = start.kind == StartAt::Kind::kLatest;
          boundaries.push_back(latest ? partition.latest : partition.earliest);
        }
        if (start.kind == StartAt::Kind::kOffsets) {
          if (start.offsets.size() != boundaries.size()) {
            return done(Error{Code::kUnprocessable,
                              "offsets must have one offset for each of the " +
                                  std::to_string(boundaries.size()) + " partitions",
                              false,
                              {{"offsets", "has the wrong length"}}});
          }
          // Below the log's beginning there is nothing to read, and nothing was lost by asking.
          for (size_t i = 0; i < boundaries.size(); ++i) {
            boundaries[i] = std::max(boundaries[i], start.offsets[i]);
          }
        }
        done(std::move(boundaries));
      });
}

}  // namespace dispatch
