#include "broker-adapters/entities/entity_store.h"

namespace dispatch {

namespace {

// In two steps, as the insert may wait for a delete of the same name: the version is to be drawn
// after that one's.
constexpr char kInsert[] = R"(
  insert into entities (kind, org, name, uuid, version, document)
  values ($1, $2, $3, $4::uuid, 0, $5::jsonb)
  on conflict (kind, org, name) do nothing returning version)";
constexpr char kFirstVersion[] = R"(
  update entities set version = nextval('entity_version')
  where kind = $1 and org = $2 and name = $3 returning version)";
constexpr char kForgetTombstone[] =
    "delete from tombstones where kind = $1 and org = $2 and name = $3";
constexpr char kFind[] = R"(
  select kind, org, name, uuid, version, document from entities
  where kind = $1 and org = $2 and name = $3)";
constexpr char kLock[] = R"(
  select kind, org, name, uuid, version, document from entities
  where kind = $1 and org = $2 and name = $3 for update)";
constexpr char kList[] = R"(
  select kind, org, name, uuid, version, document from entities
  where kind = $1 and ($2 = '' or org = $2) order by org, name)";
constexpr char kUpdate[] = R"(
  update entities set version = nextval('entity_version'), document = $4::jsonb
  where kind = $1 and org = $2 and name = $3 returning version)";
constexpr char kSame[] = R"(
  select version, document::text from entities where kind = $1 and org = $2 and name = $3
    and document - 'modifiedTime' = $4::jsonb - 'modifiedTime')";
constexpr char kDelete[] = R"(
  delete from entities where kind = $1 and org = $2 and name = $3
  returning nextval('entity_version'))";
constexpr char kTombstone[] = R"(
  insert into tombstones (kind, org, name, uuid, version)
  values ($1, $2, $3, $4::uuid, $5::bigint)
  on conflict (kind, org, name) do update set
    uuid = excluded.uuid, version = excluded.version, deleted_at = now())";
constexpr char kTell[] = R"(
  insert into outbox (kind, org, name, uuid, version, deleted, document)
  values ($1, $2, $3, $4::uuid, $5::bigint, $6::boolean, $7::jsonb))";
constexpr char kNotify[] = "notify outbox";

Error NotFound(const std::string& kind, const std::string& org, const std::string& name) {
  return {Code::kNotFound, kind + " '" + name + "' does not exist in organization '" + org + "'"};
}

Result<StoredEntity> ReadEntity(const pg::Row& row) {
  StoredEntity entity;
  entity.kind = row.Text(0);
  entity.org = row.Text(1);
  entity.name = row.Text(2);
  ASSIGN_OR_RETURN(entity.uuid, Uuid::Parse(row.Text(3)));
  entity.version = row.Int(4);
  ASSIGN_OR_RETURN(entity.document, json::ParseObject(row.Text(5)));
  return entity;
}

}  // namespace

Status EntityStore::Insert(StoredEntity& entity) {
  ASSIGN_OR_RETURN(auto rows,
                   tx_.Exec(kInsert, {entity.kind, entity.org, entity.name, entity.uuid.ToString(),
                                      json::Serialize(entity.document)}));
  if (rows.empty()) {
    return Error{Code::kAlreadyExists, entity.kind + " '" + entity.name +
                                           "' exists already; choose another name, or update it"};
  }
  ASSIGN_OR_RETURN(rows, tx_.Exec(kFirstVersion, {entity.kind, entity.org, entity.name}));
  entity.version = rows[0].Int(0);
  RETURN_IF_ERROR(tx_.Exec(kForgetTombstone, {entity.kind, entity.org, entity.name}));
  return Tell(entity, false);
}

Result<StoredEntity> EntityStore::Lock(const std::string& kind, const std::string& org,
                                       const std::string& name) {
  ASSIGN_OR_RETURN(auto rows, tx_.Exec(kLock, {kind, org, name}));
  if (rows.empty()) return NotFound(kind, org, name);
  return ReadEntity(rows[0]);
}

Result<std::optional<StoredEntity>> EntityStore::Find(const std::string& kind,
                                                      const std::string& org,
                                                      const std::string& name) {
  ASSIGN_OR_RETURN(auto rows, tx_.Exec(kFind, {kind, org, name}));
  if (rows.empty()) return std::optional<StoredEntity>();
  ASSIGN_OR_RETURN(auto entity, ReadEntity(rows[0]));
  return std::optional<StoredEntity>(std::move(entity));
}

Result<std::vector<StoredEntity>> EntityStore::List(const std::string& kind,
                                                    const std::string& org) {
  ASSIGN_OR_RETURN(auto rows, tx_.Exec(kList, {kind, org}));
  std::vector<StoredEntity> entities;
  for (size_t i = 0; i < rows.size(); ++i) {
    ASSIGN_OR_RETURN(auto entity, ReadEntity(rows[i]));
    entities.push_back(std::move(entity));
  }
  return entities;
}

Status EntityStore::CheckMatch(const StoredEntity& entity, std::optional<int64_t> if_match) {
  if (!if_match || *if_match == entity.version) return {};
  return Error{Code::kPreconditionFailed, entity.kind + " '" + entity.name + "' is at revision " +
                                              std::to_string(entity.version) + ", not " +
                                              std::to_string(*if_match) +
                                              "; read it again and repeat the change"};
}

Status EntityStore::Update(StoredEntity& entity, std::optional<int64_t> if_match) {
  RETURN_IF_ERROR(CheckMatch(entity, if_match));
  ASSIGN_OR_RETURN(auto rows, tx_.Exec(kUpdate, {entity.kind, entity.org, entity.name,
                                                 json::Serialize(entity.document)}));
  if (rows.empty()) return NotFound(entity.kind, entity.org, entity.name);
  entity.version = rows[0].Int(0);
  return Tell(entity, false);
}

Status EntityStore::UpdateIfChanged(StoredEntity& entity, std::optional<int64_t> if_match) {
  RETURN_IF_ERROR(CheckMatch(entity, if_match));
  ASSIGN_OR_RETURN(auto same, tx_.Exec(kSame, {entity.kind, entity.org, entity.name,
                                               json::Serialize(entity.document)}));
  if (same.empty()) return Update(entity, if_match);
  entity.version = same[0].Int(0);
  ASSIGN_OR_RETURN(entity.document, json::ParseObject(same[0].Text(1)));
  return {};
}

Status EntityStore::Delete(StoredEntity& entity, std::optional<int64_t> if_match) {
  RETURN_IF_ERROR(CheckMatch(entity, if_match));
  ASSIGN_OR_RETURN(auto rows, tx_.Exec(kDelete, {entity.kind, entity.org, entity.name}));
  if (rows.empty()) return NotFound(entity.kind, entity.org, entity.name);
  entity.version = rows[0].Int(0);
  RETURN_IF_ERROR(tx_.Exec(kTombstone, {entity.kind, entity.org, entity.name,
                                        entity.uuid.ToString(), std::to_string(entity.version)}));
  return Tell(entity, true);
}

Status EntityStore::Tell(const StoredEntity& entity, bool deleted) {
  std::string document = deleted ? "{}" : json::Serialize(entity.document);
  RETURN_IF_ERROR(tx_.Exec(kTell, {entity.kind, entity.org, entity.name, entity.uuid.ToString(),
                                   std::to_string(entity.version), deleted ? "t" : "f", document}));
  RETURN_IF_ERROR(tx_.Exec(kNotify));
  return {};
}

}  // namespace dispatch
