#include "function-manager/src/adapters/secret_vault.h"

#include <fmt/format.h>

#include "common/json.h"
#include "schema/objects.h"

namespace dispatch {

namespace {

constexpr size_t kMaxKept = 10'000;

constexpr char kStore[] = R"(
  insert into secrets (org, name, version, key_id, wrapped_key, box)
  values ($1, $2, $3::bigint, $4, $5::bytea, $6::bytea)
  on conflict (org, name) do update set version = excluded.version, key_id = excluded.key_id,
    wrapped_key = excluded.wrapped_key, box = excluded.box)";
constexpr char kLoad[] = R"(
  select version, key_id, wrapped_key, box from secrets where org = $1 and name = $2)";
constexpr char kRemove[] = "delete from secrets where org = $1 and name = $2";

std::string Bound(const std::string& org, const std::string& name, int64_t version) {
  return fmt::format("{}/{}@{}", org, name, version);
}

std::string Written(const SecretValues& values) {
  json::object object;
  for (const auto& [name, value] : values) object[name] = value;
  return json::Serialize(object);
}

}  // namespace

SecretVault::SecretVault(pg::Pool& pool, const broker::StateTable& table, std::string key)
    : pool_(pool), table_(table), key_(std::move(key)) {
  if (key_.empty()) return;
  key_id_ = crypto::HexEncode(crypto::Sha256("dispatch secrets key " + key_)).substr(0, 16);
  sealing_keys_ = crypto::SealingKeysFrom(crypto::HmacSha256(key_, "dispatch sealing key"));
}

Status SecretVault::Store(pg::Transaction& tx, const StoredEntity& entity,
                          const SecretValues& values) const {
  std::string bound = Bound(entity.org, entity.name, entity.version);
  std::string own_key = crypto::RandomBytes(32);
  std::string wrapped = crypto::Encrypt(key_, own_key, bound);
  std::string box = crypto::Encrypt(own_key, Written(values), bound);
  return tx
      .Exec(kStore, {entity.org, entity.name, std::to_string(entity.version), key_id_,
                     pg::EncodeBytea(wrapped), pg::EncodeBytea(box)})
      .status();
}

Result<SecretValues> SecretVault::Load(pg::Transaction& tx, const std::string& org,
                                       const std::string& name) const {
  ASSIGN_OR_RETURN(auto kept, Read(tx, org, name));
  return *kept.values;
}

Result<SecretVault::Kept> SecretVault::Read(pg::Transaction& tx, const std::string& org,
                                            const std::string& name) const {
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kLoad, {org, name}));
  if (rows.empty()) return Error{Code::kNotFound, "secret '" + name + "' does not exist"};
  if (rows[0].Text(1) != key_id_) {
    return Error{Code::kInternal,
                 "secret '" + name +
                     "' was encrypted under another key: give secrets-key-file the "
                     "key that it was made with, or write its values again"};
  }
  std::string bound = Bound(org, name, rows[0].Int(0));
  ASSIGN_OR_RETURN(auto own_key, crypto::Decrypt(key_, rows[0].Bytes(2), bound));
  ASSIGN_OR_RETURN(auto text, crypto::Decrypt(own_key, rows[0].Bytes(3), bound));
  ASSIGN_OR_RETURN(auto object, json::ParseObject(text));
  auto values = std::make_shared<SecretValues>();
  for (const auto& [key, value] : object) (*values)[key] = value.as_string();
  return Kept{rows[0].Int(0), std::move(values)};
}

Status SecretVault::Remove(pg::Transaction& tx, const StoredEntity& entity) const {
  return tx.Exec(kRemove, {entity.org, entity.name}).status();
}

void SecretVault::Get(const std::string& org, const std::string& name,
                      std::function<void(Result<ValuesPtr>)> done) {
  std::string key = org + "/" + name;
  auto entity = table_.Find(schema::kSecretKind, key);
  auto kept = kept_.find(key);
  if (entity != nullptr && kept != kept_.end() && kept->second.version >= entity->version) {
    return done(kept->second.values);
  }
  // One that the table does not know may have been made just now.
  pool_.Query<Kept>([this, org, name](pg::Transaction& tx) { return Read(tx, org, name); },
                    [this, alive = std::weak_ptr(alive_), key, forgotten = forgotten_,
                     done = std::move(done)](Result<Kept> read) {
                      if (alive.expired()) return;
                      if (!read.ok()) return done(read.error());
                      if (kept_.size() >= kMaxKept) kept_.clear();
                      if (forgotten == forgotten_) kept_[key] = *read;
                      done(read->values);
                    });
}

void SecretVault::Forget() {
  kept_.clear();
  ++forgotten_;
}

}  // namespace dispatch
