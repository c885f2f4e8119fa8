#include "api-gateway/src/domain/endpoints/endpoint_table.h"

#include <algorithm>
#include <cctype>

namespace dispatch::gateway {

namespace {

bool Has(const std::vector<std::string>& all, std::string_view one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

std::string HostName(std::string_view host) {
  std::string name(host.substr(0, host.find(':')));
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

}  // namespace

void EndpointTable::OnChanged(const std::string& kind, const std::string& key,
                              const std::shared_ptr<const broker::Entity>& entity) {
  if (kind != schema::kApiKind) return;
  if (auto known = apis_.find(key); known != apis_.end()) {
    Remove(root_, known->second);
    apis_.erase(known);
  }
  if (entity == nullptr) return;
  auto api = std::make_shared<Endpoint>(
      Endpoint{schema::ParseApi(entity->org, entity->name, entity->document), {}});
  if (!api->enabled) return;
  if (api->authentication == "jwt") {
    schema::RequestReader reader(entity->document);
    api->jwt = schema::ReadApiJwt(reader);
    // Its owner checked it: what cannot be read must let nobody in.
    if (!reader.ok()) api->jwt.keys = {};
  }
  apis_[key] = api;
  Insert(api);
}

void EndpointTable::Insert(const ApiPtr& api) {
  for (const std::string& uri : api->uris) {
    Node* node = &root_;
    for (const std::string& segment : schema::PathSegments(uri)) {
      auto& next = schema::IsPathParameter(segment) ? node->parameter : node->literals[segment];
      if (next == nullptr) next = std::make_unique<Node>();
      node = next.get();
    }
    node->entries.push_back({api, uri});
  }
}

void EndpointTable::Remove(Node& node, const ApiPtr& api) {
  std::erase_if(node.entries, [&](const Entry& entry) { return entry.api == api; });
  auto empty = [](const std::unique_ptr<Node>& n) {
    return n->entries.empty() && n->literals.empty() && n->parameter == nullptr;
  };
  for (auto next = node.literals.begin(); next != node.literals.end();) {
    Remove(*next->second, api);
    next = empty(next->second) ? node.literals.erase(next) : std::next(next);
  }
  if (node.parameter == nullptr) return;
  Remove(*node.parameter, api);
  if (empty(node.parameter)) node.parameter.reset();
}

const EndpointTable::Entry* EndpointTable::Search(const Node& node, const Asked& asked,
                                                  std::string_view org, size_t depth) {
  if (depth == asked.segments.size()) {
    const Entry* found = nullptr;
    for (const Entry& entry : node.entries) {
      const schema::Api& api = *entry.api;
      if (!org.empty() && api.org != org) continue;
      if (!api.hosts.empty() && !Has(api.hosts, asked.host)) continue;
      bool any_method = asked.method == "OPTIONS" || api.methods.empty();
      if (!any_method && !Has(api.methods, asked.method)) continue;
      if (found == nullptr || (found->api->hosts.empty() && !api.hosts.empty())) found = &entry;
    }
    return found;
  }
  const std::string& segment = asked.segments[depth];
  if (auto next = node.literals.find(segment); next != node.literals.end()) {
    const Entry* found = Search(*next->second, asked, org, depth + 1);
    if (found != nullptr) return found;
  }
  if (node.parameter == nullptr || segment.empty()) return nullptr;
  return Search(*node.parameter, asked, org, depth + 1);
}

EndpointTable::Match EndpointTable::Find(std::string_view method, std::string_view host,
                                         std::string_view path) const {
  Asked asked{schema::PathSegments(path), method, HostName(host)};
  const auto& segments = asked.segments;
  std::string_view org = segments.empty() ? std::string_view() : segments[0];
  bool own = Search(root_, {segments, "OPTIONS", asked.host}, org) != nullptr;
  const Entry* found = Search(root_, asked, own ? org : "");
  if (found == nullptr) return {};
  Match match{found->api, {}};
  auto pattern = schema::PathSegments(found->uri);
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (!schema::IsPathParameter(pattern[i])) continue;
    match.params.emplace_back(pattern[i].substr(1, pattern[i].size() - 2), segments[i]);
  }
  return match;
}

}  // namespace dispatch::gateway
