#pragma once

#include <string>

#include "common/json.h"
#include "common/result.h"

namespace dispatch {

/// Checks a base image as a user describes it and makes the document that is stored: name,
/// dockerUrl (or imageURL, as the Knative line calls it), language, groups, tags. A language that
/// there is no runtime for is no fault here: its base image is ERROR. kUnprocessable naming every
/// faulty field.
Result<json::object> BaseImageDocument(const std::string& body);

/// The same of an image: name, baseImageName (or baseImage), systemDependencies,
/// runtimeDependencies.manifest, groups, tags.
Result<json::object> ImageDocument(const std::string& body);

}  // namespace dispatch
