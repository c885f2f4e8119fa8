#include "api-gateway/src/domain/views.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "api-gateway/src/domain/knative_object.h"

namespace dispatch::gateway {

namespace {

constexpr int64_t kMaxPage = 1000;

std::optional<int64_t> ParseNumber(std::string_view text) {
  int64_t number = 0;
  auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool SameTag(std::string_view stored, std::string_view asked) {
  return stored == asked || (IsApplicationTag(stored) && IsApplicationTag(asked));
}

bool HasTag(const broker::Entity& entity, std::string_view key, std::string_view value) {
  const json::array* tags = json::GetArray(entity.document, "tags");
  return tags != nullptr && std::any_of(tags->begin(), tags->end(), [&](const json::value& tag) {
           const json::object* o = tag.if_object();
           return o != nullptr && SameTag(json::GetString(*o, "key"), key) &&
                  json::GetString(*o, "value") == value;
         });
}

Status KeepTagged(const http::Request& request, std::vector<EntityPtr>* entities) {
  ASSIGN_OR_RETURN(auto tags, AskedTags(request));
  for (const auto& [key, value] : tags) {
    std::erase_if(*entities, [&](const EntityPtr& e) { return !HasTag(*e, key, value); });
  }
  return {};
}

std::string QueryEncode(std::string_view text) {
  std::string out;
  for (unsigned char c : text) {
    if (std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_' || c == '~') {
      out += static_cast<char>(c);
    } else {
      out += fmt::format("%{:02X}", c);
    }
  }
  return out;
}

}  // namespace

bool IsApplicationTag(std::string_view key) {
  return http::EqualsIgnoreCase(key, "application") || http::EqualsIgnoreCase(key, "app");
}

Result<std::vector<std::pair<std::string, std::string>>> AskedTags(const http::Request& request) {
  std::vector<std::pair<std::string, std::string>> tags;
  for (const std::string& tag : request.QueryAll("tags")) {
    size_t equals = tag.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Error{Code::kInvalidArgument,
                   fmt::format("tags={} must be tags=key=value", tag),
                   false,
                   {{"tags", "must be key=value"}}};
    }
    tags.emplace_back(tag.substr(0, equals), tag.substr(equals + 1));
  }
  return tags;
}

json::object ApiForm(const broker::Entity& entity) {
  json::object form = entity.document;
  form.erase("internal");
  if (!form.contains("id")) form["id"] = entity.uuid.ToString();
  if (!form.contains("name")) form["name"] = entity.name;
  form["revision"] = entity.version;
  AddKnativeFields(form);
  return form;
}

std::string EntityTag(int64_t version) { return fmt::format("\"{}\"", version); }

std::string VersionMark(const std::string& kind, const std::string& key, int64_t version) {
  return fmt::format("{}/{}@{}", kind, key, version);
}

Result<std::optional<int64_t>> ReadIfMatch(const http::Request& request) {
  auto field = request.headers.Get("If-Match");
  if (!field || *field == "*") return std::optional<int64_t>();
  if (field->size() > 2 && field->front() == '"' && field->back() == '"') {
    if (auto version = ParseNumber(field->substr(1, field->size() - 2))) return version;
  }
  return Error{Code::kInvalidArgument,
               "If-Match must be the ETag of an answer, as \"17\", or *",
               false,
               {{"If-Match", "must be one strong entity tag"}}};
}

Result<std::optional<int64_t>> ReadLimit(const http::Request& request, int64_t max) {
  auto text = request.Query("limit");
  if (!text) return std::optional<int64_t>();
  auto limit = ParseNumber(*text);
  if (limit && *limit >= 1 && *limit <= max) return limit;
  std::string reason = fmt::format("must be a number from 1 to {}", max);
  return Error{Code::kInvalidArgument, fmt::format("limit {}", reason), false, {{"limit", reason}}};
}

void LinkNext(Call& call, std::string_view cursor, std::string_view parameter) {
  std::string target = call.request.path;
  char separator = '?';
  for (const auto& [name, value] : call.request.query) {
    if (name == parameter) continue;
    target += fmt::format("{}{}={}", separator, QueryEncode(name), QueryEncode(value));
    separator = '&';
  }
  target += fmt::format("{}{}={}", separator, parameter, QueryEncode(cursor));
  call.AddHeader("Link", fmt::format("<{}>; rel=\"next\"", target));
}

void SendList(const CallPtr& call, std::vector<EntityPtr> entities,
              const std::function<void(json::object&)>& correct) {
  if (Status kept = KeepTagged(call->request, &entities); !kept.ok())
    return call->Fail(kept.error());
  auto limit = ReadLimit(call->request, kMaxPage);
  if (!limit.ok()) return call->Fail(limit.error());
  std::sort(entities.begin(), entities.end(),
            [](const EntityPtr& a, const EntityPtr& b) { return a->name < b->name; });
  // The cursor is the last name of the page before, so that changes in between move nothing.
  auto first = entities.begin();
  if (auto cursor = call->request.Query("cursor")) {
    first = std::upper_bound(
        entities.begin(), entities.end(), *cursor,
        [](const std::string& name, const EntityPtr& e) { return name < e->name; });
  }
  auto last = entities.end();
  if (*limit && last - first > **limit) {
    last = first + **limit;
    LinkNext(*call, (*(last - 1))->name);
  }
  json::array page;
  for (auto it = first; it != last; ++it) {
    json::object form = ApiForm(**it);
    if (correct) correct(form);
    page.push_back(std::move(form));
  }
  call->SendJson(200, json::value(std::move(page)));
}

}  // namespace dispatch::gateway
