#pragma once

#include "common/jwt/key_set.h"
#include "common/jwt/token.h"
#include "schema/request_reader.h"

namespace dispatch::schema {

/// What an API with `authentication: jwt` asks of tokens: its field `jwt`, {publicKeys: [PEM],
/// jwks: {keys}, issuer, audience: text or list, leeway}.
struct ApiJwt {
  jwt::KeySet keys;  // none: no token passes
  jwt::Rules rules;
};

/// From the document of an API, or a request for one. Faults name fields under `jwt`.
ApiJwt ReadApiJwt(RequestReader& api);

}  // namespace dispatch::schema
