#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api-gateway/src/domain/call.h"
#include "broker-adapters/state_table.h"
#include "common/json.h"

namespace dispatch::gateway {

using EntityPtr = std::shared_ptr<const broker::Entity>;

/// The API form of an entity: its document without what is internal, with `id` and `revision`.
json::object ApiForm(const broker::Entity& entity);

/// `"<version>"`
std::string EntityTag(int64_t version);
/// `<kind>/<org>/<name>@<version>`, for X-Dispatch-Version.
std::string VersionMark(const std::string& kind, const std::string& key, int64_t version);

/// The If-Match field: nothing when it is missing or `*`; kInvalidArgument for other forms than one
/// strong tag of ours.
Result<std::optional<int64_t>> ReadIfMatch(const http::Request& request);

/// What ?tags=key=value asks for, one each; kInvalidArgument naming what is none.
Result<std::vector<std::pair<std::string, std::string>>> AskedTags(const http::Request& request);
/// VMware's clients write the tag Application and ask for application or app.
bool IsApplicationTag(std::string_view key);

/// A page of `entities` as the caller asks for it: ?tags=key=value (all must be there), sorted by
/// name, ?limit= and ?cursor= with a Link to the next page (RFC 8288). `correct`: on each API form.
void SendList(const CallPtr& call, std::vector<EntityPtr> entities,
              const std::function<void(json::object&)>& correct = {});

/// ?limit= between 1 and `max`; nothing when it is not given.
Result<std::optional<int64_t>> ReadLimit(const http::Request& request, int64_t max);

/// Adds the Link field to the page after `cursor`, which goes into the query as `parameter`.
void LinkNext(Call& call, std::string_view cursor, std::string_view parameter = "cursor");

}  // namespace dispatch::gateway
