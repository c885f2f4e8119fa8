#pragma once

#include <string>

#include "api-gateway/src/domain/routes.h"

namespace dispatch::gateway {

/// GET /v1/doctor: what the services find when they look at themselves, Kafka and PostgreSQL.
/// `certificate_file` is that of the endpoints; empty: no TLS.
void AddDoctorRoutes(Gateway& gateway, Backend& backend, const Version& version,
                     std::string certificate_file);

}  // namespace dispatch::gateway
