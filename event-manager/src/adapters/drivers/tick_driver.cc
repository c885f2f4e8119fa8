#include "event-manager/src/adapters/drivers/tick_driver.h"

#include <fmt/format.h>

#include <algorithm>

#include "schema/rfc3339.h"

namespace dispatch {

namespace {

constexpr int64_t kDefaultSeconds = 60;
// Clocks of instances and of brokers may differ.
constexpr int64_t kClockMarginMs = 60'000;
// What claiming a tick may take at most, with the database as slow as it may be.
constexpr int64_t kClaimMs = 60'000;
// A tick that comes sooner settles the one before well enough.
constexpr int64_t kSoonSeconds = 5;
// A cron tick may be months away, and clocks are set.
constexpr Duration kLongestWait = std::chrono::seconds(30);

std::string ScheduleOf(const DriverSetup& setup) {
  if (setup.kind == DriverKind::kTicker) {
    return "every " + ConfigValue(setup.config, "seconds", std::to_string(kDefaultSeconds));
  }
  return "cron " + ConfigValue(setup.config, "cron") + " " +
         ConfigValue(setup.config, "timezone", "UTC");
}

Result<CronSpec> SpecOf(const DriverSetup& setup) {
  if (setup.kind == DriverKind::kTicker) {
    return CronSpec::Every(
        std::stoll(ConfigValue(setup.config, "seconds", std::to_string(kDefaultSeconds))));
  }
  ASSIGN_OR_RETURN(Zone zone, Zone::Named(ConfigValue(setup.config, "timezone", "UTC")));
  return CronSpec::Parse(ConfigValue(setup.config, "cron"), zone);
}

std::string DueOf(const TickPosition& position) {
  return schema::FormatRfc3339(FromMillis(position.last * 1000));
}

}  // namespace

TickDriver::TickDriver(DriverHost& host, broker::Broker& broker, DriverSetup setup)
    : host_(host),
      broker_(broker),
      setup_(std::move(setup)),
      type_(setup_.kind == DriverKind::kTicker ? "ticker.tick" : "cron.trigger"),
      source_(fmt::format("/{}/drivers/{}", setup_.claimed.org, setup_.claimed.name)) {
  timer_ = host_.loop().After(Duration(0), [this] { Begin(); });
}

TickDriver::~TickDriver() { host_.loop().Cancel(timer_); }

int64_t TickDriver::NowSeconds() const { return ToMillis(host_.loop().Now()) / 1000; }

void TickDriver::Begin() {
  timer_ = kNoTimer;
  auto spec = SpecOf(setup_);
  if (!spec.ok()) return host_.Fail(spec.message());
  schedule_ = std::make_unique<TickSchedule>(std::move(*spec), CatchUpOf(setup_.config));
  std::string schedule = ScheduleOf(setup_);
  auto stored = TickPosition::Parse(setup_.claimed.position);
  if (stored && stored->schedule == schedule) {
    position_ = *stored;
    return Settle();
  }
  // A new one, or its schedule was changed: from now on.
  position_ = TickPosition{.schedule = schedule, .begin = NowSeconds(), .last = NowSeconds()};
  Keep([this] { Settle(); });
}

void TickDriver::Keep(std::function<void()> then) {
  host_.SavePosition(position_.ToJson(), [this, alive = std::weak_ptr(alive_),
                                          then = std::move(then)](const Status& saved) {
    if (alive.expired()) return;
    if (!saved.ok()) return host_.Fail("cannot save its position: " + saved.message());
    then();
  });
}

void TickDriver::Settle() {
  if (position_.settled) {
    host_.Ready();
    return Await();
  }
  search_ = std::make_unique<EventSearch>(broker_, host_.loop(), setup_.topic,
                                          TickId(setup_.claimed.uuid, position_.last));
  search_->Start(
      position_.claimed_at_ms - kClockMarginMs, position_.claimed_at_ms + kClaimMs + kClockMarginMs,
      [this, alive = std::weak_ptr(alive_)](Result<bool> found) {
        if (alive.expired()) return;
        search_.reset();
        if (!found.ok()) {
          return host_.Fail("cannot look for the last tick: " + found.message());
        }
        if (*found) return Settled();
        host_.Log("driver", "the tick of " + DueOf(position_) + " was left by the instance before");
        Claim();
      });
}

void TickDriver::Settled() {
  position_.settled = true;
  host_.Ready();
  auto next = schedule_->Next(position_, NowSeconds());
  if (next && next->due - NowSeconds() < kSoonSeconds) return Await();
  // Else who takes over in weeks looks for an event that retention took.
  Keep([this] { Await(); });
}

void TickDriver::Await() {
  auto tick = schedule_->Next(position_, NowSeconds());
  if (!tick) return host_.Log("driver", "no more ticks within twelve years");
  Duration left = FromMillis(tick->due * 1000) - host_.loop().Now();
  if (left <= Duration(0)) return Take(*tick);
  timer_ = host_.loop().After(std::min(left, kLongestWait), [this] {
    timer_ = kNoTimer;
    Await();
  });
}

void TickDriver::Take(const Tick& tick) {
  position_.last = tick.due;
  position_.skipped = tick.skipped;
  if (tick.skipped > 0) {
    host_.Log("driver", fmt::format("{} ticks passed over: nobody ran it", tick.skipped));
  }
  Claim();
}

// Anew for each try: the time says where its event is to be looked for.
void TickDriver::Claim() {
  position_.settled = false;
  position_.claimed_at_ms = ToMillis(host_.loop().Now());
  Keep([this] { Emit(); });
}

void TickDriver::Emit() {
  cloudevents::Event event;
  std::string due = DueOf(position_);
  event.attributes = {{"specversion", "1.0"}, {"id", TickId(setup_.claimed.uuid, position_.last)},
                      {"source", source_},    {"type", type_},
                      {"time", due},          {"datacontenttype", "application/json"}};
  json::object data{{"due", due}};
  if (position_.skipped > 0) data["skipped"] = position_.skipped;
  event.data = json::Serialize(data);
  host_.Publish(std::move(event), [this, alive = std::weak_ptr(alive_)](Status published) {
    if (alive.expired()) return;
    // Made again, the driver looks whether it is there.
    if (!published.ok()) return host_.Fail("event not published: " + published.message());
    Settled();
  });
}

}  // namespace dispatch
