#include "broker-adapters/entities/idempotency.h"

#include <chrono>
#include <optional>
#include <string>

#include "common/crypto.h"
#include "common/json.h"
#include "common/log.h"

namespace dispatch {

namespace {

constexpr auto kForgetEvery = std::chrono::hours(1);
constexpr int kRememberHours = 24;

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

std::string Written(const broker::RpcReply& reply) {
  return json::Serialize(json::object{{"body", reply.body},
                                      {"kind", reply.state_kind},
                                      {"key", reply.state_key},
                                      {"version", reply.state_version}});
}

Result<broker::RpcReply> Read(const std::string& text) {
  ASSIGN_OR_RETURN(auto stored, json::ParseObject(text));
  return broker::RpcReply{stored["body"], json::GetString(stored, "kind"),
                          json::GetString(stored, "key"), json::GetInt(stored, "version")};
}

// Nothing when the key is new.
Result<std::optional<broker::RpcReply>> FindReply(pg::Transaction& tx,
                                                  const schema::Request& request,
                                                  const std::string& hash) {
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kFind, {request.org, request.idempotency_key, hash}));
  if (rows.empty()) return std::optional<broker::RpcReply>();
  if (!rows[0].Bool(0)) {
    return Error{Code::kUnprocessable, "Idempotency-Key '" + request.idempotency_key +
                                           "' was used for another request: take a new one"};
  }
  ASSIGN_OR_RETURN(auto reply, Read(rows[0].Text(1)));
  return std::optional(std::move(reply));
}

}  // namespace

Result<broker::RpcReply> Once(pg::Transaction& tx, const schema::Request& request,
                              const std::function<Result<broker::RpcReply>()>& change) {
  const std::string& key = request.idempotency_key;
  if (key.empty()) return change();
  std::string hash = Hash(request);
  ASSIGN_OR_RETURN(auto begun, tx.Exec(kBegin, {request.org, key, hash}));
  if (begun.empty()) {
    ASSIGN_OR_RETURN(auto earlier, FindReply(tx, request, hash));
    if (earlier) return std::move(*earlier);
    return Error{Code::kUnavailable, "the first request with this key is being forgotten", true};
  }
  ASSIGN_OR_RETURN(auto reply, change());
  RETURN_IF_ERROR(tx.Exec(kFinish, {request.org, key, Written(reply)}));
  return reply;
}

broker::RpcServer::Handler AnsweringRepeats(pg::Pool& pool, broker::RpcServer::Handler handler) {
  return [&pool, handler = std::move(handler)](schema::Request request,
                                               broker::RpcServer::Responder respond) {
    if (request.idempotency_key.empty()) return handler(std::move(request), std::move(respond));
    pool.Query<std::optional<broker::RpcReply>>(
        [request](pg::Transaction& tx) { return FindReply(tx, request, Hash(request)); },
        [handler, request,
         respond = std::move(respond)](Result<std::optional<broker::RpcReply>> earlier) {
          if (!earlier.ok()) return respond(earlier.error());
          if (*earlier) return respond(std::move(**earlier));
          handler(request, respond);
        });
  };
}

void KeepForgettingRequests(Loop& loop, pg::Pool& pool) {
  pool.Run([](pg::Transaction& tx) { return ForgetRequests(tx, kRememberHours).status(); },
           [](const Status& status) {
             if (status.ok()) return;
             log::Warning("old idempotency keys not removed error=\"{}\"", status.message());
           });
  loop.After(kForgetEvery, [&loop, &pool] { KeepForgettingRequests(loop, pool); });
}

Result<size_t> ForgetRequests(pg::Transaction& tx, int hours) {
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kForget, {std::to_string(hours)}));
  return rows.affected();
}

}  // namespace dispatch
