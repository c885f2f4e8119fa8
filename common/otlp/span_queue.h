#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "common/clock.h"
#include "common/metrics.h"
#include "common/otlp/encoding.h"

namespace dispatch::otlp {

/// Spans on their way to a collector: a bounded queue, batches, one request at a time, repetition
/// with growing waits. A collector that is slow or away costs spans, which are counted, and nothing
/// else: what comes to a full queue is dropped. One owner; a pure state machine over its loop.
class SpanQueue : public Tracer::Sink {
 public:
  struct Options {
    size_t most_spans = 8'192;
    size_t most_bytes = 16 * 1024 * 1024;
    size_t batch_spans = 512;
    size_t batch_bytes = 1024 * 1024;
    Duration interval = std::chrono::seconds(2);  // from the first span of a batch to its request
    Duration first_wait = std::chrono::seconds(1);
    Duration longest_wait = std::chrono::seconds(30);
    Duration give_up = std::chrono::minutes(2);  // on a batch, from its first request
    Duration flush_limit = std::chrono::seconds(5);
  };
  /// What a collector said to a request.
  struct Answer {
    int status = 0;       // 0: nothing
    std::string failure;  // why not, for people
    std::string body;
    std::optional<std::chrono::milliseconds> retry_after;
  };
  /// Posts an ExportTraceServiceRequest. Never calls back inside the call.
  using Post = std::function<void(std::string body, std::function<void(Answer)> done)>;

  /// `random`: 0 to 1.
  SpanQueue(Loop& loop, Envelope envelope, Post post, std::function<double()> random,
            Options options);
  ~SpanQueue() override;

  void Take(const Span& span) override;
  /// Sends what there is, each batch once, until the deadline or the flush limit; what is left then
  /// is dropped. No span is taken any more.
  void Flush(SteadyTime deadline, std::function<void()> done);

  size_t size() const { return waiting_.size() + batch_spans_; }

 private:
  struct Dropped {
    metrics::Counter full = Reason("queue-full");
    metrics::Counter refused = Reason("refused");  // by the collector, all of a request
    metrics::Counter partly = Reason("rejected");  // some of a request
    metrics::Counter expired = Reason("expired");
    metrics::Counter stopped = Reason("stopped");
    static metrics::Counter Reason(const char* reason);
  };

  void Arm(Duration delay);
  void Send();
  void FillBatch();
  void Request();
  void Answered(const Answer& answer);
  void Accepted(const Answer& answer);
  void Repeat(const Answer& answer);
  void EndBatch();
  void Drop(const metrics::Counter& counter, size_t spans, std::string_view why);
  void GoOn();
  void EndFlush();

  Loop& loop_;
  Envelope envelope_;
  Post post_;
  std::function<double()> random_;
  Options options_;
  metrics::Counter exported_;
  Dropped dropped_;
  std::deque<std::string> waiting_;  // encoded
  size_t waiting_bytes_ = 0;
  std::string batch_;  // under way, or to be repeated
  size_t batch_spans_ = 0;
  SteadyTime batch_begun_{};
  Duration wait_;
  bool requesting_ = false;
  bool resting_ = false;      // the last request failed: until timer_
  TimerId timer_ = kNoTimer;  // until the next request
  TimerId flush_timer_ = kNoTimer;
  bool flushing_ = false;
  std::function<void()> flushed_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch::otlp
