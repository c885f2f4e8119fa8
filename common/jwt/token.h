#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/json.h"
#include "common/jwt/key_set.h"
#include "common/result.h"

namespace dispatch::jwt {

/// What a token must be, beside signed.
struct Rules {
  std::string issuer;                        // empty: anyone's
  std::vector<std::string> audiences;        // it must be for one of these; empty: for anybody
  std::chrono::milliseconds leeway{60'000};  // how far clocks may be apart
};

/// A signed JSON Web Token (RFC 7519) in compact form, read but not believed yet: only what
/// Check() lets pass may be acted on.
class Token {
 public:
  /// kUnauthenticated for what is no JWS of ours: encrypted ones, unknown `crit` fields.
  static Result<Token> Parse(std::string_view text);

  const json::object& claims() const { return claims_; }

  /// kUnauthenticated with the reason: no key signed it, it has no `exp` or is past it, is not yet
  /// valid (`nbf`), is another issuer's or for another audience.
  Status Check(const KeySet& keys, const Rules& rules, WallTime now) const;

 private:
  Status CheckClaims(const Rules& rules, WallTime now) const;

  std::string algorithm_;
  std::string key_id_;
  std::string signed_text_;
  std::string signature_;
  json::object claims_;
};

}  // namespace dispatch::jwt
