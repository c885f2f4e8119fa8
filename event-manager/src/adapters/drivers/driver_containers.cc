#include "event-manager/src/adapters/drivers/driver_containers.h"

#include <chrono>
#include <utility>

#include "common/container/spec.h"
#include "common/log.h"
#include "common/process/process_name.h"
#include "event-manager/src/domain/drivers/driver_container.h"
#include "event-manager/src/domain/drivers/driver_spec.h"

namespace dispatch {

namespace {

constexpr Duration kRemoveAgain = std::chrono::seconds(1);
constexpr Duration kLongestClose = std::chrono::seconds(3);

bool IsOrphan(const container::Listed& listed) {
  auto owner = listed.labels.find(container::kOwnerLabel);
  return owner != listed.labels.end() && !MayLive(owner->second);
}

}  // namespace

DriverContainers::DriverContainers(EventLoop& loop, const std::string& socket,
                                   const std::string& registry_file)
    : loop_(loop),
      owner_(ProcessName()),
      connection_(loop, {.socket = socket,
                         .registry_file = registry_file,
                         .none = NoDriverEngine(""),
                         .what = "drivers",
                         .label = kDriverLabel,
                         .left = IsOrphan}) {}

DriverContainers::~DriverContainers() {
  loop_.Cancel(closing_timer_);
  for (TimerId timer : timers_) loop_.Cancel(timer);
}

void DriverContainers::Create(const json::object& spec, const std::weak_ptr<char>& wanted,
                              container::Engine::Done<std::string> done) {
  ++creating_;
  engine().Create(spec, [this, wanted, done = std::move(done)](const Result<std::string>& id) {
    --creating_;
    if (!wanted.expired()) return done(id);
    if (id.ok()) Remove(*id);
    CloseWhenEmpty();
  });
}

void DriverContainers::Remove(const std::string& id) {
  if (graves_.insert(id).second) Dig(id);
}

void DriverContainers::Dig(const std::string& id) {
  engine().Remove(id, [this, id](const Status& removed) {
    if (removed.ok()) {
      graves_.erase(id);
      return CloseWhenEmpty();
    }
    if (log::Sometimes("drivers.remove", 5)) {
      log::Warning("container of a driver not removed yet id={} reason=\"{}\"", id,
                   removed.message());
    }
    auto timer = std::make_shared<TimerId>(kNoTimer);
    *timer = loop_.After(kRemoveAgain, [this, id, timer] {
      timers_.erase(*timer);
      Dig(id);
    });
    timers_.insert(*timer);
  });
}

void DriverContainers::Close(std::function<void()> done) {
  closed_ = std::move(done);
  closing_timer_ = loop_.After(kLongestClose, [this] {
    log::Warning("containers of drivers are left behind count={}", graves_.size());
    if (closed_) std::exchange(closed_, nullptr)();
  });
  CloseWhenEmpty();
}

void DriverContainers::CloseWhenEmpty() {
  if (!closed_ || creating_ > 0 || !graves_.empty()) return;
  loop_.Cancel(std::exchange(closing_timer_, kNoTimer));
  std::exchange(closed_, nullptr)();
}

}  // namespace dispatch
