#pragma once

#include <string>

#include "api-gateway/src/domain/call.h"
#include "broker-adapters/broker.h"
#include "broker-adapters/mac.h"
#include "common/clock.h"
#include "common/metrics.h"

namespace dispatch::gateway {

/// Tells dispatch.audit of requests that a known key was not allowed to make. At most 100 a second:
/// who hammers a closed door must not fill the topic; what is left out is counted. One owner.
class DenialLog {
 public:
  DenialLog(const Clock& clock, broker::Producer& producer, const broker::RecordSigner& signer);

  /// `action` is the route, as "DELETE /v1/topics/{name}".
  void Write(const Call& call, const std::string& action);

 private:
  const Clock& clock_;
  broker::Producer& producer_;
  const broker::RecordSigner& signer_;
  metrics::Counter left_out_;
};

}  // namespace dispatch::gateway
