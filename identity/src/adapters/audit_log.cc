#include "identity/src/adapters/audit_log.h"

#include "broker-adapters/topics.h"
#include "common/log.h"

namespace dispatch::identity {

namespace {

constexpr char kMetric[] = "dispatch_identity_audit_entries_total";
constexpr char kHelp[] = "Audit entries by what became of them";
constexpr Duration kFlushPoll{10'000};

}  // namespace

AuditLog::AuditLog(broker::Broker& broker, const broker::RecordSigner& signer)
    : signer_(signer),
      written_(metrics::GetCounter(kMetric, kHelp, {{"outcome", "written"}})),
      failed_(metrics::GetCounter(kMetric, kHelp, {{"outcome", "failed"}})),
      producer_(broker.NewProducer({.max_queue_records = 10'000})) {}

void AuditLog::Write(const schema::AuditEntry& entry) {
  broker::ProduceRecord record;
  record.topic = broker::kAuditTopic;
  record.key = entry.org;
  record.value = schema::Encode(entry);
  signer_.Sign(record);
  Status queued =
      producer_->Produce(std::move(record), [this](const Result<broker::Position>& position) {
        if (position.ok()) return written_.Add();
        Failed(position.message());
      });
  if (!queued.ok()) Failed(queued.message());
}

void AuditLog::Failed(const std::string& reason) {
  failed_.Add();
  if (log::Sometimes("audit.failed")) log::Warning("audit entry lost reason=\"{}\"", reason);
}

void AuditLog::Flush(Loop& loop, std::function<void()> done) {
  if (producer_->in_flight() == 0) return done();
  loop.After(kFlushPoll,
             [this, &loop, done = std::move(done)]() mutable { Flush(loop, std::move(done)); });
}

}  // namespace dispatch::identity
