#include "event-manager/src/adapters/drivers/tick_driver.h"

#include <fmt/format.h>

#include <algorithm>

#include "schema/rfc3339.h"

namespace dispatch {

namespace {

constexpr int64_t kDefaultSeconds = 60;
// Clocks of instances and of brokers may differ.
constexpr int64_t kClockMarginMs = 60'000;
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
  host_.SavePosition(position_.ToJson(), [this, alive = std::weak_ptr(alive_)](Status saved) {
    if (alive.expired()) return;
    if (!saved.ok()) return host_.Fail(saved.message());
    Settle();
  });
}

void TickDriver::Settle() {
  if (position_.settled) {
    host_.Ready();
    return Await();
  }
  search_ = std::make_unique<EventSearch>(broker_, host_.loop(), setup_.topic,
                                          TickId(setup_.claimed.uuid, position_.last));
  search_->Start(position_.claimed_at_ms - kClockMarginMs,
                 [this, alive = std::weak_ptr(alive_)](Result<bool> found) {
                   if (alive.expired()) return;
                   search_.reset();
                   if (!found.ok()) {
                     return host_.Fail("cannot look for the last tick: " + found.message());
                   }
                   if (!*found) return Emit(true);
                   position_.settled = true;
                   host_.Ready();
                   Await();
                 });
}

void TickDriver::Await() {
  auto tick = schedule_->Next(position_, NowSeconds());
  if (!tick) return host_.Log("driver", "no more ticks within twelve years");
  Duration left = FromMillis(tick->due * 1000) - host_.loop().Now();
  if (left <= Duration(0)) return Claim(*tick);
  timer_ = host_.loop().After(std::min(left, kLongestWait), [this] {
    timer_ = kNoTimer;
    Await();
  });
}

void TickDriver::Claim(const Tick& tick) {
  position_.last = tick.due;
  position_.skipped = tick.skipped;
  position_.settled = false;
  position_.claimed_at_ms = ToMillis(host_.loop().Now());
  if (tick.skipped > 0) {
    host_.Log("driver", fmt::format("{} ticks passed over: nobody ran it", tick.skipped));
  }
  host_.SavePosition(position_.ToJson(), [this, alive = std::weak_ptr(alive_)](Status saved) {
    if (alive.expired()) return;
    if (!saved.ok()) return host_.Fail("cannot claim a tick: " + saved.message());
    Emit(false);
  });
}

void TickDriver::Emit(bool again) {
  cloudevents::Event event;
  std::string due = schema::FormatRfc3339(FromMillis(position_.last * 1000));
  event.attributes = {{"specversion", "1.0"}, {"id", TickId(setup_.claimed.uuid, position_.last)},
                      {"source", source_},    {"type", type_},
                      {"time", due},          {"datacontenttype", "application/json"}};
  json::object data{{"due", due}};
  if (position_.skipped > 0) data["skipped"] = position_.skipped;
  if (again) host_.Log("driver", "the tick of " + due + " was left by the instance before");
  event.data = json::Serialize(data);
  host_.Publish(std::move(event), [this, alive = std::weak_ptr(alive_)](Status published) {
    if (alive.expired()) return;
    // Made again, the driver looks whether it is there.
    if (!published.ok()) return host_.Fail("event not published: " + published.message());
    position_.settled = true;
    host_.Ready();
    Await();
  });
}

}  // namespace dispatch
