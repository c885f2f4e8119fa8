#include "api-gateway/src/domain/resource.h"
#include "api-gateway/src/domain/routes.h"
#include "schema/api_object.h"

namespace dispatch::gateway {

void AddApiRoutes(Gateway& gateway, Backend& backend) {
  AddResource(gateway, backend.services,
              {.kind = schema::kApiKind,
               .paths = {"/v1/api", "/v1/endpoint"},
               .owner = {kFunctionManager, backend.tables.functions},
               .delete_shows_object = true,
               .created_status = 200});
}

}  // namespace dispatch::gateway
