#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace dispatch {

/// What came of one attempt.
struct Answer {
  int status = 0;       // HTTP status; 0 when there was no answer
  std::string failure;  // why there was none: "timeout", "connect", "tls", "dns", ...
  std::string message;  // for people
  std::optional<std::chrono::milliseconds> retry_after;
  std::string head;       // the first bytes of the answer's body
  bool hopeless = false;  // there is none, and no other try would make one
  std::chrono::microseconds elapsed{0};
};

enum class Effect { kDelivered, kRetry, kReject, kGone };

/// DESIGN section 5: 2xx is delivered; 408, 425, 429, 5xx and every fault without an answer is
/// tried again, unless it is hopeless; 410 disables the subscription; 3xx and any other 4xx is a
/// dead letter at once.
Effect EffectOf(const Answer& answer);

/// "503 from http://host", "timeout after 30 s: http://host".
std::string Describe(const Answer& answer, std::string_view url);

}  // namespace dispatch
