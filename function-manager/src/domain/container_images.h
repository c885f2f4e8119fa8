#pragma once

#include <functional>
#include <string>

#include "common/result.h"

namespace dispatch {

/// The images of containers. One owner; never calls back inside a call.
class ContainerImages {
 public:
  virtual ~ContainerImages() = default;
  /// What names exactly the image that `reference` means now; pulled when it is not there.
  /// kUnprocessable: there is none of that name, or nothing to run containers with.
  virtual void Find(const std::string& reference,
                    std::function<void(Result<std::string>)> done) = 0;
};

}  // namespace dispatch
