#include "event-manager/src/adapters/drivers/secret_client.h"

#include "common/json.h"

namespace dispatch {

namespace {

constexpr std::chrono::milliseconds kTimeout = std::chrono::seconds(5);

}  // namespace

void SecretClient::Get(const std::string& org, const std::vector<std::string>& names,
                       std::function<void(Result<Values>)> done) {
  json::array wanted(names.begin(), names.end());
  schema::Request request;
  request.method = "secret.open";
  request.org = org;
  request.principal = {"service", "event-manager", org};
  request.body = json::Serialize(json::object{
      {"names", std::move(wanted)}, {"publicKey", crypto::Base64Encode(keys_.public_key)}});
  rpc_.Call("function-manager", std::move(request), kTimeout,
            [keys = keys_, done = std::move(done)](Result<broker::RpcReply> reply) {
              auto open = [&]() -> Result<Values> {
                if (!reply.ok()) return reply.error();
                const auto* body = reply->body.if_object();
                if (body == nullptr) return Error{Code::kInternal, "secret.open: no object"};
                ASSIGN_OR_RETURN(auto sealed,
                                 crypto::Base64Decode(json::GetString(*body, "sealed")));
                ASSIGN_OR_RETURN(auto text, crypto::OpenSealed(keys, sealed));
                ASSIGN_OR_RETURN(auto values, json::ParseObject(text));
                Values out;
                for (const auto& [name, value] : values) {
                  if (value.is_string()) out[name] = value.as_string();
                }
                return out;
              };
              done(open());
            });
}

}  // namespace dispatch
