#include "api-gateway/src/domain/resource.h"
#include "api-gateway/src/domain/routes.h"
#include "schema/objects.h"

namespace dispatch::gateway {

void AddTopicRoutes(Gateway& gateway, Backend& backend) {
  AddResource(gateway, backend.services,
              {.kind = schema::kTopicKind,
               .paths = {"/v1/topics"},
               .owner = {kEventManager, backend.tables.events},
               .update_flags = {"allowReorder"}});
}

}  // namespace dispatch::gateway
