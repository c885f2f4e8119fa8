#include "api-gateway/src/domain/source_uploads.h"

#include "api-gateway/src/domain/routes.h"
#include "common/uuid.h"

namespace dispatch::gateway {

struct SourceUploads::Upload {
  ~Upload() { --under_way; }

  size_t& under_way;
  CallPtr call;
  std::string id;
  std::string text;
  Done done;
  SteadyTime deadline{};
  size_t sent = 0;  // of the text

  bool whole() const { return sent >= text.size(); }
};

void SourceUploads::Send(const CallPtr& call, std::string text, Done done) {
  if (under_way_ >= options_.most) {
    return call->Fail({Code::kUnavailable,
                       "too many large sources are on their way: try again in some seconds", true});
  }
  ++under_way_;
  Next(std::make_shared<Upload>(under_way_, call, Uuid::Random().ToString(), std::move(text),
                                std::move(done), loop_.Steady() + options_.timeout));
}

void SourceUploads::Next(const UploadPtr& upload) {
  json::object body{{"upload", upload->id}};
  size_t number = upload->sent / kSourcePiece;
  if (upload->whole()) {
    body["pieces"] = (upload->text.size() + kSourcePiece - 1) / kSourcePiece;
  } else {
    body["number"] = number;
    body["data"] = std::string_view(upload->text).substr(upload->sent, kSourcePiece);
  }
  services_.TryAsk(
      upload->call, kFunctionManager, upload->whole() ? "source.finish" : "source.put",
      std::move(body), options_.piece_timeout,
      [this, upload](Result<broker::RpcReply> reply) { Answered(upload, std::move(reply)); });
}

void SourceUploads::Answered(const UploadPtr& upload, Result<broker::RpcReply> reply) {
  if (reply.ok() && upload->whole()) {
    const auto* body = reply->body.if_object();
    return upload->done(body != nullptr ? json::GetString(*body, "digest") : "");
  }
  if (reply.ok()) {
    upload->sent += kSourcePiece;
    return Next(upload);
  }
  bool may_come = reply.code() == Code::kUnavailable || reply.code() == Code::kDeadlineExceeded;
  if (!may_come || loop_.Steady() >= upload->deadline) {
    return services_.Fail(upload->call, kFunctionManager, reply.error());
  }
  loop_.After(options_.pause, [this, upload] { Next(upload); });
}

}  // namespace dispatch::gateway
