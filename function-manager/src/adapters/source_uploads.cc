#include "function-manager/src/adapters/source_uploads.h"

#include <fmt/format.h>

#include "common/crypto.h"
#include "common/json.h"
#include "common/log.h"
#include "common/uuid.h"
#include "function-manager/src/domain/archive.h"
#include "function-manager/src/domain/function_request.h"

namespace dispatch {

namespace {

constexpr int kForgetSeconds = 600;
constexpr auto kForgetEvery = std::chrono::minutes(1);
constexpr int64_t kMostPieces = 256;

constexpr char kHeld[] =
    "select coalesce(sum(octet_length(bytes)), 0) from source_pieces where org = $1";
constexpr char kKeepPiece[] = R"(
  insert into source_pieces (upload, number, org, bytes) values ($1::uuid, $2::int, $3, $4::bytea)
  on conflict (upload, number) do update set created_at = now())";
constexpr char kReadPieces[] = R"(
  select number, bytes from source_pieces where upload = $1::uuid and org = $2 order by number)";
constexpr char kDropPieces[] = "delete from source_pieces where upload = $1::uuid and org = $2";
constexpr char kKeepSource[] = R"(
  insert into function_sources (digest, bytes) values ($1, $2::bytea)
  on conflict (digest) do update set created_at = now())";
constexpr char kForget[] = R"(
  delete from source_pieces p where created_at < now() - $1::int * interval '1 second'
    and not exists (select from source_pieces later where later.upload = p.upload
      and later.created_at >= now() - $1::int * interval '1 second'))";

struct Upload {
  std::string id;
  int64_t number = 0;  // of a piece, or how many
  std::string bytes;
};

Result<Upload> ReadUpload(const schema::Request& request, std::string_view number) {
  ASSIGN_OR_RETURN(auto body, json::ParseObject(request.body));
  ASSIGN_OR_RETURN(Uuid id, Uuid::Parse(json::GetString(body, "upload")));
  Upload upload{id.ToString(), json::GetInt(body, number, -1), ""};
  if (upload.number < 0 || upload.number > kMostPieces) {
    return Error{Code::kInvalidArgument, "a source has at most 256 pieces"};
  }
  auto bytes = crypto::Base64Decode(json::GetString(body, "data"));
  if (!bytes.ok()) {
    return Error{Code::kUnprocessable,
                 "source must be base64 of a tar.gz archive",
                 false,
                 {{"source", "must be base64 of a tar.gz archive"}}};
  }
  upload.bytes = std::move(*bytes);
  return upload;
}

Status KeepPiece(pg::Transaction& tx, const std::string& org, const Upload& upload) {
  ASSIGN_OR_RETURN(auto held, tx.Exec(kHeld, {org}));
  if (static_cast<size_t>(held[0].Int(0)) + upload.bytes.size() > kMaxPiecesOfOrg) {
    return {Code::kResourceExhausted,
            "the organisation has too many sources on their way: try again in some minutes"};
  }
  return tx
      .Exec(kKeepPiece,
            {upload.id, std::to_string(upload.number), org, pg::EncodeBytea(upload.bytes)})
      .status();
}

// All the bytes, or the digest of an upload that was finished before.
struct Whole {
  std::string bytes;
  std::string digest;
};

Result<Whole> ReadWhole(pg::Transaction& tx, const std::string& org, const Upload& upload) {
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kReadPieces, {upload.id, org}));
  Whole whole;
  if (!rows.empty() && rows[0].Int(0) < 0) {
    whole.digest = rows[0].Bytes(1);
    return whole;
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].Int(0) != static_cast<int64_t>(i)) break;
    whole.bytes += rows[i].Bytes(1);
    if (whole.bytes.size() > kMaxSourceBytes) return SourceTooLarge();
  }
  bool all = static_cast<int64_t>(rows.size()) == upload.number &&
             (rows.empty() || rows[rows.size() - 1].Int(0) == upload.number - 1);
  if (all && !whole.bytes.empty()) return whole;
  return Error{Code::kUnavailable, "pieces of the source are missing: send it again"};
}

Result<std::string> FinishUpload(pg::Transaction& tx, const std::string& org,
                                 const Upload& upload) {
  ASSIGN_OR_RETURN(Whole whole, ReadWhole(tx, org, upload));
  if (!whole.digest.empty()) return whole.digest;
  RETURN_IF_ERROR(ReadArchive(whole.bytes).status());
  ASSIGN_OR_RETURN(std::string digest, KeepSource(tx, whole.bytes));
  RETURN_IF_ERROR(tx.Exec(kDropPieces, {upload.id, org}).status());
  RETURN_IF_ERROR(tx.Exec(kKeepPiece, {upload.id, "-1", org, pg::EncodeBytea(digest)}).status());
  return digest;
}

}  // namespace

void SourceUploads::Register(broker::RpcServer& server) {
  server.Handle("source.put", [this](auto request, auto respond) { Put(request, respond); });
  server.Handle("source.finish", [this](auto request, auto respond) { Finish(request, respond); });
}

void SourceUploads::Put(const schema::Request& request, Responder respond) {
  auto upload = ReadUpload(request, "number");
  if (!upload.ok()) return respond(upload.error());
  pool_.Run([org = request.org, upload = std::move(*upload)](
                pg::Transaction& tx) { return KeepPiece(tx, org, upload); },
            [respond = std::move(respond)](const Status& kept) {
              if (!kept.ok()) return respond(kept.error());
              respond(broker::RpcReply{json::object()});
            });
}

void SourceUploads::Finish(const schema::Request& request, Responder respond) {
  auto upload = ReadUpload(request, "pieces");
  if (!upload.ok()) return respond(upload.error());
  auto answer = [this, org = request.org, id = upload->id,
                 respond = std::move(respond)](Result<std::string> digest) {
    if (digest.ok()) return respond(broker::RpcReply{json::object{{"digest", *digest}}});
    // What cannot become a source goes at once, the rest when nobody asks again.
    if (!digest.error().retryable) Drop(org, id);
    respond(digest.error());
  };
  pool_.Query<std::string>([org = request.org, upload = std::move(*upload)](
                               pg::Transaction& tx) { return FinishUpload(tx, org, upload); },
                           std::move(answer));
}

void SourceUploads::Drop(const std::string& org, const std::string& upload) {
  pool_.Run([=](pg::Transaction& tx) { return tx.Exec(kDropPieces, {upload, org}).status(); },
            [](const Status&) {});
}

void SourceUploads::KeepForgetting() {
  pool_.Run([](pg::Transaction& tx) { return ForgetPieces(tx, kForgetSeconds).status(); },
            [](const Status& status) {
              if (status.ok()) return;
              log::Warning("old pieces of sources not removed error=\"{}\"", status.message());
            });
  loop_.After(kForgetEvery, [this] { KeepForgetting(); });
}

Result<std::string> KeepSource(pg::Transaction& tx, const std::string& bytes) {
  std::string digest = crypto::HexEncode(crypto::Sha256(bytes));
  RETURN_IF_ERROR(tx.Exec(kKeepSource, {digest, pg::EncodeBytea(bytes)}).status());
  return digest;
}

Result<size_t> ForgetPieces(pg::Transaction& tx, int seconds) {
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kForget, {std::to_string(seconds)}));
  return rows.affected();
}

}  // namespace dispatch
