#pragma once

#include "broker-adapters/rpc.h"
#include "broker-adapters/state_table.h"
#include "event-manager/src/adapters/lag_archive.h"

namespace dispatch {

/// `lag.history`: how the lag of some subscriptions moved. Body: {"subscriptions": [names], "from":
/// ms, "step": ms, "count": n, "partitions": bool}; answers {"subscriptions": [{"name", "waiting":
/// [...], "oldestSeconds", "settledPerSecond", "unread"?: [[...] by partition]}]}, each with
/// `count` values, null where nobody looked. Names that do not exist are left out. One owner.
class LagHistoryReport {
 public:
  LagHistoryReport(const broker::StateTable& state, LagArchive& archive)
      : state_(state), archive_(archive) {}

  void Register(broker::RpcServer& server);

 private:
  const broker::StateTable& state_;
  LagArchive& archive_;
};

}  // namespace dispatch
