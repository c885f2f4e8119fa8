#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "broker-adapters/kafka/internal/handles.h"
#include "broker-adapters/kafka/kafka_broker.h"

namespace dispatch::broker::kafka {

/// Runs what blocks (ending a handle, asking for all metadata) away from the loop, one after
/// another. Its end waits for what was given, unless it comes from such a task itself.
class Worker {
 public:
  Worker();
  ~Worker();
  void Run(std::function<void()> task);

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::thread thread_;
};

/// Shut when the owner of the loop has gone: whoever is on the worker asks, under its lock, before
/// it posts.
struct Gate {
  std::mutex mutex;
  bool closed = false;

  void Close() {
    std::lock_guard lock(mutex);
    closed = true;
  }
};

/// What all handles of one Broker share.
struct Connection {
  EventLoop& loop;
  KafkaOptions options;
  Worker worker;
  // Which group protocol the cluster has, as far as it is known.
  bool consumer_protocol_seen = false;
  bool classic_only = false;
  // The handles that several producers or readers share: theirs alone, not kept from here.
  std::weak_ptr<void> shared_producer;
  std::vector<std::weak_ptr<void>> shared_readers;

  Connection(EventLoop& l, KafkaOptions o) : loop(l), options(std::move(o)) {}
};
using ConnectionPtr = std::shared_ptr<Connection>;

/// A handle. With its last reference it ends on the worker, without leaving its group; queues,
/// events and topics of it must be gone by then.
using RkPtr = std::shared_ptr<rd_kafka_t>;

/// A librdkafka configuration with everything that handles have in common: addresses, TLS, SASL,
/// logs as events. Set() remembers the first error; Open() reports it.
class Conf {
 public:
  Conf(ConnectionPtr connection, const std::string& client_id);
  Conf& Set(const char* name, const std::string& value);
  Conf& Set(const char* name, int64_t value) { return Set(name, std::to_string(value)); }
  Conf& Events(int events);
  /// Makes the handle; the configuration is used up.
  Result<RkPtr> Open(rd_kafka_type_t type);

 private:
  ConnectionPtr connection_;
  ConfPtr conf_;
  std::string client_;
  std::string error_;
};

/// Writes a librdkafka log line or a broker error as one of ours; errors at most once a second
/// each.
void LogEvent(rd_kafka_t* rk, rd_kafka_event_t* event);

}  // namespace dispatch::broker::kafka
