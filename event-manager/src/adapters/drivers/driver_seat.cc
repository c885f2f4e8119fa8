#include "event-manager/src/adapters/drivers/driver_seat.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker-adapters/topics.h"
#include "common/log.h"
#include "common/metrics.h"

namespace dispatch {

namespace {

constexpr Duration kFirstPause = std::chrono::seconds(1);
constexpr Duration kLongestPause = std::chrono::seconds(60);
// Who worked for so long begins with the first pause again.
constexpr Duration kSteady = std::chrono::seconds(60);
constexpr Duration kStatusRetry = std::chrono::seconds(1);
constexpr size_t kMaxReason = 1'000;
constexpr size_t kMaxEventBytes = 1'000'000;

}  // namespace

DriverSeat::DriverSeat(Loop& loop, broker::Producer& producer, DriverStore& store,
                       const DriverFactory& factory, ClaimedDriver claimed,
                       std::function<void()> committed)
    : loop_(loop),
      producer_(producer),
      store_(store),
      factory_(factory),
      claimed_(std::move(claimed)),
      committed_(std::move(committed)),
      log_(loop, store, claimed_.uuid, claimed_.epoch) {
  timer_ = loop_.After(Duration(0), [this] { Begin(); });
}

DriverSeat::~DriverSeat() {
  loop_.Cancel(timer_);
  loop_.Cancel(status_timer_);
}

void DriverSeat::Restart(const std::string& why) {
  Log("driver", "restarting: " + why);
  loop_.Cancel(timer_);
  ++life_;
  driver_.reset();
  ready_ = false;
  failures_ = 0;
  timer_ = loop_.After(Duration(0), [this] { Begin(); });
}

void DriverSeat::Begin() {
  timer_ = kNoTimer;
  std::vector<std::string> names;
  if (const auto* given = json::GetArray(claimed_.document, "secrets")) {
    for (const auto& name : *given) {
      if (name.is_string()) names.emplace_back(name.as_string());
    }
  }
  if (names.empty()) return Make({});
  factory_.secrets(claimed_.org, names,
                   [this, alive = std::weak_ptr(alive_),
                    life = life_](Result<std::map<std::string, std::string>> values) {
                     if (alive.expired() || life != life_) return;
                     if (!values.ok()) return Fail(values.message());
                     Make(std::move(*values));
                   });
}

void DriverSeat::Make(std::map<std::string, std::string> secrets) {
  DriverSetup setup;
  setup.claimed = claimed_;
  auto kind = KindOfImage(json::GetString(claimed_.document, "image"));
  if (!kind.ok()) return Fail(kind.message());
  setup.kind = *kind;
  setup.config = MergeConfig(ReadConfig(claimed_.type), ReadConfig(claimed_.document));
  topic_ = TopicOf(setup.config);
  setup.topic = broker::EventTopic(claimed_.org, topic_);
  setup.secrets = std::move(secrets);
  auto made = factory_.make(*this, std::move(setup));
  if (!made.ok()) return Fail(made.message());
  driver_ = std::move(*made);
}

void DriverSeat::Publish(cloudevents::Event event, std::function<void(Status)> done) {
  auto later = [this, done](Status status) {
    loop_.Post([alive = std::weak_ptr(alive_), done, status = std::move(status)] {
      if (!alive.expired()) done(status);
    });
  };
  if (loop_.Steady() + kDriverDeliveryTimeout >= valid_until_) {
    return later({Code::kUnavailable, "the lease of the driver could not be renewed in time"});
  }
  schema::EventData data = cloudevents::ToKafka(std::move(event));
  size_t bytes = data.value ? data.value->size() : 0;
  for (const auto& [name, value] : data.headers) bytes += name.size() + value.size();
  if (bytes > kMaxEventBytes) {
    return later({Code::kTooLarge, fmt::format("the event has {} bytes: at most {} are possible",
                                               bytes, kMaxEventBytes)});
  }
  std::string topic = topic_;
  Status queued = producer_.Produce(
      {broker::EventTopic(claimed_.org, topic), -1, std::move(data.key), std::move(data.value),
       std::move(data.headers)},
      [alive = std::weak_ptr(alive_), done, topic](const Result<broker::Position>& position) {
        if (alive.expired()) return;
        if (position.ok()) {
          static const auto counter =
              metrics::GetCounter("dispatch_driver_events_total", "Events that drivers published");
          counter.Add();
        }
        if (position.code() == Code::kNotFound) {
          return done(Error{Code::kNotFound, "topic '" + topic + "' does not exist"});
        }
        done(position.status());
      });
  if (queued.code() == Code::kNotFound) {
    return later({Code::kNotFound, "topic '" + topic + "' does not exist"});
  }
  if (!queued.ok()) later(queued);
}

void DriverSeat::SavePosition(json::object position, std::function<void(Status)> done) {
  store_.SavePosition(
      claimed_.uuid, claimed_.epoch, position,
      [this, alive = std::weak_ptr(alive_), position, done = std::move(done)](Status status) {
        if (alive.expired()) return;
        // What was not saved for certain is tried again from what was.
        if (status.ok()) claimed_.position = position;
        done(std::move(status));
      });
}

void DriverSeat::Log(const std::string& stream, std::string line) {
  log_.Add(stream, std::move(line));
}

void DriverSeat::Ready() {
  if (ready_) return;
  ready_ = true;
  ready_since_ = loop_.Steady();
  Tell("READY", "");
}

void DriverSeat::Fail(std::string reason) {
  if (ready_ && loop_.Steady() - ready_since_ >= kSteady) failures_ = 0;
  ready_ = false;
  Duration pause = std::min(kFirstPause * (1 << std::min(failures_, 10)), kLongestPause);
  ++failures_;
  reason = StorableText(std::move(reason), kMaxReason);
  Log("driver", fmt::format("{}; restarting in {} s", reason, pause.count() / 1'000'000));
  Tell("ERROR", fmt::format("restarting after failure {}: {}", failures_, reason));
  ++life_;
  loop_.Cancel(timer_);
  // It called us: it goes later. A position that it saved is what the next one begins with.
  loop_.Post([this, alive = std::weak_ptr(alive_), life = life_] {
    if (!alive.expired() && life == life_) driver_.reset();
  });
  timer_ = loop_.After(pause, [this] {
    driver_.reset();
    Begin();
  });
}

void DriverSeat::Tell(const std::string& status, const std::string& reason) {
  status_ = status;
  reason_ = reason;
  told_ = false;
  WriteStatus();
}

void DriverSeat::WriteStatus() {
  if (telling_ || told_) return;
  telling_ = true;
  told_ = true;
  store_.SetStatus(
      claimed_, status_, reason_, [this, alive = std::weak_ptr(alive_)](Result<bool> changed) {
        if (alive.expired()) return;
        telling_ = false;
        if (changed.ok() && *changed) committed_();
        if (!changed.ok() && changed.error().retryable) {
          told_ = false;
          loop_.Cancel(status_timer_);
          status_timer_ = loop_.After(kStatusRetry, [this] { WriteStatus(); });
          return;
        }
        // The same words would be refused again.
        if (!changed.ok() && changed.code() != Code::kFenced && changed.code() != Code::kNotFound) {
          log::Warning("driver status refused org={} driver={} reason=\"{}\"", claimed_.org,
                       claimed_.name, changed.message());
        }
        WriteStatus();
      });
}

}  // namespace dispatch
