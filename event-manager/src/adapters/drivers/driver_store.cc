#include "event-manager/src/adapters/drivers/driver_store.h"

#include "schema/objects.h"

namespace dispatch {

namespace {

constexpr char kRenew[] = R"(
  update driver_runs set expires_at = now() + $2::bigint * interval '1 microsecond'
  where owner = $1 and expires_at > now())";
constexpr char kClaim[] = R"(
  update driver_runs set owner = $1, epoch = epoch + 1,
    expires_at = now() + $2::bigint * interval '1 microsecond'
  where driver in (select driver from driver_runs where expires_at <= now()
                   order by expires_at limit $3::int for update skip locked))";
constexpr char kOwned[] = R"(
  select r.driver, r.org, r.name, r.epoch, r.revision, r.position, e.document,
    coalesce(t.document, '{}'::jsonb)
  from driver_runs r join entities e on e.uuid = r.driver
  left join entities t on t.kind = 'drivertype' and t.org = r.org
    and t.name = e.document->>'type'
  where r.owner = $1 and r.expires_at > now())";
constexpr char kSave[] = R"(
  update driver_runs set position = $3::jsonb
  where driver = $1::uuid and epoch = $2::bigint and owner = $4 and expires_at > now())";
constexpr char kHold[] = R"(
  select 1 from driver_runs
  where driver = $1::uuid and epoch = $2::bigint and owner = $3 and revision = $4::bigint
    and expires_at > now()
  for update)";
constexpr char kAppend[] = R"(
  insert into driver_log (driver, at, stream, line)
  select $1::uuid, to_timestamp(at / 1000.0), stream, line
  from unnest($2::bigint[], $3::text[], $4::text[]) with ordinality as l(at, stream, line, n)
  where exists (select 1 from driver_runs where driver = $1::uuid and epoch = $5::bigint)
  order by n)";
constexpr char kTrim[] = R"(
  delete from driver_log where driver = $1::uuid and seq <= (
    select seq from driver_log where driver = $1::uuid order by seq desc
    offset $2::bigint limit 1))";
constexpr char kRelease[] = "update driver_runs set expires_at = now() where owner = $1";
constexpr char kPut[] = R"(
  insert into driver_runs (driver, org, name) values ($1::uuid, $2, $3)
  on conflict (driver) do update set revision = driver_runs.revision + 1)";
constexpr char kRemove[] = "delete from driver_runs where driver = $1::uuid";
constexpr char kRemoveLog[] = "delete from driver_log where driver = $1::uuid";
constexpr char kReadLog[] = R"(
  select at_ms, stream, line from (
    select seq, (extract(epoch from at) * 1000)::bigint as at_ms, stream, line from driver_log
    where driver = $1::uuid and at > to_timestamp($2::bigint / 1000.0)
    order by seq desc limit $3::bigint) newest
  order by seq)";

Error Fenced() {
  return {Code::kFenced, "another instance runs the driver, or this one was away for too long"};
}

}  // namespace

void DriverStore::Turn(int claims, std::function<void(Result<std::vector<ClaimedDriver>>)> done) {
  pool_.Query<std::vector<ClaimedDriver>>(
      [owner = owner_, ttl = std::to_string(ttl_.count()),
       claims](pg::Transaction& tx) -> Result<std::vector<ClaimedDriver>> {
        RETURN_IF_ERROR(tx.Exec(kRenew, {owner, ttl}));
        RETURN_IF_ERROR(tx.Exec(kClaim, {owner, ttl, std::to_string(claims)}));
        ASSIGN_OR_RETURN(auto rows, tx.Exec(kOwned, {owner}));
        std::vector<ClaimedDriver> owned;
        for (size_t i = 0; i < rows.size(); ++i) {
          auto row = rows[i];
          ClaimedDriver driver;
          ASSIGN_OR_RETURN(driver.uuid, Uuid::Parse(row.Text(0)));
          driver.org = row.Text(1);
          driver.name = row.Text(2);
          driver.epoch = row.Int(3);
          driver.revision = row.Int(4);
          ASSIGN_OR_RETURN(driver.position, json::ParseObject(row.Text(5)));
          ASSIGN_OR_RETURN(driver.document, json::ParseObject(row.Text(6)));
          ASSIGN_OR_RETURN(driver.type, json::ParseObject(row.Text(7)));
          owned.push_back(std::move(driver));
        }
        return owned;
      },
      std::move(done));
}

void DriverStore::SavePosition(const Uuid& driver, int64_t epoch, const json::object& position,
                               std::function<void(Status)> done) {
  pool_.Run(
      [driver = driver.ToString(), epoch = std::to_string(epoch),
       position = json::Serialize(position), owner = owner_](pg::Transaction& tx) -> Status {
        ASSIGN_OR_RETURN(auto rows, tx.Exec(kSave, {driver, epoch, position, owner}));
        return rows.affected() == 1 ? OkStatus() : Status(Fenced());
      },
      std::move(done));
}

void DriverStore::SetStatus(const ClaimedDriver& driver, const std::string& status,
                            const std::string& reason, std::function<void(Result<bool>)> done) {
  pool_.Query<bool>(
      [uuid = driver.uuid, org = driver.org, name = driver.name,
       epoch = std::to_string(driver.epoch), revision = driver.revision, status, reason,
       owner = owner_](pg::Transaction& tx) -> Result<bool> {
        EntityStore store(tx);
        // The entity first, as everybody locks.
        auto stored = store.Lock(schema::kDriverKind, org, name);
        if (!stored.ok()) return stored.error();
        ASSIGN_OR_RETURN(auto held,
                         tx.Exec(kHold, {uuid.ToString(), epoch, owner, std::to_string(revision)}));
        if (held.empty() || stored->uuid != uuid) return Fenced();
        json::array reasons;
        if (!reason.empty()) reasons.emplace_back(reason);
        json::value before = stored->document["reason"];
        if (json::GetString(stored->document, "status") == status && before == reasons) {
          return false;
        }
        stored->document["status"] = status;
        stored->document["reason"] = std::move(reasons);
        RETURN_IF_ERROR(store.Update(*stored, std::nullopt));
        return true;
      },
      std::move(done));
}

void DriverStore::AppendLog(const Uuid& driver, int64_t epoch, std::vector<DriverLine> lines,
                            std::function<void(Status)> done) {
  pool_.Run(
      [driver = driver.ToString(), epoch = std::to_string(epoch),
       lines = std::move(lines)](pg::Transaction& tx) -> Status {
        std::vector<pg::Value> times;
        std::vector<pg::Value> streams;
        std::vector<pg::Value> texts;
        for (const auto& line : lines) {
          times.emplace_back(std::to_string(line.at_ms));
          streams.emplace_back(line.stream);
          texts.emplace_back(line.line);
        }
        RETURN_IF_ERROR(tx.Exec(kAppend, {driver, pg::EncodeArray(times), pg::EncodeArray(streams),
                                          pg::EncodeArray(texts), epoch}));
        return tx.Exec(kTrim, {driver, std::to_string(kKeptDriverLines)}).status();
      },
      std::move(done));
}

void DriverStore::ReleaseAll(std::function<void()> done) {
  pool_.Run([owner = owner_](
                pg::Transaction& tx) -> Status { return tx.Exec(kRelease, {owner}).status(); },
            [done = std::move(done)](const Status&) { done(); });
}

Status DriverStore::Put(pg::Transaction& tx, const StoredEntity& driver) {
  return tx.Exec(kPut, {driver.uuid.ToString(), driver.org, driver.name}).status();
}

Status DriverStore::Remove(pg::Transaction& tx, const Uuid& driver) {
  RETURN_IF_ERROR(tx.Exec(kRemove, {driver.ToString()}));
  return tx.Exec(kRemoveLog, {driver.ToString()}).status();
}

Result<std::vector<DriverLine>> DriverStore::ReadLog(pg::Transaction& tx, const Uuid& driver,
                                                     int64_t since_ms, int64_t limit) {
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kReadLog, {driver.ToString(), std::to_string(since_ms),
                                                 std::to_string(limit)}));
  std::vector<DriverLine> lines;
  for (size_t i = 0; i < rows.size(); ++i) {
    lines.push_back({rows[i].Int(0), rows[i].Text(1), rows[i].Text(2)});
  }
  return lines;
}

}  // namespace dispatch
