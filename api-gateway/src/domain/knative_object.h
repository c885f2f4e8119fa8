#pragma once

#include <string_view>

#include "common/json.h"

namespace dispatch::gateway {

/// Objects as VMware's Knative line has them: other names for some fields (imageURL, baseImage,
/// meta.name) and fields of its own, which its clients always send and which say nothing here.

/// Rewrites a request's body of one of VMware's kinds to the names of the other lines. What is
/// there under both names stays as it is.
void TakeKnativeFields(std::string_view kind, json::object& body);

/// Adds the Knative line's names to what is answered: each client finds its own.
void AddKnativeFields(json::object& form);

}  // namespace dispatch::gateway
