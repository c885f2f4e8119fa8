#pragma once

#include <string>

namespace dispatch::gateway {

/// api-gateway/openapi/*.yaml as JSON, made at build time by tools/openapi_embed.cc.
std::string OpenApiDocument();

}  // namespace dispatch::gateway
