#include "event-manager/src/adapters/drivers/container_driver.h"

#include <fmt/format.h>

#include <chrono>

#include "event-manager/src/adapters/drivers/driver_words.h"
#include "event-manager/src/domain/drivers/driver_container.h"
#include "event-manager/src/domain/drivers/driver_limits.h"

namespace dispatch {

namespace {

using container::Listed;
using container::NetworkNamespace;

// Alive for so long, it works.
constexpr Duration kSettled = std::chrono::milliseconds(1'500);
constexpr Duration kAgain = std::chrono::seconds(1);
constexpr Duration kLookAgain = std::chrono::milliseconds(200);
constexpr int kLooks = 50;
// Its output comes by another way than its end.
constexpr Duration kOutputBehind = std::chrono::milliseconds(500);

}  // namespace

template <typename Task>
auto ContainerDriver::Guard(Task task) {
  return [alive = std::weak_ptr(alive_), task = std::move(task)](auto&&... with) {
    if (!alive.expired()) task(std::forward<decltype(with)>(with)...);
  };
}

ContainerDriver::ContainerDriver(DriverHost& host, EventLoop& loop,
                                 std::shared_ptr<DriverContainers> containers, DriverSetup setup)
    : host_(host),
      loop_(loop),
      containers_(std::move(containers)),
      setup_(std::move(setup)),
      endpoint_(host, loop, DriverEndpoint::Callers::kOne),
      out_([this](std::string line) { host_.Log("stdout", std::move(line)); }),
      err_([this](std::string line) { host_.Log("stderr", std::move(line)); }),
      frames_([this](bool err, std::string_view text) { (err ? err_ : out_).Append(text); }) {
  timer_ = loop_.After(Duration(0), [this] {
    timer_ = kNoTimer;
    containers_->connection().WhenAsked(Guard([this] { Begin(); }));
  });
}

ContainerDriver::~ContainerDriver() {
  loop_.Cancel(timer_);
  loop_.Cancel(attach_timer_);
  if (!id_.empty()) containers_->Remove(id_);
}

void ContainerDriver::Fail(const std::string& reason) {
  if (failed_) return;
  failed_ = true;
  endpoint_.Refuse();
  host_.Fail(reason);
}

void ContainerDriver::Begin() {
  if (const Status& usable = containers_->connection().usable(); !usable.ok()) {
    return Fail(usable.message());
  }
  containers_->engine().Image(json::GetString(setup_.claimed.document, "image"),
                              Guard([this](const Result<std::string>& found) {
                                if (!found.ok()) return Fail(found.message());
                                host_.Log("driver", "image " + *found);
                                RemoveOthers(*found, kLooks);
                              }));
}

void ContainerDriver::RemoveOthers(const std::string& image, int looks) {
  std::string label = fmt::format("{}={}", kDriverLabel, setup_.claimed.uuid.ToString());
  containers_->engine().List(label,
                             Guard([this, image, looks](const Result<std::vector<Listed>>& others) {
                               if (!others.ok()) return Fail(others.message());
                               if (others->empty()) return Create(image);
                               if (looks == 0)
                                 return Fail("the container that it had before cannot be removed");
                               for (const Listed& other : *others) containers_->Remove(other.id);
                               timer_ = loop_.After(kLookAgain, [this, image, looks] {
                                 timer_ = kNoTimer;
                                 RemoveOthers(image, looks - 1);
                               });
                             }));
}

void ContainerDriver::Create(const std::string& image) {
  DriverContainer spec{.image = image,
                       .owner = containers_->owner(),
                       .driver = setup_.claimed.uuid,
                       .org = setup_.claimed.org,
                       .name = setup_.claimed.name,
                       .arguments = DriverArguments(setup_, kDriverPort),
                       .environment = DriverEnvironment(setup_, kDriverPort, endpoint_.token())};
  containers_->Create(DriverContainerSpec(spec), alive_, [this](const Result<std::string>& id) {
    if (!id.ok()) return Fail(id.message());
    OnCreated(*id);
  });
}

void ContainerDriver::OnCreated(std::string id) {
  id_ = std::move(id);
  Attach();
  containers_->engine().Start(id_, Guard([this](const Status& started) {
                                // An image without such a program, for one.
                                if (!started.ok()) return Fail(started.message());
                                host_.Log("driver", "started");
                                AwaitEnd();
                                Listen();
                              }));
}

void ContainerDriver::Attach() {
  attached_ = true;
  output_ = containers_->engine().Attach(
      id_,
      [this, alive = std::weak_ptr(alive_)](std::string_view data) {
        return !alive.expired() && frames_.Append(data);
      },
      Guard([this] { OnAttachEnded(); }));
}

// It ends with the container, and also when the engine or a time limit says so.
void ContainerDriver::OnAttachEnded() {
  attached_ = false;
  out_.Finish();
  err_.Finish();
  frames_.Reset();
  if (!ended_.empty()) return Fail(ended_);
  if (failed_) return;
  attach_timer_ = loop_.After(kAgain, [this] {
    attach_timer_ = kNoTimer;
    if (!failed_ && ended_.empty()) Attach();
  });
}

void ContainerDriver::Listen() {
  containers_->engine().Inspect(
      id_, Guard([this](const Result<container::State>& found) {
        if (!found.ok()) return Fail(found.message());
        if (!found->running) return;  // the wait tells
        auto inside = NetworkNamespace::Of(found->pid);
        if (!inside.ok()) return Fail(inside.message());
        auto listening = (*inside)->Listen(kDriverPort);
        if (!listening.ok()) return Fail(listening.message());
        // Whether the number is still the container's, which a next process could have got.
        auto socket = std::make_shared<Fd>(std::move(*listening));
        containers_->engine().Inspect(
            id_, Guard([this, socket, pid = found->pid](const Result<container::State>& again) {
              if (!again.ok()) return Fail(again.message());
              bool same = again->running && again->pid == pid && ended_.empty() && !failed_;
              if (!same) return;
              endpoint_.Serve(socket->Release());
              timer_ = loop_.After(kSettled, [this] {
                timer_ = kNoTimer;
                if (!failed_ && ended_.empty()) host_.Ready();
              });
            }));
      }));
}

void ContainerDriver::AwaitEnd() {
  containers_->engine().Wait(id_, Guard([this](const Status& ended) { Explain(ended); }));
}

void ContainerDriver::Explain(const Status& ended) {
  if (failed_) return;
  containers_->engine().Inspect(
      id_, Guard([this, ended](const Result<container::State>& found) {
        if (failed_) return;
        if (!found.ok()) {
          bool gone = found.code() == Code::kNotFound;
          return End(gone ? "somebody else removed its container" : found.message());
        }
        // The engine was asked for longer than it answers.
        if (found->running && !ended.ok()) return AwaitEnd();
        if (found->out_of_memory) {
          return End(fmt::format("the container used more memory than its limit of {} MB",
                                 (kDriverMemoryBytes + kDriverTmpBytes) / 1024 / 1024));
        }
        End(fmt::format("the container exited with status {}", found->exit_code));
      }));
}

void ContainerDriver::End(std::string reason) {
  if (!attached_) return Fail(reason);
  ended_ = std::move(reason);
  loop_.Cancel(timer_);
  timer_ = loop_.After(kOutputBehind, [this] {
    timer_ = kNoTimer;
    Fail(ended_);
  });
}

}  // namespace dispatch
