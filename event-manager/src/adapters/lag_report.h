#pragma once

#include "broker-adapters/rpc.h"
#include "broker-adapters/state_table.h"
#include "event-manager/src/adapters/lag_survey.h"

namespace dispatch {

/// `lag.get`: where every subscription of an organisation stands, with a verdict in words. Body:
/// {"subscription": name?, "limit": n?, "after": name?}; answers {"subscriptions": [...], "topics":
/// [...], "next": "<after>"}: topics of these subscriptions, `next` when a limit left some out. An
/// answer has room for some 2,000 subscriptions. `lag.blocking`: the keys of the ordered
/// {"subscription": name} whose first delivery is in the way of others, at most
/// schema::Blocked::kFirst, the most in the way first. One owner.
class LagReport {
 public:
  LagReport(Loop& loop, const broker::StateTable& state, const ProgressTable& progress,
            LagSurvey& survey)
      : loop_(loop), state_(state), progress_(progress), survey_(survey) {}

  void Register(broker::RpcServer& server);

 private:
  using Responder = broker::RpcServer::Responder;

  void Get(const schema::Request& request, Responder respond);
  void BlockingKeys(const schema::Request& request, const Responder& respond);
  json::object Form(const LagBoard::Subscription& row) const;

  Loop& loop_;
  const broker::StateTable& state_;
  const ProgressTable& progress_;
  LagSurvey& survey_;
};

}  // namespace dispatch
