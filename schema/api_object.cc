#include "schema/api_object.h"

#include <algorithm>

namespace dispatch::schema {

namespace {

std::vector<std::string> Texts(const json::object& o, std::string_view key) {
  std::vector<std::string> out;
  const auto* array = json::GetArray(o, key);
  for (const auto& value : array != nullptr ? *array : json::array()) {
    if (value.is_string()) out.emplace_back(value.get_string());
  }
  return out;
}

bool Meet(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::any_of(a.begin(), a.end(), [&](const auto& text) {
    return std::find(b.begin(), b.end(), text) != b.end();
  });
}

template <typename Same>
bool MeetBy(Same same, const Api& a, const Api& b) {
  return std::any_of(a.uris.begin(), a.uris.end(), [&](const auto& x) {
    return std::any_of(b.uris.begin(), b.uris.end(), [&](const auto& y) { return same(x, y); });
  });
}

// "/a/{x}" and "/a/{y}" are the same form.
bool SameForm(const std::string& a, const std::string& b) {
  auto left = PathSegments(a);
  auto right = PathSegments(b);
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](const auto& x, const auto& y) {
                      return x == y || (IsPathParameter(x) && IsPathParameter(y));
                    });
}

// Some path below the same first literal is of both forms.
bool OverlapBelowName(const std::string& a, const std::string& b) {
  auto left = PathSegments(a);
  auto right = PathSegments(b);
  return !left.empty() && !right.empty() && left[0] == right[0] &&
         std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](const auto& x, const auto& y) {
                      return x == y || IsPathParameter(x) || IsPathParameter(y);
                    });
}

bool ConflictAcrossOrganisations(const Api& a, const Api& b) {
  if (Meet(a.hosts, b.hosts)) return true;
  return a.hosts.empty() != b.hosts.empty() && MeetBy(OverlapBelowName, a, b);
}

}  // namespace

Api ParseApi(const std::string& org, const std::string& name, const json::object& document) {
  Api api;
  api.org = org;
  api.name = name;
  api.function = json::GetString(document, "function");
  api.hosts = Texts(document, "hosts");
  api.uris = Texts(document, "uris");
  api.methods = Texts(document, "methods");
  api.protocols = Texts(document, "protocols");
  api.authentication = json::GetString(document, "authentication", "public");
  api.enabled = json::GetBool(document, "enabled");
  if (const auto* cors = json::GetObject(document, "cors")) {
    api.cors.emplace();
    if (cors->contains("origins")) api.cors->origins = Texts(*cors, "origins");
    if (cors->contains("methods")) api.cors->methods = Texts(*cors, "methods");
    if (cors->contains("headers")) api.cors->headers = Texts(*cors, "headers");
    api.cors->credentials = json::GetBool(*cors, "credentials");
  } else if (json::GetBool(document, "cors")) {
    api.cors.emplace();
  }
  return api;
}

std::vector<std::string> PathSegments(std::string_view path) {
  std::vector<std::string> out;
  if (path.starts_with('/')) path.remove_prefix(1);
  if (path.ends_with('/')) path.remove_suffix(1);
  while (!path.empty()) {
    size_t slash = path.find('/');
    out.emplace_back(path.substr(0, slash));
    if (slash == path.npos) break;
    path.remove_prefix(slash + 1);
    if (path.empty()) out.emplace_back();
  }
  return out;
}

bool IsPathParameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

bool Conflict(const Api& a, const Api& b) {
  if (a.org != b.org) return ConflictAcrossOrganisations(a, b);
  if (a.hosts.empty() != b.hosts.empty()) return false;
  if (!a.hosts.empty() && !Meet(a.hosts, b.hosts)) return false;
  if (!a.methods.empty() && !b.methods.empty() && !Meet(a.methods, b.methods)) return false;
  return MeetBy(SameForm, a, b);
}

}  // namespace dispatch::schema
