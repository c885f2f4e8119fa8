#include "common/jwt/token.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "common/crypto.h"

namespace dispatch::jwt {

namespace {

Error Refusal(std::string message) { return {Code::kUnauthenticated, std::move(message)}; }

Result<json::object> Part(std::string_view text) {
  auto bytes = crypto::Base64UrlDecode(text);
  if (bytes.ok()) {
    if (auto object = json::ParseObject(*bytes); object.ok()) return object;
  }
  return Refusal("the token is malformed: a signed JSON Web Token is expected");
}

// Seconds since the epoch (RFC 7519, section 2: NumericDate). NaN for what is none.
std::optional<double> Time(const json::object& claims, std::string_view name) {
  const auto* value = claims.if_contains(name);
  if (value == nullptr) return std::nullopt;
  return value->is_number() ? value->to_number<double>() : std::nan("");
}

bool IsFor(const json::object& claims, const std::vector<std::string>& audiences) {
  const auto* given = claims.if_contains("aud");
  if (given == nullptr) return false;
  auto ours = [&](const json::value& one) {
    const auto* text = one.if_string();
    return text != nullptr && std::any_of(audiences.begin(), audiences.end(), [&](const auto& a) {
             return std::string_view(*text) == a;
           });
  };
  const auto* several = given->if_array();
  return several != nullptr ? std::any_of(several->begin(), several->end(), ours) : ours(*given);
}

}  // namespace

Result<Token> Token::Parse(std::string_view text) {
  size_t first = text.find('.');
  size_t second = first == text.npos ? first : text.find('.', first + 1);
  if (second == text.npos || text.find('.', second + 1) != text.npos) {
    return Refusal("the token is malformed: a signed JSON Web Token is expected");
  }
  ASSIGN_OR_RETURN(json::object header, Part(text.substr(0, first)));
  // RFC 7515, section 4.1.11: what must be understood, and is not.
  if (header.contains("crit")) return Refusal("the token has critical fields that are not known");
  Token token;
  token.algorithm_ = json::GetString(header, "alg");
  token.key_id_ = json::GetString(header, "kid");
  token.signed_text_ = text.substr(0, second);
  ASSIGN_OR_RETURN(token.claims_, Part(text.substr(first + 1, second - first - 1)));
  auto signature = crypto::Base64UrlDecode(text.substr(second + 1));
  if (!signature.ok()) return Refusal("the token's signature is malformed");
  token.signature_ = std::move(*signature);
  return token;
}

Status Token::Check(const KeySet& keys, const Rules& rules, WallTime now) const {
  if (!keys.Verify(algorithm_, key_id_, signed_text_, signature_)) {
    return Refusal("no known key signed the token");
  }
  return CheckClaims(rules, now);
}

Status Token::CheckClaims(const Rules& rules, WallTime now) const {
  double seconds = static_cast<double>(ToMicros(now)) / 1e6;
  double leeway = static_cast<double>(rules.leeway.count()) / 1e3;
  auto expires = Time(claims_, "exp");
  if (!expires) return Refusal("the token has no end: it needs the claim exp");
  // Written so that NaN is refused.
  if (!(seconds < *expires + leeway)) return Refusal("the token has expired");
  auto begins = Time(claims_, "nbf");
  if (begins && !(seconds >= *begins - leeway)) return Refusal("the token is not valid yet");
  if (!rules.issuer.empty() && json::GetString(claims_, "iss") != rules.issuer) {
    return Refusal("the token has another issuer");
  }
  if (!rules.audiences.empty() && !IsFor(claims_, rules.audiences)) {
    return Refusal("the token is for another audience");
  }
  return OkStatus();
}

}  // namespace dispatch::jwt
