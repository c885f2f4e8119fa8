#pragma once

#include "common/clock.h"
#include "common/json.h"
#include "common/result.h"

namespace dispatch::identity {

/// Checks what users send and makes the documents that are stored, without status, times and what
/// only the service knows. Errors are kUnprocessable and name every faulty field.

/// {name, tags}.
Result<json::object> OrganizationDocument(const json::object& request);

/// {name, scopes, expiresAt, global}. `expiresAt` must lie ahead of `now`.
Result<json::object> ApiKeyDocument(const json::object& request, WallTime now);

/// The fields of an API key that `request` changes: name, scopes, expiresAt. What it leaves out
/// stays as it is. The key itself is named by `id`, or by `name` when there is no `id`: then the
/// name does not change.
Result<json::object> ApiKeyChanges(const json::object& request, WallTime now);

/// VMware's form: {name, publicKey: base64 of PEM, domain (read-only)}, and audience: what `aud` of
/// its tokens must have, where it is given.
Result<json::object> ServiceAccountDocument(const json::object& request);

/// VMware's form: {name, global, rules: [{subjects, actions, resources}]}, no list empty.
Result<json::object> PolicyDocument(const json::object& request);

}  // namespace dispatch::identity
