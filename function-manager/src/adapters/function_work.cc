#include "function-manager/src/adapters/function_work.h"

namespace dispatch {

namespace {

constexpr char kAdd[] = R"(
  insert into function_work (entity, kind, org, name, target)
  values ($1::uuid, $2, $3, $4, $5::uuid)
  on conflict (entity) do update set target = excluded.target, attempts = 0, due = now(),
    owner = '', leased_until = '-infinity')";
constexpr char kClaim[] = R"(
  update function_work set attempts = attempts + 1, owner = $1,
    leased_until = clock_timestamp() + interval '30 s'
  where entity = (select entity from function_work
    where due <= clock_timestamp() and leased_until < clock_timestamp()
      and cardinality(array_positions($2::text[], org)) < $3::int
    order by cardinality(array_positions($2::text[], org)), due limit 1 for update skip locked)
  returning entity, kind, org, name, target, attempts)";
constexpr char kRenew[] = R"(
  update function_work set leased_until = clock_timestamp() + interval '30 s'
  where owner = $1 and target = any($2::uuid[]))";
constexpr char kDelay[] = R"(
  update function_work set due = clock_timestamp() + $3::int * interval '1 s', owner = '',
    leased_until = '-infinity', attempts = case when $4::boolean then 0 else attempts end
  where entity = $1::uuid and target = $2::uuid and owner = $5)";
constexpr char kRelease[] = R"(
  update function_work set owner = '', leased_until = '-infinity', attempts = attempts - 1
  where owner = $1)";
constexpr char kEnd[] = "delete from function_work where entity = $1::uuid and target = $2::uuid";
constexpr char kEndOf[] = "delete from function_work where entity = $1::uuid";
constexpr char kWake[] = R"(
  update function_work set due = clock_timestamp() where org = $1 and due > clock_timestamp()
    and owner = '')";

}  // namespace

Status AddWork(pg::Transaction& tx, const StoredEntity& entity, const Uuid& target) {
  return tx
      .Exec(kAdd, {entity.uuid.ToString(), entity.kind, entity.org, entity.name, target.ToString()})
      .status();
}

Result<std::optional<FunctionWork>> ClaimWork(pg::Transaction& tx, const std::string& owner,
                                              const std::vector<std::string>& under_way, int most) {
  std::vector<pg::Value> orgs(under_way.begin(), under_way.end());
  ASSIGN_OR_RETURN(auto rows,
                   tx.Exec(kClaim, {owner, pg::EncodeArray(orgs), std::to_string(most)}));
  if (rows.empty()) return std::optional<FunctionWork>();
  FunctionWork work;
  ASSIGN_OR_RETURN(work.entity, Uuid::Parse(rows[0].Text(0)));
  work.kind = rows[0].Text(1);
  work.org = rows[0].Text(2);
  work.name = rows[0].Text(3);
  ASSIGN_OR_RETURN(work.target, Uuid::Parse(rows[0].Text(4)));
  work.owner = owner;
  work.attempts = static_cast<int>(rows[0].Int(5));
  return std::optional(std::move(work));
}

Status RenewWork(pg::Transaction& tx, const std::string& owner, const std::vector<Uuid>& targets) {
  std::vector<pg::Value> texts;
  for (const Uuid& target : targets) texts.emplace_back(target.ToString());
  return tx.Exec(kRenew, {owner, pg::EncodeArray(texts)}).status();
}

Status DelayWork(pg::Transaction& tx, const FunctionWork& work, int seconds, bool forgive) {
  return tx
      .Exec(kDelay, {work.entity.ToString(), work.target.ToString(), std::to_string(seconds),
                     forgive ? "t" : "f", work.owner})
      .status();
}

Status ReleaseWork(pg::Transaction& tx, const std::string& owner) {
  return tx.Exec(kRelease, {owner}).status();
}

Status EndWork(pg::Transaction& tx, const FunctionWork& work) {
  return tx.Exec(kEnd, {work.entity.ToString(), work.target.ToString()}).status();
}

Status EndWorkOf(pg::Transaction& tx, const StoredEntity& entity) {
  return tx.Exec(kEndOf, {entity.uuid.ToString()}).status();
}

Status WakeWork(pg::Transaction& tx, const std::string& org) {
  return tx.Exec(kWake, {org}).status();
}

}  // namespace dispatch
