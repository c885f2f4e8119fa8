#include "common/container/connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/container/network_namespace.h"
#include "common/log.h"

namespace dispatch::container {

namespace {

constexpr Duration kConnectAgain = std::chrono::seconds(2);

}  // namespace

Connection::Connection(EventLoop& loop, ConnectionOptions options)
    : loop_(loop),
      options_(std::move(options)),
      engine_(loop, options_.socket, options_.registry_file) {
  if (options_.socket.empty()) {
    usable_ = options_.none;
  } else if (usable_ = NetworkNamespace::Allowed(); !usable_.ok()) {
    log::Warning("containers are refused reason=\"{}\"", usable_.message());
  } else {
    usable_ = {Code::kUnavailable, "the container engine was not asked yet"};
    asked_first_ = false;
    Connect();
  }
}

Connection::~Connection() { loop_.Cancel(timer_); }

void Connection::WhenAsked(std::function<void()> task) {
  if (asked_first_) return task();
  waiting_.push_back(std::move(task));
}

void Connection::Connect() {
  engine_.Connect([this](const Result<std::string>& what) {
    if (!what.ok()) return Connected(what.status());
    engine_.List(options_.label, [this, what = *what](Result<std::vector<Listed>> found) {
      if (!found.ok()) return Connected(found.status());
      std::vector<std::string> ids;
      for (const Listed& each : *found) {
        if (!options_.left || options_.left(each)) ids.push_back(each.id);
      }
      if (!ids.empty()) {
        log::Info("containers of the instance before are removed count={}", ids.size());
      }
      RemoveLeft(std::move(ids), what);
    });
  });
}

void Connection::RemoveLeft(std::vector<std::string> ids, const std::string& what) {
  if (ids.empty()) {
    log::Info("{} run in containers engine=\"{}\" socket={}", options_.what, what, options_.socket);
    return Connected(OkStatus());
  }
  std::string id = std::move(ids.back());
  ids.pop_back();
  engine_.Remove(id, [this, ids, what](const Status& removed) {
    if (!removed.ok()) return Connected(removed);
    RemoveLeft(ids, what);
  });
}

void Connection::Connected(const Status& status) {
  if (!status.ok()) {
    if (status.message() != usable_.message()) {
      log::Warning("containers are refused reason=\"{}\"", status.message());
    }
    timer_ = loop_.After(kConnectAgain, [this] {
      timer_ = kNoTimer;
      Connect();
    });
  }
  usable_ = status;
  asked_first_ = true;
  for (auto& task : std::exchange(waiting_, {})) task();
}

}  // namespace dispatch::container
