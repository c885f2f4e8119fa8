#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/json.h"
#include "common/result.h"

/// API keys and what they may do: pure, the same in identity (which makes them) and in the gateway
/// (which enforces them from its cache).
namespace dispatch::auth {

/// The text of an API key, `dsp_<id>_<secret>`: shown once, then only known by its hash.
struct KeyText {
  static constexpr size_t kIdLength = 12;
  static constexpr size_t kSecretLength = 32;

  std::string id;
  std::string secret;

  std::string ToString() const;
  static KeyText Random();
  /// kUnauthenticated for any other form.
  static Result<KeyText> Parse(std::string_view text);
};

/// What is kept of a secret: hexadecimal HMAC-SHA-256 under a key derived from the service key, so
/// that the state topic alone neither checks nor guesses secrets.
std::string HashSecret(std::string_view service_key, std::string_view secret);
/// In constant time.
bool SecretMatches(std::string_view service_key, std::string_view secret, std::string_view hash);

/// The words for actions. `admin` includes every other one; `*` is any action.
inline constexpr std::string_view kPublish = "publish";
inline constexpr std::string_view kSubscribe = "subscribe";
inline constexpr std::string_view kInvoke = "invoke";
inline constexpr std::string_view kRead = "read";
inline constexpr std::string_view kWrite = "write";
inline constexpr std::string_view kReadRuns = "read-runs";
inline constexpr std::string_view kAdmin = "admin";

/// Allows each of `actions` on each of `resources`. A resource is `kind/name`; a pattern is one of
/// these, `*`, or a prefix with `*` behind it (`topic/orders*`).
struct Grant {
  std::vector<std::string> actions;
  std::vector<std::string> resources;

  bool Allows(std::string_view action, std::string_view resource) const;
  /// Whether there may be an object of the kind that it allows the action on: for lists.
  bool AllowsSome(std::string_view action, std::string_view kind) const;
};

/// Allow-only: what no grant allows is denied.
class Permissions {
 public:
  void Add(Grant grant) { grants_.push_back(std::move(grant)); }
  bool Allows(std::string_view action, std::string_view resource) const;
  bool AllowsSome(std::string_view action, std::string_view kind) const;

 private:
  std::vector<Grant> grants_;
};

/// One element of a key's `scopes`: {"actions": [...], "resources": [...]}, or the short forms
/// "publish" (on everything) and "publish:topic/orders". kInvalidArgument says what is wrong.
Result<Grant> ParseScope(const json::value& scope);
Result<std::vector<Grant>> ParseScopes(const json::value& scopes);

/// {"name", "global", "rules": [{"subjects", "actions", "resources"}]}.
struct Policy {
  struct Rule {
    std::vector<std::string> subjects;
    Grant grant;
  };
  std::string name;
  bool global = false;  // holds in every organisation
  std::vector<Rule> rules;

  static Result<Policy> Parse(const json::object& document);
};

/// Adds what the policy gives a key: a subject is "key:<id>", "key:<name>" or "*".
void AddPolicy(const Policy& policy, std::string_view key_id, std::string_view key_name,
               Permissions* permissions);

}  // namespace dispatch::auth
