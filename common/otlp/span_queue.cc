#include "common/otlp/span_queue.h"

#include <algorithm>
#include <utility>

#include "common/log.h"

namespace dispatch::otlp {

namespace {

// Within what a stop step gets when its time is over.
constexpr Duration kLeastFlush = std::chrono::milliseconds(100);

// OTLP specification, "OTLP/HTTP Response": these and no answer are tried again, nothing else.
bool MayBeRepeated(int status) {
  return status == 0 || status == 429 || status == 502 || status == 503 || status == 504;
}

std::string Describe(const SpanQueue::Answer& answer) {
  return answer.status == 0 ? answer.failure : "status " + std::to_string(answer.status);
}

}  // namespace

metrics::Counter SpanQueue::Dropped::Reason(const char* reason) {
  return metrics::GetCounter("dispatch_spans_dropped_total",
                             "Spans of traces that were not exported, by reason",
                             {{"reason", reason}});
}

SpanQueue::SpanQueue(Loop& loop, Envelope envelope, Post post, std::function<double()> random,
                     Options options)
    : loop_(loop),
      envelope_(std::move(envelope)),
      post_(std::move(post)),
      random_(std::move(random)),
      options_(options),
      exported_(metrics::GetCounter("dispatch_spans_exported_total",
                                    "Spans of traces that the collector took")),
      wait_(options.first_wait) {}

SpanQueue::~SpanQueue() {
  loop_.Cancel(timer_);
  loop_.Cancel(flush_timer_);
}

void SpanQueue::Take(const Span& span) {
  if (flushing_) return Drop(dropped_.stopped, 1, "the service stops");
  bool full =
      size() >= options_.most_spans || waiting_bytes_ + batch_.size() >= options_.most_bytes;
  if (full) return Drop(dropped_.full, 1, "the collector does not take them fast enough");
  waiting_.push_back(EncodeSpan(span));
  waiting_bytes_ += waiting_.back().size();
  GoOn();
}

// Sees to it that what waits will be sent.
void SpanQueue::GoOn() {
  if (requesting_ || resting_ || waiting_.empty()) return;
  bool enough = waiting_.size() >= options_.batch_spans || waiting_bytes_ >= options_.batch_bytes ||
                flushing_;
  if (enough) return Send();
  if (timer_ == kNoTimer) Arm(options_.interval);
}

void SpanQueue::Arm(Duration delay) {
  timer_ = loop_.After(delay, [this] {
    timer_ = kNoTimer;
    Send();
  });
}

void SpanQueue::Send() {
  loop_.Cancel(std::exchange(timer_, kNoTimer));
  resting_ = false;
  if (batch_spans_ == 0) FillBatch();
  if (batch_spans_ > 0) Request();
}

void SpanQueue::FillBatch() {
  if (waiting_.empty()) return;
  batch_ = envelope_.head;
  while (!waiting_.empty() && batch_spans_ < options_.batch_spans &&
         (batch_spans_ == 0 || batch_.size() + waiting_.front().size() <= options_.batch_bytes)) {
    if (batch_spans_++ > 0) batch_ += ',';
    batch_ += waiting_.front();
    waiting_bytes_ -= waiting_.front().size();
    waiting_.pop_front();
  }
  batch_ += envelope_.tail;
  batch_begun_ = loop_.Steady();
}

void SpanQueue::Request() {
  requesting_ = true;
  post_(batch_, [this, alive = std::weak_ptr(alive_)](const Answer& answer) {
    if (alive.expired() || !requesting_) return;
    requesting_ = false;
    Answered(answer);
  });
}

void SpanQueue::Answered(const Answer& answer) {
  if (MayBeRepeated(answer.status)) return Repeat(answer);
  if (answer.status >= 200 && answer.status < 300) {
    Accepted(answer);
  } else {
    Drop(dropped_.refused, batch_spans_, Describe(answer));
  }
  EndBatch();
}

// What it rejected is not to be sent again.
void SpanQueue::Accepted(const Answer& answer) {
  wait_ = options_.first_wait;
  size_t rejected = 0;
  if (auto partial = ReadPartialSuccess(answer.body)) {
    rejected = std::min(batch_spans_, static_cast<size_t>(std::max<int64_t>(0, partial->rejected)));
    Drop(dropped_.partly, rejected, partial->message);
  }
  exported_.Add(static_cast<double>(batch_spans_ - rejected));
}

void SpanQueue::Repeat(const Answer& answer) {
  if (flushing_) {
    Drop(dropped_.stopped, batch_spans_, Describe(answer));
    return EndFlush();
  }
  Duration wait = wait_ / 2 + std::chrono::duration_cast<Duration>(wait_ / 2 * random_());
  if (answer.retry_after) wait = *answer.retry_after;
  wait_ = std::min(wait_ * 2, options_.longest_wait);
  if (loop_.Steady() + wait > batch_begun_ + options_.give_up) {
    Drop(dropped_.expired, batch_spans_, Describe(answer));
    batch_spans_ = 0;
    batch_.clear();
  }
  resting_ = true;
  Arm(wait);
}

void SpanQueue::EndBatch() {
  batch_spans_ = 0;
  batch_.clear();
  if (flushing_ && waiting_.empty()) return EndFlush();
  GoOn();
}

void SpanQueue::Drop(const metrics::Counter& counter, size_t spans, std::string_view why) {
  counter.Add(static_cast<double>(spans));
  if (!log::Sometimes("spans.dropped")) return;
  log::Warning("spans not exported setting=otlp-endpoint spans={} reason=\"{}\"", spans, why);
}

void SpanQueue::Flush(SteadyTime deadline, std::function<void()> done) {
  flushing_ = true;
  flushed_ = std::move(done);
  if (size() == 0) return EndFlush();
  Duration left = std::clamp(deadline - loop_.Steady(), kLeastFlush, options_.flush_limit);
  flush_timer_ = loop_.After(left, [this] { EndFlush(); });
  if (!requesting_) Send();
}

void SpanQueue::EndFlush() {
  loop_.Cancel(std::exchange(timer_, kNoTimer));
  loop_.Cancel(std::exchange(flush_timer_, kNoTimer));
  if (requesting_) Drop(dropped_.stopped, batch_spans_, "no answer in time");
  requesting_ = false;
  batch_spans_ = 0;
  batch_.clear();
  if (!waiting_.empty()) Drop(dropped_.stopped, waiting_.size(), "the collector takes none");
  waiting_.clear();
  waiting_bytes_ = 0;
  if (flushed_) loop_.Post(std::exchange(flushed_, nullptr));
}

}  // namespace dispatch::otlp
