#include "function-manager/src/adapters/secret_vault.h"

#include <fmt/format.h>

#include <algorithm>

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
constexpr char kUnder[] = R"(
  select org, name, version, wrapped_key from secrets where key_id = $1 for update)";
constexpr char kWrap[] = R"(
  update secrets set key_id = $3, wrapped_key = $4::bytea where org = $1 and name = $2)";
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

SecretVault::SecretVault(pg::Pool& pool, const broker::StateTable& table,
                         std::vector<std::string> keys)
    : pool_(pool), table_(table) {
  for (std::string& key : keys) {
    std::string id = crypto::HexEncode(crypto::Sha256("dispatch secrets key " + key)).substr(0, 16);
    auto sealing = crypto::SealingKeysFrom(crypto::HmacSha256(key, "dispatch sealing key"));
    keys_.push_back({std::move(id), std::move(key), std::move(sealing)});
  }
}

Result<std::string> SecretVault::OpenSealed(std::string_view box) const {
  Result<std::string> opened = Error{Code::kInvalidArgument, "there is no key"};
  for (const Key& key : keys_) {
    opened = crypto::OpenSealed(key.sealing, box);
    if (opened.ok()) break;
  }
  return opened;
}

Status SecretVault::Store(pg::Transaction& tx, const StoredEntity& entity,
                          const SecretValues& values) const {
  std::string bound = Bound(entity.org, entity.name, entity.version);
  std::string own_key = crypto::RandomBytes(32);
  const Key& key = keys_.at(0);
  std::string wrapped = crypto::Encrypt(key.bytes, own_key, bound);
  std::string box = crypto::Encrypt(own_key, Written(values), bound);
  return tx
      .Exec(kStore, {entity.org, entity.name, std::to_string(entity.version), key.id,
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
  auto key = std::find_if(keys_.begin(), keys_.end(),
                          [&](const Key& known) { return known.id == rows[0].Text(1); });
  if (key == keys_.end()) {
    return Error{Code::kInternal,
                 "secret '" + name +
                     "' was encrypted under another key: add that key to "
                     "secrets-key-file, as a further line, or write its values again"};
  }
  std::string bound = Bound(org, name, rows[0].Int(0));
  ASSIGN_OR_RETURN(auto own_key, crypto::Decrypt(key->bytes, rows[0].Bytes(2), bound));
  ASSIGN_OR_RETURN(auto text, crypto::Decrypt(own_key, rows[0].Bytes(3), bound));
  ASSIGN_OR_RETURN(auto object, json::ParseObject(text));
  auto values = std::make_shared<SecretValues>();
  for (const auto& [field, value] : object) (*values)[field] = value.as_string();
  return Kept{rows[0].Int(0), std::move(values)};
}

Status SecretVault::Remove(pg::Transaction& tx, const StoredEntity& entity) const {
  return tx.Exec(kRemove, {entity.org, entity.name}).status();
}

Result<size_t> SecretVault::Rewrap(pg::Transaction& tx) const {
  size_t count = 0;
  for (size_t i = 1; i < keys_.size(); ++i) {
    ASSIGN_OR_RETURN(auto rows, tx.Exec(kUnder, {keys_[i].id}));
    for (size_t n = 0; n < rows.size(); ++n) {
      pg::Row row = rows[n];
      std::string bound = Bound(row.Text(0), row.Text(1), row.Int(2));
      ASSIGN_OR_RETURN(auto own_key, crypto::Decrypt(keys_[i].bytes, row.Bytes(3), bound));
      std::string wrapped = crypto::Encrypt(keys_[0].bytes, own_key, bound);
      RETURN_IF_ERROR(
          tx.Exec(kWrap, {row.Text(0), row.Text(1), keys_[0].id, pg::EncodeBytea(wrapped)})
              .status());
      ++count;
    }
  }
  return count;
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
