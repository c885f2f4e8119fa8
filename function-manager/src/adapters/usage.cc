#include "function-manager/src/adapters/usage.h"

#include <fmt/format.h>

#include "schema/objects.h"

namespace dispatch {

namespace {

constexpr char kReference[] = R"(
  select name from entities where kind = $1 and org = $2 and document->>$3 = $4
  order by name limit 1)";
constexpr char kFunctionWith[] = R"(
  select name from entities where kind = 'function' and org = $1
    and (document->'secrets' @> to_jsonb($2::text)
      or document->'next'->'secrets' @> to_jsonb($2::text))
  order by name limit 1)";

std::string User(const std::string& kind, const std::string& name) {
  return fmt::format("{} '{}'", kind, name);
}

}  // namespace

void FindUser(Loop& loop, const broker::StateTable& events, const std::string& org,
              std::function<bool(const json::object& document)> uses,
              std::function<void(const std::string& user)> done, int looks) {
  std::string user;
  for (const char* kind : {schema::kSubscriptionKind, schema::kDriverKind}) {
    events.ForEach(kind, [&](const auto& entity) {
      if (entity->org == org && uses(entity->document)) user = User(kind, entity->name);
    });
  }
  if (user.empty() || looks <= 1) return done(user);
  loop.After(std::chrono::milliseconds(200), [&loop, &events, org, uses = std::move(uses),
                                              done = std::move(done), looks]() mutable {
    FindUser(loop, events, org, std::move(uses), std::move(done), looks - 1);
  });
}

Result<std::string> FindReference(pg::Transaction& tx, const std::string& kind,
                                  const std::string& org, const std::string& field,
                                  const std::string& name) {
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kReference, {kind, org, field, name}));
  return rows.empty() ? std::string() : User(kind, rows[0].Text(0));
}

Result<std::string> FindFunctionWith(pg::Transaction& tx, const std::string& org,
                                     const std::string& secret) {
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kFunctionWith, {org, secret}));
  return rows.empty() ? std::string() : User(schema::kFunctionKind, rows[0].Text(0));
}

Error InUse(const std::string& kind, const std::string& name, const std::string& user) {
  return {Code::kConflict,
          fmt::format("{} '{}' is used by {}; delete that first", kind, name, user)};
}

}  // namespace dispatch
