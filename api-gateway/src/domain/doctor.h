#pragma once

#include "api-gateway/src/domain/routes.h"

namespace dispatch::gateway {

/// GET /v1/doctor: what the services find when they look at themselves, Kafka and PostgreSQL.
void AddDoctorRoutes(Gateway& gateway, Backend& backend, const Version& version);

}  // namespace dispatch::gateway
