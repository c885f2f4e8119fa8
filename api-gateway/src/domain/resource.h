#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api-gateway/src/domain/gateway.h"
#include "api-gateway/src/domain/service_client.h"
#include "api-gateway/src/domain/views.h"

namespace dispatch::gateway {

/// What the routes of one kind of object have in common and where they differ.
struct Resource {
  std::string kind;                // of its state records; also of the policies' resources
  std::vector<std::string> paths;  // the first is the canonical one
  Owner owner;
  std::vector<std::string_view> read_actions = {auth::kRead};
  std::vector<std::string_view> write_actions = {auth::kWrite};
  bool delete_shows_object = false;  // VMware's 200 with the object, else 204

  /// Objects of kind organization are their own organisation, and only global keys make and remove
  /// them; the others are the call's.
  bool is_organization = false;
  /// More rules for the body of a create or update; answers the call itself when they do not hold.
  std::function<bool(Call& call, const json::object& body)> check_body = {};
  /// Changes the body of a create or update before it goes to the owner.
  std::function<Status(json::object& body)> prepare = {};
  /// Sends what is too large for the request to the owner before it, and goes on with what is left
  /// of the body; answers the call itself when that fails.
  using GoOn = std::function<void(json::object body)>;
  std::function<void(const CallPtr& call, json::object body, GoOn go_on)> stage = {};
  /// Takes a checked create over that is to make nothing, as a dry run: true when it did.
  std::function<bool(const CallPtr& call, const json::object& body)> take_create = {};
  int created_status = 201;  // VMware's APIs answer 200
  int updated_status = 200;  // VMware's secrets answer 201
  /// Whether the object of the path may be deleted; answers the call itself when it may not.
  std::function<bool(Call& call, const std::string& name)> check_delete = {};
  /// Corrects the API form of each object that is sent by what other objects say.
  std::function<void(const Call& call, json::object& form)> correct = {};
  /// Adds to the API form of one object that is read before it is sent.
  std::function<void(const CallPtr& call, json::object form,
                     std::function<void(json::object)> done)>
      enrich = {};
  /// Query parameters of an update that are put into its body when they are "true".
  std::vector<std::string> update_flags = {};
  /// Objects that every organisation has without making them, until it makes one of that name: by
  /// name, with their document.
  std::vector<std::pair<std::string, json::object>> built_in = {};
  /// The owner makes the name; the body's `name` is only for people.
  bool server_names = false;
};

/// GET and POST on each path, GET, PUT and DELETE on {name} below: reads from the owner's table,
/// mutations `<kind>.create|update|delete` to the owner.
void AddResource(Gateway& gateway, ServiceClient& services, Resource resource);

/// The object that a call's {name} names; answers 404 and gives null when there is none.
EntityPtr FindNamed(Call& call, const broker::StateTable& table, const std::string& kind,
                    const std::string& canonical_path);

}  // namespace dispatch::gateway
