#pragma once

#include <functional>
#include <memory>

#include "broker-adapters/broker.h"
#include "broker-adapters/mac.h"
#include "common/clock.h"
#include "common/metrics.h"
#include "schema/messages.h"

namespace dispatch::identity {

/// Writes entries to dispatch.audit, signed. Best effort: what cannot be written is counted and
/// logged, and the mutation that it tells of stands. One owner.
class AuditLog {
 public:
  AuditLog(broker::Broker& broker, const broker::RecordSigner& signer);

  void Write(const schema::AuditEntry& entry);
  /// Runs `done` when nothing is on its way any more.
  void Flush(Loop& loop, std::function<void()> done);

 private:
  void Failed(const std::string& reason);

  const broker::RecordSigner& signer_;
  metrics::Counter written_;
  metrics::Counter failed_;
  std::unique_ptr<broker::Producer> producer_;
};

}  // namespace dispatch::identity
