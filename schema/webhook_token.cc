#include "schema/webhook_token.h"

#include <fmt/format.h>

#include "common/crypto.h"

namespace dispatch::schema {

std::string WebhookToken(const std::string& service_key, const std::string& driver,
                         int64_t generation) {
  std::string text = crypto::Base64Encode(crypto::HmacSha256(
      service_key, fmt::format("dispatch webhook token {} {}", driver, generation)));
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

bool IsWebhookToken(const std::string& service_key, const std::string& driver,
                    const json::object& document, const std::string& token, WallTime now) {
  const auto* internal = json::GetObject(document, "internal");
  const auto* webhook = internal != nullptr ? json::GetObject(*internal, "webhook") : nullptr;
  if (webhook == nullptr) return false;
  int64_t generation = json::GetInt(*webhook, "generation", 1);
  if (crypto::EqualConstantTime(WebhookToken(service_key, driver, generation), token)) return true;
  bool before_counts = generation > 1 && ToMillis(now) < json::GetInt(*webhook, "previousUntilMs");
  return before_counts &&
         crypto::EqualConstantTime(WebhookToken(service_key, driver, generation - 1), token);
}

}  // namespace dispatch::schema
