#pragma once

#include "broker-adapters/rpc.h"
#include "broker-adapters/state_table.h"
#include "event-manager/src/adapters/lag_survey.h"

namespace dispatch {

/// `lag.get`: where every subscription of an organisation stands, with a verdict in words. Body:
/// {"subscription": name?, "limit": n?, "after": name?}; answers {"subscriptions": [...], "topics":
/// [...], "next": "<after>"}: topics of these subscriptions, `next` when a limit left some out. An
/// answer has room for some 2,000 subscriptions. One owner.
class LagReport {
 public:
  LagReport(Loop& loop, const broker::StateTable& state, LagSurvey& survey)
      : loop_(loop), state_(state), survey_(survey) {}

  void Register(broker::RpcServer& server);

 private:
  using Responder = broker::RpcServer::Responder;

  void Get(const schema::Request& request, Responder respond);
  json::object Form(const LagBoard::Subscription& row) const;

  Loop& loop_;
  const broker::StateTable& state_;
  LagSurvey& survey_;
};

}  // namespace dispatch
