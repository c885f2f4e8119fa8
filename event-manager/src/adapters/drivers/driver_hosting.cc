#include "event-manager/src/adapters/drivers/driver_hosting.h"

#include <algorithm>

#include "common/log.h"
#include "common/metrics.h"

namespace dispatch {

namespace {

constexpr Duration kTurn = std::chrono::seconds(1);
constexpr Duration kWatch = std::chrono::milliseconds(250);
constexpr int kClaimsATurn = 8;

broker::ProducerOptions ProducerSettings() {
  broker::ProducerOptions options;
  options.delivery_timeout =
      std::chrono::duration_cast<std::chrono::milliseconds>(kDriverDeliveryTimeout);
  return options;
}

metrics::Gauge RunningGauge() {
  return metrics::GetGauge("dispatch_drivers_running", "Event drivers that this instance runs");
}

}  // namespace

DriverHosting::DriverHosting(broker::Broker& broker, Loop& loop, DriverStore& store,
                             DriverFactory factory, std::function<void()> committed)
    : broker_(broker),
      loop_(loop),
      store_(store),
      factory_(std::move(factory)),
      committed_(std::move(committed)) {}

DriverHosting::~DriverHosting() {
  loop_.Cancel(timer_);
  loop_.Cancel(watch_);
}

void DriverHosting::Start() {
  Turn();
  Watch();
}

// Beside the turns, which wait for the database.
void DriverHosting::Watch() {
  watch_ = loop_.After(kWatch, [this] {
    DropExpired();
    Watch();
  });
}

void DriverHosting::Nudge() {
  if (stopped_ || timer_ == kNoTimer) {
    again_ = true;
    return;
  }
  loop_.Cancel(timer_);
  Turn();
}

void DriverHosting::Turn() {
  timer_ = kNoTimer;
  if (stopped_ || turning_) return;
  turning_ = true;
  again_ = false;
  DropExpired();
  // Counted from before the database does, so that ours ends first.
  SteadyTime until = loop_.Steady() + store_.ttl();
  store_.Turn(kClaimsATurn, [this, alive = std::weak_ptr(alive_),
                             until](Result<std::vector<ClaimedDriver>> owned) {
    if (alive.expired()) return;
    turning_ = false;
    if (stopped_) return;
    size_t before = seats_.size();
    if (owned.ok()) {
      Take(std::move(*owned), until);
    } else if (log::Sometimes("drivers.turn", 5)) {
      log::Warning("leases of drivers not renewed error=\"{}\"", owned.message());
    }
    DropExpired();
    bool more = owned.ok() && seats_.size() >= before + kClaimsATurn;
    Duration pause = more || again_ ? std::chrono::milliseconds(100) : kTurn;
    timer_ = loop_.After(pause, [this] { Turn(); });
  });
}

void DriverHosting::Take(std::vector<ClaimedDriver> owned, SteadyTime until) {
  std::map<Uuid, std::unique_ptr<DriverSeat>> kept;
  for (ClaimedDriver& driver : owned) {
    auto found = seats_.find(driver.uuid);
    bool same = found != seats_.end() && found->second->claimed().epoch == driver.epoch &&
                found->second->claimed().revision == driver.revision;
    if (!same) {
      if (found != seats_.end()) seats_.erase(found);
      Uuid uuid = driver.uuid;
      if (producer_ == nullptr) producer_ = broker_.NewProducer(ProducerSettings());
      log::Info("driver taken org={} driver={} epoch={}", driver.org, driver.name, driver.epoch);
      auto seat = std::make_unique<DriverSeat>(loop_, *producer_, store_, factory_,
                                               std::move(driver), committed_);
      seat->Renew(until);
      kept[uuid] = std::move(seat);
      continue;
    }
    found->second->Renew(until);
    kept[driver.uuid] = std::move(found->second);
    seats_.erase(found);
  }
  // The rest was deleted, or is somebody else's.
  seats_ = std::move(kept);
  Counted();
}

void DriverHosting::DropExpired() {
  std::erase_if(seats_, [](const auto& seat) {
    if (!seat.second->expired()) return false;
    log::Warning("driver dropped, its lease ended org={} driver={}", seat.second->claimed().org,
                 seat.second->claimed().name);
    return true;
  });
  Counted();
}

void DriverHosting::Counted() {
  RunningGauge().Set(static_cast<double>(seats_.size()));
  if (seats_.empty()) producer_.reset();
}

void DriverHosting::SecretChanged(const std::string& org, const std::string& name) {
  for (auto& [uuid, seat] : seats_) {
    if (seat->claimed().org != org) continue;
    const auto* names = json::GetArray(seat->claimed().document, "secrets");
    if (names == nullptr) continue;
    bool uses = std::find(names->begin(), names->end(), json::value(name)) != names->end();
    if (uses) seat->Restart("secret " + name + " was changed");
  }
}

void DriverHosting::Stop(std::function<void()> done) {
  stopped_ = true;
  loop_.Cancel(timer_);
  seats_.clear();
  auto release = [this, done = std::move(done)] { store_.ReleaseAll(done); };
  if (factory_.close == nullptr) return release();
  factory_.close(std::move(release));
}

}  // namespace dispatch
