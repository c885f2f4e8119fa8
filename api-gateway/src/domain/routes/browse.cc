#include <fmt/format.h>

#include <algorithm>

#include "api-gateway/src/domain/resource.h"
#include "api-gateway/src/domain/routes.h"
#include "schema/objects.h"

namespace dispatch::gateway {

namespace {

std::string ResourceOf(std::string_view topic) {
  return fmt::format("{}/{}", schema::kTopicKind, topic);
}

void Browse(const CallPtr& call, Backend& backend) {
  auto topic = FindNamed(*call, backend.tables.events, schema::kTopicKind, "/v1/topics");
  if (topic == nullptr) return;
  auto query = ReadBrowseQuery(call->request);
  if (!query.ok()) return call->Fail(query.error());
  backend.browser.Browse(
      call, topic->name, std::move(*query), [&backend, name = topic->name](const Call& during) {
        auto principal =
            backend.directory.Authenticate(during.request.headers.Get("Authorization"));
        return principal.ok() &&
               (*principal)->permissions.Allows(auth::kReadRuns, ResourceOf(name));
      });
}

// In the topic of ?topic=, or in all that the key may read.
void Search(const CallPtr& call, Backend& backend) {
  if (!backend.tables.events.ready()) {
    return call->Fail({Code::kUnavailable, "the gateway is still reading topics: try again"});
  }
  std::vector<std::string> topics;
  if (auto named = call->request.Query("topic")) {
    if (!call->Require({auth::kReadRuns}, ResourceOf(*named))) return;
    if (!backend.tables.events.Find(schema::kTopicKind, call->org + "/" + *named)) {
      return call->Fail({Code::kNotFound, fmt::format("topic {} does not exist in organisation {}",
                                                      *named, call->org)});
    }
    topics.push_back(*named);
  } else {
    backend.tables.events.ForEach(schema::kTopicKind, [&](const EntityPtr& topic) {
      bool readable = topic->org == call->org &&
                      call->principal->permissions.Allows(auth::kReadRuns, ResourceOf(topic->name));
      if (readable) topics.push_back(topic->name);
    });
    std::sort(topics.begin(), topics.end());
  }
  backend.browser.Search(call, std::move(topics), call->request.Param("id"));
}

}  // namespace

void AddBrowseRoutes(Gateway& gateway, Backend& backend) {
  // They show payloads, so that `read` is not enough.
  gateway.Add({"GET",
               "/v1/topics/{name}/events",
               {Access::Check::kObject, {auth::kReadRuns}, schema::kTopicKind},
               [&backend](CallPtr call) { Browse(call, backend); }});
  gateway.Add({"GET",
               "/v1/events/{id}",
               {Access::Check::kSome, {auth::kReadRuns}, schema::kTopicKind},
               [&backend](CallPtr call) { Search(call, backend); }});
}

}  // namespace dispatch::gateway
