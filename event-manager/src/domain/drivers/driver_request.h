#pragma once

#include <string>

#include "common/json.h"
#include "common/result.h"
#include "event-manager/src/domain/drivers/driver_spec.h"

namespace dispatch {

/// Checks a driver type as a user describes it and makes the document that is stored.
/// kUnprocessable naming every faulty field.
Result<json::object> DriverTypeDocument(const json::object& body);

/// The same of a driver. What depends on its type is checked by FillDriver.
Result<json::object> DriverDocument(const json::object& body);

/// What a driver's type adds: `image`, `expose`, and the check of its config. `type` is the
/// document of the type, or that of a built-in one.
Status FillDriver(const json::object& type, json::object& driver);

/// VMware's words, 400.
Error NoSuchType(const std::string& driver, const std::string& type);

/// Where the events of a webhook are taken, by the gateway.
std::string WebhookPath(const std::string& org, const std::string& name);

}  // namespace dispatch
