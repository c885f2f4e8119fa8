#pragma once

#include <cstddef>
#include <string>

#include "broker-adapters/rpc.h"
#include "common/clock.h"
#include "common/pg/pool.h"

namespace dispatch {

/// Sources that one request cannot carry: `source.put` {upload, number, data} keeps a piece
/// (base64), `source.finish` {upload, pieces} makes a source of them and answers {digest}, which
/// function.create and .update then name. Both may be asked again with the same outcome, by any
/// instance. Pieces that nobody finished are forgotten.
class SourceUploads {
 public:
  SourceUploads(Loop& loop, pg::Pool& pool) : loop_(loop), pool_(pool) {}

  void Register(broker::RpcServer& server);
  /// Now and every minute.
  void KeepForgetting();

  using Responder = broker::RpcServer::Responder;
  void Put(const schema::Request& request, Responder respond);
  void Finish(const schema::Request& request, Responder respond);

 private:
  void Drop(const std::string& org, const std::string& upload);

  Loop& loop_;
  pg::Pool& pool_;
};

/// Keeps a source, young again when it is there, so that nothing collects it. Returns its digest.
Result<std::string> KeepSource(pg::Transaction& tx, const std::string& bytes);

/// Forgets the uploads that got their last piece so many seconds ago. Returns how many rows.
Result<size_t> ForgetPieces(pg::Transaction& tx, int seconds);

/// What the unfinished uploads of an organisation may have in all: beyond it, others must wait.
inline constexpr size_t kMaxPiecesOfOrg = size_t{64} << 20;

}  // namespace dispatch
