#include "api-gateway/src/domain/resource.h"
#include "api-gateway/src/domain/routes.h"
#include "schema/objects.h"

namespace dispatch::gateway {

void AddApplicationRoutes(Gateway& gateway, Backend& backend) {
  AddResource(gateway, backend.services,
              {.kind = schema::kApplicationKind,
               .paths = {"/v1/application"},
               .owner = {kFunctionManager, backend.tables.functions},
               .delete_shows_object = true});
}

}  // namespace dispatch::gateway
