#include "cli/src/kinds/kind.h"

namespace dispatch::cli {

namespace {

json::array Words(const std::vector<std::string>& given) {
  json::array words;
  // VMware's CLI also takes "a,b".
  for (const std::string& list : given) {
    size_t start = 0;
    while (start <= list.size()) {
      size_t comma = std::min(list.find(',', start), list.size());
      if (comma > start) words.emplace_back(list.substr(start, comma - start));
      start = comma + 1;
    }
  }
  return words;
}

Status Fill(const Arguments& flags, const Environment&, json::object& document) {
  if (flags.Has("subject") || flags.Has("action") || flags.Has("resource")) {
    json::object rule;
    rule["subjects"] = Words(flags.All("subject"));
    rule["actions"] = Words(flags.All("action"));
    rule["resources"] = Words(flags.All("resource"));
    for (const auto& list : rule) {
      if (list.value().as_array().empty()) {
        return UsageError("--subject, --action and --resource are needed together");
      }
    }
    document["rules"] = json::array{std::move(rule)};
  }
  if (flags.Has("global")) document["global"] = true;
  return FillTags(flags, document);
}

std::string Rules(const json::object& policy) {
  std::string text;
  const auto* rules = json::GetArray(policy, "rules");
  for (const auto& element : rules != nullptr ? *rules : json::array()) {
    const auto* rule = element.if_object();
    if (rule == nullptr) continue;
    text += text.empty() ? "" : "; ";
    for (const char* field : {"subjects", "actions", "resources"}) {
      std::string words;
      const auto* list = json::GetArray(*rule, field);
      for (const auto& word : list != nullptr ? *list : json::array()) {
        words += (words.empty() ? "" : ",") + CellText(word);
      }
      text += (text.empty() || text.ends_with(' ') ? "" : " ") + words;
    }
  }
  return text;
}

}  // namespace

Kind PolicyKind() {
  return {.name = "policy",
          .aliases = {"policies"},
          .document_kind = "Policy",
          .path = "/v1/iam/policy",
          .flags = {{.name = "subject",
                     .value = "key:NAME|[ORG/]ACCOUNT|*",
                     .help = "who: a key, a service account, everybody",
                     .letter = 's',
                     .repeatable = true},
                    {.name = "action",
                     .value = "WORD",
                     .help = "may do what",
                     .letter = 'a',
                     .repeatable = true},
                    {.name = "resource",
                     .value = "KIND/NAME|KIND/PREFIX*|*",
                     .help = "with what",
                     .letter = 'r',
                     .repeatable = true},
                    {.name = "global", .help = "in every organization"},
                    TagFlag()},
          .fill = Fill,
          .columns = {FieldColumn("NAME", "name"),
                      FieldColumn("GLOBAL", "global"),
                      {"RULES", Rules},
                      TimeColumn("CREATED", "createdTime")},
          .examples = {"dispatch create policy ci-reads --subject key:ci --action read --resource "
                       "'topic/*'"}};
}

}  // namespace dispatch::cli
