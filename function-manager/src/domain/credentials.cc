#include "function-manager/src/domain/credentials.h"

#include <fmt/format.h>

#include "common/crypto.h"

namespace dispatch {

namespace {

constexpr std::string_view kEncodedKey = "whsec_";

std::string KeyOf(const std::string& value) {
  if (!value.starts_with(kEncodedKey)) return value;
  auto decoded = crypto::Base64Decode(std::string_view(value).substr(kEncodedKey.size()));
  return decoded.ok() ? *decoded : value;
}

}  // namespace

std::string SignatureOf(const SecretValues& keys, std::string_view id, int64_t timestamp_s,
                        std::string_view body) {
  std::string text = fmt::format("{}.{}.{}", id, timestamp_s, body);
  std::string signatures;
  for (const auto& [name, value] : keys) {
    if (!signatures.empty()) signatures += ' ';
    signatures += "v1," + crypto::Base64Encode(crypto::HmacSha256(KeyOf(value), text));
  }
  return signatures;
}

Result<std::string> AuthorizationOf(const SecretValues& values) {
  auto value = [&](const char* name) {
    auto it = values.find(name);
    return it == values.end() ? std::string() : it->second;
  };
  if (auto whole = value("authorization"); !whole.empty()) return whole;
  if (auto token = value("token"); !token.empty()) return "Bearer " + token;
  if (auto user = value("username"); !user.empty()) {
    return "Basic " + crypto::Base64Encode(user + ":" + value("password"));
  }
  return {Code::kInvalidArgument, "has no key authorization, token, or username with password"};
}

}  // namespace dispatch
