#pragma once

#include <string>

#include "common/result.h"

namespace dispatch::container {

/// The value of X-Registry-Auth (Docker's API) for the pull of an image, by what `docker login`
/// writes: {"auths": {"registry:port": {"auth": base64 of user:password} | {"username", "password"}
/// | {"identitytoken"}}}. Empty when the file has nothing for that registry. kInvalidArgument says
/// what is wrong with it, and never a credential.
Result<std::string> RegistryAuth(const std::string& docker_config, const std::string& reference);

/// Reads such a file and does the same; no file of an empty name. Only its owner may read it.
Result<std::string> RegistryAuthOfFile(const std::string& path, const std::string& reference);

/// Where the image is pulled from: "registry:port", "docker.io" for what names none.
std::string RegistryOf(const std::string& reference);

}  // namespace dispatch::container
