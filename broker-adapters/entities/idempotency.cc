#include "broker-adapters/entities/idempotency.h"

#include "common/crypto.h"

namespace dispatch {

namespace {

constexpr char kBegin[] = R"(
  insert into idempotency (org, key, request_hash) values ($1, $2, $3::bytea)
  on conflict (org, key) do nothing returning 1)";
constexpr char kFind[] = R"(
  select request_hash = $3::bytea, coalesce(reply, '') from idempotency
  where org = $1 and key = $2)";
constexpr char kFinish[] = "update idempotency set reply = $3 where org = $1 and key = $2";
constexpr char kForget[] =
    "delete from idempotency where created_at < now() - $1::int * interval '1 hour'";

std::string Hash(const schema::Request& request) {
  std::string text = request.method + '\n' + std::to_string(request.if_match.value_or(-1)) + '\n';
  return pg::EncodeBytea(crypto::Sha256(text + request.body));
}

}  // namespace

Result<std::optional<std::string>> Idempotency::Begin(const schema::Request& request) {
  const std::string& key = request.idempotency_key;
  std::string hash = Hash(request);
  ASSIGN_OR_RETURN(auto begun, tx_.Exec(kBegin, {request.org, key, hash}));
  if (!begun.empty()) return std::optional<std::string>();
  ASSIGN_OR_RETURN(auto rows, tx_.Exec(kFind, {request.org, key, hash}));
  if (rows.empty()) {
    return Error{Code::kUnavailable, "the first request with this key is being forgotten", true};
  }
  if (!rows[0].Bool(0)) {
    return Error{Code::kUnprocessable,
                 "Idempotency-Key '" + key + "' was used for another request: take a new one"};
  }
  return std::optional(rows[0].Text(1));
}

Status Idempotency::Finish(const schema::Request& request, const std::string& reply) {
  RETURN_IF_ERROR(tx_.Exec(kFinish, {request.org, request.idempotency_key, reply}));
  return OkStatus();
}

Result<size_t> Idempotency::Forget(int hours) {
  ASSIGN_OR_RETURN(auto rows, tx_.Exec(kForget, {std::to_string(hours)}));
  return rows.affected();
}

}  // namespace dispatch
