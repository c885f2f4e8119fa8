#include "api-gateway/src/domain/resource.h"
#include "api-gateway/src/domain/routes.h"
#include "schema/objects.h"

namespace dispatch::gateway {

void AddFunctionRoutes(Gateway& gateway, Backend& backend) {
  AddResource(gateway, backend.services,
              {.kind = schema::kFunctionKind,
               .paths = {"/v1/function", "/v1/functions"},
               .owner = {kFunctionManager, backend.tables.functions},
               .delete_shows_object = true});
}

}  // namespace dispatch::gateway
