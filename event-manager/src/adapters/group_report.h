#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "broker-adapters/broker.h"
#include "broker-adapters/rpc.h"
#include "event-manager/src/adapters/record_times.h"

namespace dispatch {

/// `groups.list` and `groups.get`: the consumer groups of the cluster, whoever's they are, as Kafka
/// tells of them; nothing is changed. Not by organisation: who may ask is the gateway's matter.
/// `groups.list` answers an array of {"name", "state", "members", "lag"}; `groups.get` with body
/// {"name"} such a one with its members and partitions. What is not known is null, as the lag of a
/// partition without a commit. One owner.
class GroupReport {
 public:
  static constexpr size_t kMost = 1'000;  // groups whose members and lag are asked for
  static constexpr size_t kAtOnce = 16;

  GroupReport(broker::Broker& broker, Loop& loop)
      : broker_(broker), loop_(loop), times_(broker, loop) {}

  void Register(broker::RpcServer& server);

 private:
  using Responder = broker::RpcServer::Responder;
  struct Partition {
    broker::TopicPartition partition;
    int64_t committed = -1;  // -1: nothing is
    int64_t end = -1;        // -1: not known
    int64_t earliest = 0;
    std::string member;     // client id; empty: nobody reads it
    int64_t oldest_ms = 0;  // of what is unread; 0: not known
    bool known() const { return committed >= 0 && end >= 0; }
    int64_t lag() const { return end > committed ? end - committed : 0; }
  };
  struct Group {
    std::string name;
    std::string state;
    std::vector<std::string> members;  // client ids
    std::vector<Partition> partitions;
    bool described = false;
  };
  struct Query;
  using QueryPtr = std::shared_ptr<Query>;

  void List(Responder respond);
  void Get(const schema::Request& request, Responder respond);
  /// Members and offsets of the groups, then the ends of their topics; `done` whatever was missed.
  void Gather(QueryPtr query);
  void Next(const QueryPtr& query);
  void ReadEnds(const QueryPtr& query);
  void ReadTimes(const QueryPtr& query);

  broker::Broker& broker_;
  Loop& loop_;
  RecordTimes times_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
