#include "broker-adapters/audit_log.h"

#include "broker-adapters/topics.h"
#include "common/crypto.h"
#include "common/json.h"
#include "common/log.h"

namespace dispatch::broker {

namespace {

constexpr char kHelp[] = "Audit entries by what became of them";
constexpr Duration kFlushPoll{10'000};

// "function-manager" in a metric's name.
std::string MetricOf(std::string service) {
  for (char& c : service) c = c == '-' ? '_' : c;
  return "dispatch_" + service + "_audit_entries_total";
}

}  // namespace

AuditLog::AuditLog(Broker& broker, const RecordSigner& signer, const std::string& service)
    : signer_(signer),
      written_(metrics::GetCounter(MetricOf(service), kHelp, {{"outcome", "written"}})),
      failed_(metrics::GetCounter(MetricOf(service), kHelp, {{"outcome", "failed"}})),
      producer_(broker.NewProducer({.max_queue_records = 10'000, .shared = true})) {}

void AuditLog::Write(const schema::AuditEntry& entry) {
  ProduceRecord record;
  record.topic = kAuditTopic;
  record.key = entry.org;
  record.value = schema::Encode(entry);
  signer_.Sign(record);
  Status queued = producer_->Produce(std::move(record), [this](const Result<Position>& position) {
    if (position.ok()) return written_.Add();
    Failed(position.message());
  });
  if (!queued.ok()) Failed(queued.message());
}

void AuditLog::WriteChange(const schema::Request& request, const std::string& resource,
                           const Status& status, WallTime now) {
  schema::AuditEntry entry;
  entry.org = request.org;
  entry.principal = request.principal;
  entry.action = request.method;
  entry.resource = resource;
  bool denied = status.code() == Code::kPermissionDenied;
  entry.outcome = status.ok() ? "allowed" : denied ? "denied" : CodeName(status.code());
  entry.at_ms = ToMillis(now);
  entry.request_id = crypto::HexEncode(request.correlation_id);
  Write(entry);
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

std::string AuditedResource(const schema::Request& request) {
  std::string resource = request.method.substr(0, request.method.find('.'));
  auto body = json::ParseObject(request.body);
  if (!body.ok()) return resource + "/";
  std::string name = json::GetString(*body, "name");
  if (name.empty()) name = json::GetString(*body, "subscription");
  resource += "/" + name;
  std::string id = json::GetString(*body, "id");
  return id.empty() ? resource : resource + "/" + id;
}

}  // namespace dispatch::broker
