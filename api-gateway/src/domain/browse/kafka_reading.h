#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "api-gateway/src/domain/browse/browser.h"

namespace dispatch::gateway {

/// What every reading of Kafka for one request has: a reader on loan, a bound in time, and one end,
/// whoever comes first to it. The listener of its reader is the reading itself.
class KafkaReading : public Reading, protected broker::Reader::Listener {
 public:
  ~KafkaReading() override { browser_.loop().Cancel(timer_); }

  void Stop() override { Fail({Code::kUnavailable, "the gateway is stopping: try again"}); }

 protected:
  KafkaReading(EventBrowser& browser, CallPtr call) : browser_(browser), call_(std::move(call)) {}

  /// Takes a reader and calls `late` after `most`, unless it ended before. False: there is no
  /// reader, and the request was answered so.
  bool Begin(Duration most, std::function<void()> late) {
    broker::Reader::Listener& listener = *this;
    auto lease = browser_.readers().Take(call_->org, listener);
    if (!lease.ok()) {
      Fail(lease.error());
      return false;
    }
    lease_ = std::move(*lease);
    SetTimer(most, std::move(late));
    return true;
  }

  void SetTimer(Duration after, std::function<void()> what) {
    browser_.loop().Cancel(timer_);
    timer_ = browser_.loop().After(after, [this, what = std::move(what)] {
      timer_ = kNoTimer;
      what();
    });
  }

  void FailLate() { Fail({Code::kUnavailable, "Kafka did not answer in time: try again"}); }

  void Fail(const Error& error) {
    if (done_) return;
    call_->Fail(error);
    End();
  }

  void End() {
    if (std::exchange(done_, true)) return;
    browser_.loop().Cancel(timer_);
    timer_ = kNoTimer;
    lease_.reset();
    browser_.Forget(this);
  }

  /// What reading a record costs; one without a value costs something too.
  static size_t CostOf(const broker::Record& record) {
    return (record.value ? record.value->size() : 0) + 64;
  }

  EventBrowser& browser_;
  CallPtr call_;
  std::unique_ptr<ReaderPool::Lease> lease_;
  bool done_ = false;

 private:
  TimerId timer_ = kNoTimer;
};

}  // namespace dispatch::gateway
