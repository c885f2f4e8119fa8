#include "api-gateway/src/domain/resource.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "api-gateway/src/domain/knative_object.h"
#include "common/config.h"

namespace dispatch::gateway {

namespace {

using ResourcePtr = std::shared_ptr<const Resource>;

// Which organisation's object a name means.
std::string OrgOf(const Call& call, const Resource& resource, const std::string& name) {
  return resource.is_organization ? name : call.org;
}

// Only a global key sees other organisations.
bool MaySee(const Call& call, const Resource& resource, const broker::Entity& entity) {
  return entity.org == call.org || (resource.is_organization && call.principal->global);
}

EntityPtr BuiltIn(const Call& call, const Resource& resource,
                  const std::pair<std::string, json::object>& object) {
  auto entity = std::make_shared<broker::Entity>();
  entity->kind = resource.kind;
  entity->org = call.org;
  entity->name = object.first;
  entity->document = object.second;
  return entity;
}

EntityPtr FindBuiltIn(const Call& call, const Resource& resource, const std::string& name) {
  for (const auto& object : resource.built_in) {
    if (object.first == name) return BuiltIn(call, resource, object);
  }
  return nullptr;
}

EntityPtr Find(Call& call, const Resource& resource) {
  std::string name = call.request.Param("name");
  auto entity = resource.owner.table.Find(resource.kind,
                                          fmt::format("{}/{}", OrgOf(call, resource, name), name));
  if (entity != nullptr && MaySee(call, resource, *entity)) return entity;
  if (auto built_in = FindBuiltIn(call, resource, name)) return built_in;
  call.Fail({Code::kNotFound, fmt::format("{} {} does not exist: create it with POST {}",
                                          resource.kind, name, resource.paths[0])});
  return nullptr;
}

void SendObject(const CallPtr& call, const Resource& resource, int status, json::object form) {
  call->AddHeader("ETag", EntityTag(json::GetInt(form, "revision")));
  if (call->request.method == "POST") {
    std::string name = json::GetString(form, resource.server_names ? "id" : "name");
    call->AddHeader("Location", fmt::format("{}/{}", resource.paths[0], name));
  }
  call->SendJson(status, json::value(std::move(form)));
}

constexpr Duration kWait = std::chrono::seconds(30);
constexpr Duration kLongestWait = std::chrono::minutes(5);

// "?wait=READY&timeout=30s": how long the answer may wait; nothing: it does not.
Result<std::optional<Duration>> ReadWait(const http::Request& request) {
  auto wait = request.Query("wait");
  if (!wait) return std::optional<Duration>();
  auto fault = [](const char* field, std::string reason) {
    return Error{
        Code::kInvalidArgument, fmt::format("{} {}", field, reason), false, {{field, reason}}};
  };
  if (*wait != "READY") return fault("wait", "must be READY");
  auto text = request.Query("timeout");
  auto time = text ? ParseDuration(*text) : Result<Duration>(kWait);
  if (time.ok() && *time > Duration::zero() && *time <= kLongestWait) return std::optional(*time);
  return fault("timeout", "must be from 1ms to 5m, as in 30s");
}

bool HasSettled(const json::object& form) {
  std::string status = json::GetString(form, "status");
  return status.empty() || status == "READY" || status == "ERROR";
}

// What an answer waits for: an object that is READY or in ERROR, or gone, or the end of its time.
struct Awaited {
  CallPtr call;
  ResourcePtr resource;
  std::string key;
  Duration time;
  json::object form;
  std::function<void(json::object)> done;
  bool seen = false;  // in the table; before, word of its creation is on its way
};

// Where the object stands; null: it is gone.
EntityPtr LookAgain(Awaited& awaited) {
  const Resource& resource = *awaited.resource;
  auto entity = resource.owner.table.Find(resource.kind, awaited.key);
  if (entity == nullptr) return nullptr;
  awaited.seen = true;
  awaited.form = ApiForm(*entity);
  if (resource.correct) resource.correct(*awaited.call, awaited.form);
  return entity;
}

void Finish(Awaited& awaited, bool there) {
  auto done = std::exchange(awaited.done, nullptr);
  if (there || !awaited.seen) return done(std::move(awaited.form));
  awaited.call->Fail({Code::kNotFound, "it was deleted meanwhile"});
}

void Await(const std::shared_ptr<Awaited>& awaited) {
  if (awaited->done == nullptr) return;  // its time is over
  auto entity = LookAgain(*awaited);
  bool gone = entity == nullptr && awaited->seen;
  if (gone || HasSettled(awaited->form)) return Finish(*awaited, !gone);
  awaited->resource->owner.table.WaitFor(awaited->resource->kind, awaited->key,
                                         entity == nullptr ? 1 : entity->version + 1, awaited->time,
                                         [awaited](bool) { Await(awaited); });
}

// Runs `done` at once unless the caller asked to wait.
void AwaitSettled(const CallPtr& call, const ResourcePtr& resource, json::object form,
                  std::function<void(json::object)> done) {
  auto wait = ReadWait(call->request);
  if (!wait.ok()) return call->Fail(wait.error());
  if (!*wait || HasSettled(form)) return done(std::move(form));
  std::string name = json::GetString(form, resource->server_names ? "id" : "name");
  auto awaited = std::make_shared<Awaited>(
      Awaited{call, resource, fmt::format("{}/{}", OrgOf(*call, *resource, name), name), **wait,
              std::move(form), std::move(done)});
  // A version that never comes.
  resource->owner.table.WaitFor(resource->kind, awaited->key, std::numeric_limits<int64_t>::max(),
                                **wait, [awaited](bool) {
                                  if (awaited->done == nullptr) return;
                                  Finish(*awaited, LookAgain(*awaited) != nullptr);
                                });
  Await(awaited);
}

void List(const CallPtr& call, const Resource& resource) {
  std::vector<EntityPtr> found;
  auto look = [&](const EntityPtr& entity) {
    if (!MaySee(*call, resource, *entity)) return;
    std::string object = fmt::format("{}/{}", resource.kind, entity->name);
    for (std::string_view action : resource.read_actions) {
      if (call->principal->permissions.Allows(action, object)) {
        found.push_back(entity);
        return;
      }
    }
  };
  resource.owner.table.ForEach(resource.kind, look);
  for (const auto& object : resource.built_in) {
    std::string key = fmt::format("{}/{}", call->org, object.first);
    if (resource.owner.table.Find(resource.kind, key) == nullptr) {
      look(BuiltIn(*call, resource, object));
    }
  }
  SendList(call, std::move(found), [&](json::object& form) {
    if (resource.correct) resource.correct(*call, form);
  });
}

void Get(const CallPtr& call, const ResourcePtr& resource) {
  EntityPtr entity = Find(*call, *resource);
  if (entity == nullptr) return;
  json::object form = ApiForm(*entity);
  if (resource->correct) resource->correct(*call, form);
  AwaitSettled(call, resource, std::move(form), [call, resource](json::object settled) {
    if (!resource->enrich) return SendObject(call, *resource, 200, std::move(settled));
    resource->enrich(call, std::move(settled), [call, resource](json::object enriched) {
      SendObject(call, *resource, 200, std::move(enriched));
    });
  });
}

// What the owner answered, or the cache's form when it is not older: they are the same but for what
// only a create shows, a key's secret.
json::object Outcome(const broker::RpcReply& reply) {
  json::object form = reply.body.is_object() ? reply.body.get_object() : json::object();
  form.erase("internal");
  if (!form.contains("revision")) form["revision"] = reply.state_version;
  AddKnativeFields(form);
  return form;
}

// Organisations are made and removed from above, and touch none but themselves.
bool MayChange(Call& call, const Resource& resource) {
  if (!resource.is_organization || call.principal->global) return true;
  if (call.request.method == "PUT" && call.request.Param("name") == call.org) return true;
  call.Fail({Code::kPermissionDenied,
             "only a key that may act in every organisation changes organisations"});
  return false;
}

bool Prepare(Call& call, const Resource& resource, json::object& body) {
  Status prepared = resource.prepare ? resource.prepare(body) : OkStatus();
  if (!prepared.ok()) call.Fail(prepared.error());
  return prepared.ok();
}

void Change(const CallPtr& call, const ResourcePtr& resource, ServiceClient& services,
            const char* verb, int status, json::object body) {
  auto go_on = [call, resource, &services, verb, status](json::object staged) {
    services.Change(call, resource->owner, resource->kind + verb, std::move(staged),
                    [call, resource, status](broker::RpcReply reply) {
                      json::object form = Outcome(reply);
                      if (resource->correct) resource->correct(*call, form);
                      AwaitSettled(call, resource, std::move(form),
                                   [call, resource, status](json::object settled) {
                                     SendObject(call, *resource, status, std::move(settled));
                                   });
                    });
  };
  if (resource->stage) return resource->stage(call, std::move(body), std::move(go_on));
  go_on(std::move(body));
}

void Create(const CallPtr& call, const ResourcePtr& resource, ServiceClient& services) {
  auto body = call->Body();
  if (!body.ok()) return call->Fail(body.error());
  TakeKnativeFields(resource->kind, *body);
  std::string name = json::GetString(*body, "name");
  std::string object = resource->server_names ? "*" : name;
  if (!call->Require(resource->write_actions, fmt::format("{}/{}", resource->kind, object))) return;
  if (!MayChange(*call, *resource)) return;
  if (auto wait = ReadWait(call->request); !wait.ok()) return call->Fail(wait.error());
  if (resource->check_body && !resource->check_body(*call, *body)) return;
  if (!Prepare(*call, *resource, *body)) return;
  if (resource->take_create && resource->take_create(call, *body)) return;
  Change(call, resource, services, ".create", resource->created_status, std::move(*body));
}

// Puts the name of the path into the body; false when the body names another object.
bool NameBody(const Resource& resource, const std::string& name, json::object* body) {
  std::string given = json::GetString(*body, "name", name);
  if (resource.server_names && given != name) {
    // `name` is then what people call it.
    (*body)["id"] = name;
    return true;
  }
  if (resource.server_names) body->erase("id");
  (*body)["name"] = name;
  return given == name;
}

void Update(const CallPtr& call, const ResourcePtr& resource, ServiceClient& services) {
  auto body = call->Body();
  if (!body.ok()) return call->Fail(body.error());
  TakeKnativeFields(resource->kind, *body);
  std::string name = call->request.Param("name");
  if (!NameBody(*resource, name, &*body)) {
    return call->Fail(
        {Code::kInvalidArgument,
         fmt::format("the path names {}, the body another: a name cannot change", name),
         false,
         {{"name", "must be the name in the path, or left out"}}});
  }
  if (!MayChange(*call, *resource)) return;
  if (auto wait = ReadWait(call->request); !wait.ok()) return call->Fail(wait.error());
  for (const auto& flag : resource->update_flags) {
    body->erase(flag);
    if (call->request.Query(flag) == "true") (*body)[flag] = true;
  }
  if (resource->check_body && !resource->check_body(*call, *body)) return;
  if (!Prepare(*call, *resource, *body)) return;
  Change(call, resource, services, ".update", resource->updated_status, std::move(*body));
}

void Delete(const CallPtr& call, const ResourcePtr& resource, ServiceClient& services) {
  if (!MayChange(*call, *resource)) return;
  std::string name = call->request.Param("name");
  if (resource->check_delete && !resource->check_delete(*call, name)) return;
  services.Change(call, resource->owner, resource->kind + ".delete", json::object{{"name", name}},
                  [call, resource](broker::RpcReply reply) {
                    if (!resource->delete_shows_object) return call->Send({204, {}, ""});
                    call->SendJson(200, json::value(Outcome(reply)));
                  });
}

}  // namespace

EntityPtr FindNamed(Call& call, const broker::StateTable& table, const std::string& kind,
                    const std::string& canonical_path) {
  std::string name = call.request.Param("name");
  auto entity = table.Find(kind, fmt::format("{}/{}", call.org, name));
  if (entity == nullptr) {
    call.Fail({Code::kNotFound, fmt::format("{} {} does not exist: create it with POST {}", kind,
                                            name, canonical_path)});
  }
  return entity;
}

void AddResource(Gateway& gateway, ServiceClient& services, Resource definition) {
  using Check = Access::Check;
  auto resource = std::make_shared<const Resource>(std::move(definition));
  const Access read{Check::kObject, resource->read_actions, resource->kind};
  const Access write{Check::kObject, resource->write_actions, resource->kind};
  const Access list{Check::kSome, resource->read_actions, resource->kind};
  for (const std::string& path : resource->paths) {
    const std::string item = path + "/{name}";
    gateway.Add({"GET", path, list, [resource](CallPtr call) { List(call, *resource); }});
    gateway.Add({"POST", path, {Check::kKey}, [resource, &services](CallPtr call) {
                   Create(call, resource, services);
                 }});
    gateway.Add({"GET", item, read, [resource](CallPtr call) { Get(call, resource); }});
    gateway.Add({"PUT", item, write,
                 [resource, &services](CallPtr call) { Update(call, resource, services); }});
    gateway.Add({"DELETE", item, write,
                 [resource, &services](CallPtr call) { Delete(call, resource, services); }});
  }
}

}  // namespace dispatch::gateway
