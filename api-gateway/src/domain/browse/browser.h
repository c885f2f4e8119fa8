#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "api-gateway/src/domain/browse/query.h"
#include "api-gateway/src/domain/browse/reader_pool.h"
#include "api-gateway/src/domain/call.h"
#include "broker-adapters/broker.h"
#include "common/clock.h"

namespace dispatch::gateway {

/// A request that reads an event topic and is not answered yet. Lives on the gateway's loop.
class Reading {
 public:
  virtual ~Reading() = default;
  virtual void Start() = 0;
  /// The gateway stops: answers with what there is.
  virtual void Stop() = 0;
};

/// Looks into event topics for people: pages of events, streams of new ones, and where an event of
/// some id is. Reads Kafka directly, in no group, so that it moves nobody's position; bounded in
/// time, bytes and number. One owner.
class EventBrowser {
 public:
  struct Options {
    ReaderPool::Options readers;
    Duration page_time = std::chrono::seconds(4);
    size_t page_bytes = 4 * 1024 * 1024;        // of a page's items; the one that passes it is in
    size_t page_read_bytes = 64 * 1024 * 1024;  // what a filter may go through for a page
    Duration heartbeat = std::chrono::seconds(15);
    Duration stream_time = std::chrono::hours(1);  // then the client takes it up again
    Duration search_time = std::chrono::seconds(5);
    size_t search_bytes = 128 * 1024 * 1024;
    int64_t search_block = 500;  // offsets of a partition in the first round; doubled each round
    size_t search_partitions = 512;
  };
  /// Whether the caller may go on reading; asked now and then during a stream.
  using Allowed = std::function<bool(const Call& call)>;

  EventBrowser(Loop& loop, broker::Broker& broker, Options options);
  ~EventBrowser();

  /// Answers with a page or a stream of the topic's events; errors too.
  void Browse(CallPtr call, const std::string& topic, BrowseQuery query, Allowed allowed);
  /// Answers where the events of an id are, reading backwards from the topics' ends.
  void Search(CallPtr call, std::vector<std::string> topics, std::string id);
  /// Ends what is under way, and refuses what comes.
  void Stop();

  // For the readings.
  Loop& loop() { return loop_; }
  broker::Admin& admin() { return broker_.admin(); }
  ReaderPool& readers() { return readers_; }
  const Options& options() const { return options_; }
  const metrics::Counter& shown() const { return shown_; }
  void Forget(const Reading* reading);

 private:
  void Run(const CallPtr& call, std::shared_ptr<Reading> reading);

  Loop& loop_;
  broker::Broker& broker_;
  const Options options_;
  ReaderPool readers_;
  bool stopped_ = false;
  metrics::Counter shown_;
  std::unordered_set<std::shared_ptr<Reading>> readings_;
};

/// The name that Kafka knows a topic by.
std::string KafkaTopic(const Call& call, const std::string& topic);

std::shared_ptr<Reading> NewEventPage(EventBrowser& browser, CallPtr call, const std::string& topic,
                                      BrowseQuery query);
std::shared_ptr<Reading> NewEventStream(EventBrowser& browser, CallPtr call,
                                        const std::string& topic, BrowseQuery query,
                                        EventBrowser::Allowed allowed);
std::shared_ptr<Reading> NewEventSearch(EventBrowser& browser, CallPtr call,
                                        std::vector<std::string> topics, std::string id);

/// Where a reading begins, and what the log holds.
struct BrowseStart {
  Positions next;
  std::vector<broker::Offsets> log;  // of every partition, at that moment
};
/// Finds it out. Positions outside the log move to its nearest end. kInvalidArgument for a
/// partition that the topic does not have.
void FindStart(broker::Admin& admin, const std::string& kafka_topic, const BrowseQuery& query,
               std::function<void(Result<BrowseStart>)> done);

}  // namespace dispatch::gateway
