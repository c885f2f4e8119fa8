#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "broker-adapters/state_table.h"
#include "schema/api_jwt.h"
#include "schema/api_object.h"

namespace dispatch::gateway {

/// The enabled APIs of all organisations, by path: a tree of segments, where a literal wins over a
/// parameter. Fed by the changes of function-manager's state. One owner.
class EndpointTable {
 public:
  struct Endpoint : schema::Api {
    schema::ApiJwt jwt;  // with `authentication: jwt`
  };
  using ApiPtr = std::shared_ptr<const Endpoint>;

  struct Match {
    ApiPtr api;  // null: none
    std::vector<std::pair<std::string, std::string>> params;
  };

  /// For StateTable::OnChanged. `entity` is null for a delete.
  void OnChanged(const std::string& kind, const std::string& key,
                 const std::shared_ptr<const broker::Entity>& entity);

  /// `host` as the field Host has it, `path` decoded. A path below an organisation's name that it
  /// serves is its own, whatever hosts others name. An API that names the host wins over one that
  /// names none. OPTIONS is for each API of the path.
  Match Find(std::string_view method, std::string_view host, std::string_view path) const;

  size_t size() const { return apis_.size(); }

 private:
  struct Entry {
    ApiPtr api;
    std::string uri;
  };
  struct Asked {
    std::vector<std::string> segments;
    std::string_view method;
    std::string host;
  };
  struct Node {
    std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
    std::unique_ptr<Node> parameter;
    std::vector<Entry> entries;
  };

  void Insert(const ApiPtr& api);
  static void Remove(Node& node, const ApiPtr& api);
  /// `org`: only its APIs; empty: all.
  static const Entry* Search(const Node& node, const Asked& asked, std::string_view org,
                             size_t depth = 0);

  std::unordered_map<std::string, ApiPtr> apis_;  // by org/name
  Node root_;
};

}  // namespace dispatch::gateway
