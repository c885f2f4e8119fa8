#include "event-manager/src/domain/lag_figures.h"

#include <algorithm>

namespace dispatch {

namespace {

struct Place {
  int64_t next = 0;
  int64_t matched = 0;
  int64_t lost = 0;
  schema::FilterErrors filter_errors;
  bool catching_up = false;
};

int64_t NextOf(const Cursor& cursor, int64_t position, int64_t fallback) {
  if (cursor.paused_at) return *cursor.paused_at;
  bool ended = cursor.live_from != kForever && cursor.live_from == cursor.live_until;
  if (ended) return cursor.live_from;
  bool live = cursor.live_from != kForever && cursor.live_until == kForever;
  return live ? std::max(position, cursor.live_from) : fallback;
}

Place PlaceIn(const LagCheckpoint& checkpoint, const schema::Subscription& subscription,
              int64_t boundary) {
  Place place;
  place.next = boundary;
  for (const auto& counter : checkpoint.state.counters) {
    if (counter.subscription != subscription.uuid) continue;
    place.matched += counter.matched;
    place.lost += counter.lost;
    place.filter_errors = counter.filter_errors;
  }
  auto cursor = checkpoint.cursors.find(subscription.uuid);
  if (cursor != checkpoint.cursors.end()) {
    place.next = NextOf(cursor->second, checkpoint.position, place.next);
  }
  for (const auto& session : checkpoint.state.sessions) {
    for (const auto& member : session.members) {
      if (member.subscription != subscription.uuid) continue;
      // A replay is not done before all that was read for it is written.
      bool ending = !subscription.ends.empty() && member.until && session.position < *member.until;
      if (member.until && !ending) continue;
      place.catching_up = true;
      place.next = std::max(session.position, member.from);
    }
  }
  return place;
}

}  // namespace

void FilterErrorSum::Add(int32_t partition, const schema::FilterErrors& errors) {
  events += errors.events;
  for (const auto& [kind, count] : errors.kinds) kinds[kind] += count;
  if (errors.last_ms <= last_ms) return;
  last_partition = partition;
  last_offset = errors.last_offset;
  last_ms = errors.last_ms;
}

const char* LagModeName(LagMode mode) {
  switch (mode) {
    case LagMode::kLive:
      return "live";
    case LagMode::kCatchingUp:
      return "catching-up";
    case LagMode::kPaused:
      return "paused";
  }
  return "";
}

LagFigures MeasureLag(const schema::Subscription& subscription, const LagCheckpoints& checkpoints,
                      const std::vector<broker::Offsets>& ends, const ProgressSum& progress) {
  LagFigures lag;
  bool catching_up = false;
  for (size_t p = 0; p < ends.size(); ++p) {
    auto partition = static_cast<int32_t>(p);
    Place place;
    place.next = subscription.Boundary(partition);
    auto it = checkpoints.find({subscription.topic_uuid, partition});
    if (it != checkpoints.end()) place = PlaceIn(it->second, subscription, place.next);
    lag.matched += place.matched;
    lag.filter_errors.Add(partition, place.filter_errors);
    // A replay has nothing to do with what is beyond its end.
    int64_t end = std::min(ends[p].latest, subscription.End(partition));
    int64_t earliest = std::min(ends[p].earliest, subscription.End(partition));
    // What retention passed is lost, also while nobody reads there, as in a pause.
    lag.lost += place.lost + std::max<int64_t>(0, earliest - place.next);
    place.next = std::max(place.next, earliest);
    catching_up = catching_up || place.catching_up;
    lag.partitions.push_back({place.next, end, ends[p].earliest});
    lag.unread += lag.partitions.back().unread();
  }
  const auto& counters = progress.counters;
  // The checkpoint may be behind what was written and what was taken in of that, by 100 ms or,
  // after a crash of event-manager, by more: all of it matched, and is not unread as well.
  int64_t ahead = std::max<int64_t>(0, counters.received - lag.matched);
  lag.matched += ahead;
  lag.unread -= std::min(lag.unread, ahead);
  if (lag.unread == 0) {
    for (PartitionLag& partition : lag.partitions) {
      partition.next = std::max(partition.next, partition.end);
    }
  }
  lag.delivered = counters.delivered;
  lag.dead_lettered = counters.dead_lettered;
  lag.cancelled = counters.cancelled;
  lag.in_flight = progress.in_flight;
  lag.retrying = progress.retrying;
  lag.scheduled = progress.scheduled;
  lag.conservation_error = counters.received - counters.settled() - progress.queued -
                           progress.in_flight - progress.retrying - progress.scheduled;
  lag.queued = progress.queued + (lag.matched - counters.received);
  lag.mode = subscription.paused ? LagMode::kPaused
             : catching_up       ? LagMode::kCatchingUp
                                 : LagMode::kLive;
  lag.oldest_ms = progress.oldest_pending_ms;
  return lag;
}

}  // namespace dispatch
