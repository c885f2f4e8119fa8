#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/src/api.h"
#include "cli/src/arguments.h"
#include "cli/src/environment.h"
#include "cli/src/output.h"

namespace dispatch::cli {

/// A kind of object that create, get, update and delete know.
struct Kind {
  std::string name;                  // "subscription"
  std::vector<std::string> aliases;  // "sub", "subs", ...
  std::string document_kind;         // the field `kind` of documents: "Subscription"
  std::string path;
  std::vector<Flag> flags;  // of create and update
  /// Puts what the flags say into the document.
  Status (*fill)(const Arguments& flags, const Environment& environment, json::object& document);
  std::vector<Column> columns;
  std::vector<std::string> examples;  // of create
  /// API keys are named by ids that nobody remembers: they are looked up by name too.
  bool named_by_id = false;
  /// What create prints beyond "Created ...".
  std::string (*note)(const json::object& created) = nullptr;
  /// What it is called in "Created base image: x"; empty: its name.
  std::string label = {};
  /// A word behind the name that create and update take, for `fill`: "PATH".
  std::string argument = {};
  bool argument_required = false;  // by create
  /// The field that create's word is, when it is not the name: `create eventdriver TYPE --name N`.
  std::string word_field = {};
  /// What it is called in "Deleted drivers: x"; empty: its label.
  std::string deleted_label = {};

  const std::string& Label() const { return label.empty() ? name : label; }
  const std::string& DeletedLabel() const {
    return deleted_label.empty() ? Label() : deleted_label;
  }
};

Kind TopicKind();
Kind SubscriptionKind();
Kind BaseImageKind();
Kind ImageKind();
Kind FunctionKind();
Kind SecretKind();
Kind ApiKind();
Kind ApplicationKind();
Kind DriverTypeKind();
Kind DriverKind();
Kind OrganizationKind();
Kind KeyKind();
Kind PolicyKind();
Kind ServiceAccountKind();

/// Where endpoints are served, put into an api for its column PATH; no field of the server's.
inline constexpr char kEndpointsUrlField[] = "cli-endpoints-url";
/// Whether an api is for HTTPS alone.
bool IsSecure(const json::object& api);

const std::vector<Kind>& Kinds();
/// By name, alias or document kind, in any case; a usage error that lists them.
Result<const Kind*> FindKind(std::string_view word);
/// "topic, subscription, ...".
std::string KindNames();

/// The path of one object. Looks a key's id up when `name` is not one of its ids.
Result<std::string> PathOf(Api& api, const Kind& kind, const std::string& name);

// For `fill`.
Flag TagFlag();
/// -a, VMware's: the tag Application.
Flag ApplicationFlag();
/// "key=value" of --tag, and --application, into `tags`.
Status FillTags(const Arguments& flags, json::object& document);
/// -s, --set KEY[=VALUE], into `config` of drivers: over what is there, by key.
Flag ConfigFlag();
Status FillConfig(const Arguments& flags, json::object& document);
/// The flag's text into the field, when it is given.
void FillText(const Arguments& flags, std::string_view flag, json::object& document,
              std::string_view field);
/// The same for "30s", "7d"; a usage error for what is no duration.
Status FillDuration(const Arguments& flags, std::string_view flag, json::object& document,
                    std::string_view field);
/// "100/s" or "5000/1m" as {"events", "per"}; a usage error for anything else.
Result<json::value> RateOf(std::string_view flag, const std::string& text);
/// A flag whose value is JSON.
Result<json::value> JsonOf(std::string_view flag, std::string_view text);

}  // namespace dispatch::cli
