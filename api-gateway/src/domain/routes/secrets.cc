#include "api-gateway/src/domain/resource.h"
#include "api-gateway/src/domain/routes.h"
#include "common/crypto.h"
#include "schema/objects.h"

namespace dispatch::gateway {

namespace {

// The values go to function-manager in a box that only it can open.
Status SealValues(const broker::StateTable& functions, json::object& body) {
  const json::value* values = body.if_contains("secrets");
  if (values == nullptr) {
    return Error{Code::kUnprocessable,
                 "secrets is missing",
                 false,
                 {{"secrets", "is required: an object of texts"}}};
  }
  auto key = functions.Find(schema::kSealingKeyKind, schema::kSealingKeyName);
  if (key == nullptr) {
    return Error{Code::kUnavailable,
                 "this installation takes no secrets: give function-manager a secrets-key-file"};
  }
  ASSIGN_OR_RETURN(auto public_key,
                   crypto::Base64Decode(json::GetString(key->document, "publicKey")));
  ASSIGN_OR_RETURN(auto box, crypto::Seal(public_key, json::Serialize(*values)));
  body["sealed"] = crypto::Base64Encode(box);
  body.erase("secrets");
  return {};
}

}  // namespace

void AddSecretRoutes(Gateway& gateway, Backend& backend) {
  AddResource(
      gateway, backend.services,
      {.kind = schema::kSecretKind,
       .paths = {"/v1/secret", "/v1/secrets"},
       .owner = {kFunctionManager, backend.tables.functions},
       .prepare =
           [&backend](json::object& body) { return SealValues(backend.tables.functions, body); },
       .updated_status = 201});
}

}  // namespace dispatch::gateway
