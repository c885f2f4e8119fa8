#pragma once

#include <functional>
#include <memory>

#include "broker-adapters/kafka/internal/handles.h"
#include "common/event_loop.h"

namespace dispatch::broker::kafka {

/// Brings the events of one librdkafka queue to the loop. The queue wakes us through an eventfd
/// when it stops being empty (edge-triggered, so it is written once at the start); a turn takes a
/// bounded number of events and comes back for the rest. A timer polls once a second too: a
/// consumer that does not poll is thrown out of its group. Handlers may close it, or drop its last
/// reference.
class EventQueue : public std::enable_shared_from_this<EventQueue> {
 public:
  using OnEvent = std::function<void(EventPtr)>;

  /// Takes `queue` of `rk`. `on_turn` runs after the events of each turn, also when there were
  /// none.
  static std::shared_ptr<EventQueue> Open(EventLoop& loop, std::shared_ptr<rd_kafka_t> rk,
                                          QueuePtr queue, OnEvent on_event,
                                          std::function<void()> on_turn = nullptr);
  ~EventQueue() { Close(); }

  rd_kafka_queue_t* get() const { return queue_.get(); }
  void Close();

 private:
  EventQueue(EventLoop& loop, std::shared_ptr<rd_kafka_t> rk, QueuePtr queue, OnEvent on_event,
             std::function<void()> on_turn)
      : loop_(loop),
        rk_(std::move(rk)),
        queue_(std::move(queue)),
        on_event_(std::move(on_event)),
        on_turn_(std::move(on_turn)) {}

  void Start();
  void Readable();
  void Turn();
  void Schedule();
  void Tick();

  EventLoop& loop_;
  std::shared_ptr<rd_kafka_t> rk_;  // outlives its queue and events
  QueuePtr queue_;
  OnEvent on_event_;
  std::function<void()> on_turn_;
  int fd_ = -1;
  TimerId timer_ = kNoTimer;
  bool scheduled_ = false;
  bool turning_ = false;
};

}  // namespace dispatch::broker::kafka
