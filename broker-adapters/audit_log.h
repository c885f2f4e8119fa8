#pragma once

#include <functional>
#include <memory>
#include <string>

#include "broker-adapters/broker.h"
#include "broker-adapters/mac.h"
#include "common/clock.h"
#include "common/metrics.h"
#include "schema/messages.h"

namespace dispatch::broker {

/// Writes entries to dispatch.audit, signed. Best effort: what cannot be written is counted
/// (`dispatch_<service>_audit_entries_total`) and logged, and the change that it tells of stands.
/// One owner.
class AuditLog {
 public:
  AuditLog(Broker& broker, const RecordSigner& signer, const std::string& service);

  void Write(const schema::AuditEntry& entry);
  /// Of a request that asked for a change, and what came of it: allowed, denied, or an error's
  /// code.
  void WriteChange(const schema::Request& request, const std::string& resource,
                   const Status& status, WallTime now);
  /// Runs `done` when nothing is on its way any more.
  void Flush(Loop& loop, std::function<void()> done);

 private:
  void Failed(const std::string& reason);

  const RecordSigner& signer_;
  metrics::Counter written_;
  metrics::Counter failed_;
  std::unique_ptr<Producer> producer_;
};

/// What a request is about: the kind in its method and the `name` in its body, or the subscription
/// and the `id` of what belongs to it: "topic/orders", "redrive/billing/0190...".
std::string AuditedResource(const schema::Request& request);

}  // namespace dispatch::broker
