#pragma once

#include <string>

namespace dispatch::internal {

/// What Prometheus expects every process to tell, read from /proc when asked for, and build info.
class ProcessMetrics {
 public:
  ProcessMetrics(const std::string& service, const std::string& version);

  /// Call before the registry is serialized.
  void Update();

 private:
  double cpu_seen_ = 0;
};

/// Lets the process open as many files as the system allows: a connection is a file.
void RaiseOpenFileLimit();

}  // namespace dispatch::internal
