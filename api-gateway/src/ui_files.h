#pragma once

#include <vector>

#include "api-gateway/src/domain/ui_site.h"

namespace dispatch::gateway {

/// The dashboard as ui/ was built (ui/embed.mjs); empty when the build was made without it
/// (DISPATCH_UI=OFF).
std::vector<UiFile> UiFiles();

}  // namespace dispatch::gateway
