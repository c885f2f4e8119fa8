#include "api-gateway/src/domain/denial_log.h"

#include "broker-adapters/topics.h"
#include "common/log.h"

namespace dispatch::gateway {

namespace {

constexpr int kPerSecond = 100;
constexpr size_t kMaxTarget = 512;

}  // namespace

DenialLog::DenialLog(const Clock& clock, broker::Producer& producer,
                     const broker::RecordSigner& signer)
    : clock_(clock),
      producer_(producer),
      signer_(signer),
      left_out_(metrics::GetCounter("dispatch_gateway_denials_left_out_total",
                                    "Denied requests that the audit topic was not told of")) {}

void DenialLog::Write(const Call& call, const std::string& action) {
  if (!log::Sometimes("gateway.denied", kPerSecond)) return left_out_.Add();
  schema::AuditEntry entry;
  entry.org = call.principal->org;
  entry.principal = {call.principal->kind, call.principal->key_id, call.principal->org};
  entry.action = action;
  entry.resource = call.request.target.substr(0, kMaxTarget);
  entry.outcome = "denied";
  entry.at_ms = ToMillis(clock_.Now());
  entry.request_id = call.request_id;
  broker::ProduceRecord record{broker::kAuditTopic, -1, entry.org, schema::Encode(entry), {}};
  signer_.Sign(record);
  Status queued = producer_.Produce(std::move(record), [left_out = left_out_](auto position) {
    if (!position.ok()) left_out.Add();
  });
  if (!queued.ok()) left_out_.Add();
}

}  // namespace dispatch::gateway
