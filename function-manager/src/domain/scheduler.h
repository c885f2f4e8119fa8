#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "function-manager/src/domain/answer.h"
#include "function-manager/src/domain/lane.h"
#include "function-manager/src/domain/standing_lag.h"

namespace dispatch {

/// Says which delivery is attempted next: keeps the lanes, and asks of each its own limit, its
/// endpoint's, its circuit, its rate, and its share of the instance's places. A lane that may not
/// start is out of the round until something changes. Pure; one owner.
///
/// Places are shared so that some are always left: a lane may have as many as are free, an
/// organisation twice as many. So a lane alone gets half of them, two that hang a third each, and
/// no number of them takes the last ones; every lane may have a few whatever its organisation has.
class Scheduler {
 public:
  struct Options {
    int32_t max_in_flight = 2048;  // attempts under way in the whole instance
    int32_t always = 4;            // places that a lane may have whatever its organisation has
    size_t batch_events = 100;     // of `sink.mode` batch: at most so many, and until there are
    Duration batch_wait = std::chrono::milliseconds(20);  // the first of them waits so long
    EndpointLimit::Options endpoint;
    CircuitBreaker::Options circuit;
  };

  Scheduler(std::function<double()> random, Options options)
      : random_(std::move(random)), options_(options) {}

  Lane* Find(const Uuid& subscription);
  /// The subscription's lane, with its newest settings. `sink`: where it goes, if that is known; a
  /// new one starts with a closed circuit.
  Lane& Update(const std::shared_ptr<const schema::Subscription>& subscription,
               const std::optional<schema::Sink>& sink);
  void Remove(const Uuid& subscription);
  void ForEach(const std::function<void(Lane&)>& visit);
  /// This instance's share of the installation, 0 to 1, for rate limits.
  void SetShare(double share);
  /// The loop was so late.
  void SetLag(SteadyTime now, Duration lag) { lag_.Measured(now, lag); }

  void Push(Lane& lane, DeliveryPtr delivery);
  /// The lane whose first delivery is to be attempted now; null for none.
  Lane* Next(SteadyTime now);

  /// Goes with an attempt from its start to its end.
  struct Ticket {
    std::shared_ptr<Endpoint> endpoint;
    SteadyTime started{};
    Duration estimate{0};
    int64_t probe = 0;
  };
  Ticket Started(Lane& lane, SteadyTime now);
  /// True when the circuit changed. `why`: what the answer was, for people.
  bool Ended(Lane& lane, const Ticket& ticket, const Answer& answer, const std::string& why,
             SteadyTime now, WallTime wall);

  /// When Next may answer something that it does not now, if nothing else happens.
  std::optional<SteadyTime> wake_at() const;
  void Wake(SteadyTime now);

  /// It gets nowhere: its circuit is open, or its endpoint has answered nothing for `limit`.
  static bool Stalled(const Lane& lane, SteadyTime now, Duration limit);
  /// How long to put aside what waits in a lane. `rows`: how many are aside already.
  Duration HoldFor(const Lane& lane, int64_t rows, SteadyTime now) const;

  int32_t in_flight() const { return in_flight_; }

 private:
  void Aim(Lane& lane, const schema::Sink& sink);
  void SetRate(Lane& lane);
  void Consider(Lane& lane);
  bool MayStart(Lane& lane, SteadyTime now);
  bool HasPlace(const Lane& lane) const;
  void WakeAt(Lane& lane, SteadyTime time);
  void WakeEndpoint(Endpoint& endpoint);
  void WakeStarved();

  std::function<double()> random_;
  Options options_;
  double share_ = 1;
  StandingLag lag_;
  int32_t in_flight_ = 0;
  std::unordered_map<std::string, int32_t> org_in_flight_;
  std::unordered_map<Uuid, Lane> lanes_;
  std::unordered_map<std::string, std::weak_ptr<Endpoint>> endpoints_;
  FairQueue round_;
  std::deque<Uuid> starved_;
  std::set<std::pair<SteadyTime, Uuid>> wakes_;
};

}  // namespace dispatch
