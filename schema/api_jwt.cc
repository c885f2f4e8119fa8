#include "schema/api_jwt.h"

#include <fmt/format.h>

#include <algorithm>

namespace dispatch::schema {

namespace {

constexpr size_t kMostAudiences = 16;
constexpr size_t kMaxText = 1024;
constexpr size_t kMaxSize = 64 * 1024;
constexpr std::chrono::milliseconds kMaxLeeway = std::chrono::minutes(10);

void ReadKeys(RequestReader& reader, jwt::KeySet& keys) {
  const auto* pems = reader.Array("publicKeys");
  for (const auto& pem : pems != nullptr ? *pems : json::array()) {
    Status added = pem.is_string() ? keys.AddPem(pem.get_string())
                                   : Status(Code::kInvalidArgument, "must be texts in PEM");
    if (!added.ok()) reader.Fault("publicKeys", added.message());
  }
  if (const auto* jwks = reader.Object("jwks")) {
    Status added = keys.AddJwks(*jwks);
    if (!added.ok()) reader.Fault("jwks", added.message());
  }
  if (reader.ok() && keys.size() == 0) {
    reader.Fault("publicKeys", "or `jwks` is required: the keys that sign tokens");
  }
}

std::vector<std::string> ReadAudiences(RequestReader& reader, const json::object& document) {
  const auto* given = document.if_contains("audience");
  if (given == nullptr || given->is_null()) return {};
  json::array one{*given};
  const auto* all = given->is_array() ? &given->get_array() : &one;
  std::vector<std::string> audiences;
  for (const auto& audience : *all) {
    const auto* text = audience.if_string();
    if (text == nullptr || text->empty() || text->size() > kMaxText ||
        audiences.size() >= kMostAudiences) {
      reader.Fault("audience", fmt::format("must be a text of 1 to {} characters, or up to {} such",
                                           kMaxText, kMostAudiences));
      return audiences;
    }
    audiences.emplace_back(*text);
  }
  return audiences;
}

}  // namespace

ApiJwt ReadApiJwt(RequestReader& api) {
  ApiJwt out;
  const auto* document = api.Object("jwt");
  if (document == nullptr) {
    api.Fault("jwt", "is required: {publicKeys or jwks, issuer, audience, leeway}");
    return out;
  }
  RequestReader reader(*document, "jwt");
  if (json::Serialize(*document).size() > kMaxSize) {
    reader.Fault("jwks", "is too large: `jwt` may have 64 KiB in all");
  }
  ReadKeys(reader, out.keys);
  out.rules.issuer = reader.String("issuer");
  if (out.rules.issuer.size() > kMaxText) {
    reader.Fault("issuer", "must have at most 1024 characters");
  }
  out.rules.audiences = ReadAudiences(reader, *document);
  out.rules.leeway =
      reader.Duration("leeway", out.rules.leeway, std::chrono::milliseconds(0), kMaxLeeway);
  reader.Allow({"audience"});
  api.Take(reader);
  return out;
}

}  // namespace dispatch::schema
