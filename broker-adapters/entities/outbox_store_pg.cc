#include "broker-adapters/entities/outbox_store_pg.h"

namespace dispatch::broker {

namespace {

using pg::EncodeArray;
using pg::Value;

// A new owner, or one whose lease ran out, raises the epoch; a renewal keeps it.
constexpr char kAcquire[] = R"(
  insert into leases (name, owner, epoch, expires_at)
  values ($1, $2, 1, now() + $3::bigint * interval '1 microsecond')
  on conflict (name) do update set
    owner = excluded.owner,
    epoch = case when leases.owner = excluded.owner and leases.expires_at > now()
                 then leases.epoch else leases.epoch + 1 end,
    expires_at = excluded.expires_at
  where leases.owner = excluded.owner or leases.expires_at <= now()
  returning epoch)";
constexpr char kRelease[] =
    "update leases set expires_at = now() where name = $1 and owner = $2 and epoch = $3::bigint";
constexpr char kRead[] = R"(
  select xid::text, seq, kind, org, name, uuid, version, deleted, document,
    (extract(epoch from written_at) * 1000)::bigint
  from outbox where xid < pg_snapshot_xmin(pg_current_snapshot())
  order by xid, seq limit $1::int)";
constexpr char kRemove[] = R"(
  delete from outbox where seq = any($1::bigint[])
    and exists (select 1 from leases where name = $2 and epoch = $3::bigint))";
constexpr char kCurrent[] = R"(
  select uuid, version, false, document from entities where kind = $1 and org = $2 and name = $3
  union all
  select uuid, version, true, '{}'::jsonb from tombstones
  where kind = $1 and org = $2 and name = $3
  order by 2 desc limit 1)";

}  // namespace

void PgOutboxStore::AcquireLease(const std::string& owner, Duration ttl,
                                 std::function<void(Result<Lease>)> done) {
  pool_.Query<Lease>(
      [name = lease_, owner, ttl](pg::Transaction& tx) -> Result<Lease> {
        ASSIGN_OR_RETURN(auto rows, tx.Exec(kAcquire, {name, owner, std::to_string(ttl.count())}));
        if (rows.empty()) return Lease{};
        return Lease{true, rows[0].Int(0), ttl};
      },
      std::move(done), pg::Unit::kStatement);
}

void PgOutboxStore::ReleaseLease(const std::string& owner, int64_t epoch) {
  pool_.Run(
      [name = lease_, owner, epoch](pg::Transaction& tx) -> Status {
        RETURN_IF_ERROR(tx.Exec(kRelease, {name, owner, std::to_string(epoch)}));
        return {};
      },
      [](Status) {});
}

void PgOutboxStore::Read(size_t limit, std::function<void(Result<std::vector<OutboxRow>>)> done) {
  pool_.Query<std::vector<OutboxRow>>(
      [limit](pg::Transaction& tx) -> Result<std::vector<OutboxRow>> {
        ASSIGN_OR_RETURN(auto rows, tx.Exec(kRead, {std::to_string(limit)}));
        std::vector<OutboxRow> all;
        for (size_t i = 0; i < rows.size(); ++i) {
          auto row = rows[i];
          OutboxRow out;
          out.xid = row.Int(0);
          out.seq = row.Int(1);
          out.record.kind = row.Text(2);
          out.record.org = row.Text(3);
          out.record.name = row.Text(4);
          ASSIGN_OR_RETURN(out.record.uuid, Uuid::Parse(row.Text(5)));
          out.record.version = row.Int(6);
          out.record.deleted = row.Bool(7);
          out.record.document = row.Text(8);
          out.record.written_ms = row.Int(9);
          all.push_back(std::move(out));
        }
        return all;
      },
      std::move(done), pg::Unit::kStatement);
}

void PgOutboxStore::Remove(std::vector<std::pair<int64_t, int64_t>> rows, int64_t epoch,
                           std::function<void(Status)> done) {
  std::vector<Value> seqs;
  for (const auto& [xid, seq] : rows) seqs.emplace_back(std::to_string(seq));
  pool_.Run(
      [name = lease_, seqs = std::move(seqs), epoch](pg::Transaction& tx) -> Status {
        RETURN_IF_ERROR(tx.Exec(kRemove, {EncodeArray(seqs), name, std::to_string(epoch)}));
        return {};
      },
      std::move(done));
}

void PgOutboxStore::Current(const std::string& kind, const std::string& key,
                            std::function<void(Result<schema::StateRecord>)> done) {
  pool_.Query<schema::StateRecord>(
      [kind, key](pg::Transaction& tx) -> Result<schema::StateRecord> {
        schema::StateRecord record;
        size_t slash = key.find('/');
        record.kind = kind;
        record.org = key.substr(0, slash);
        record.name = slash == std::string::npos ? "" : key.substr(slash + 1);
        ASSIGN_OR_RETURN(auto rows, tx.Exec(kCurrent, {kind, record.org, record.name}));
        if (rows.empty()) {
          return Error{Code::kNotFound, "neither an entity nor a tombstone of " + key};
        }
        ASSIGN_OR_RETURN(record.uuid, Uuid::Parse(rows[0].Text(0)));
        record.version = rows[0].Int(1);
        record.deleted = rows[0].Bool(2);
        record.document = rows[0].Text(3);
        return record;
      },
      std::move(done));
}

}  // namespace dispatch::broker
