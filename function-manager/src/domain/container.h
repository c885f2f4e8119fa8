#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/json.h"
#include "common/result.h"
#include "function-manager/src/domain/runner.h"

/// What an OCI engine is told and tells, in Docker's API (decision 0021).
namespace dispatch {

/// The port of a function's server in its container, VMware's.
inline constexpr uint16_t kContainerPort = 8080;
/// The label that names whose container it is.
inline constexpr char kOwnerLabel[] = "io.dispatch.owner";

/// kUnprocessable unless it is a reference of an image: registry/name:tag, name@sha256:...
Status CheckImageReference(const std::string& reference);

/// The body that creates the container of a version (`image` is a reference, `source` a directory
/// of this machine): read-only but for a /tmp, no privileges to be had, limits of memory, processor
/// and processes, no network unless the version has one; the function's source at /function.
json::object ContainerSpec(const FunctionVersion& version, const std::string& owner);

/// Takes apart what an engine sends of a container's output (attach, without a terminal): frames of
/// a byte that is 1 for stdout and 2 for stderr, three of nothing, four of length (big-endian), and
/// the text.
class LogFrames {
 public:
  using Piece = std::function<void(bool err, std::string_view text)>;
  explicit LogFrames(Piece piece) : piece_(std::move(piece)) {}

  /// False for bytes that are no frames.
  bool Append(std::string_view data);

 private:
  Piece piece_;
  std::string header_;
  size_t left_ = 0;  // of the frame under way
  bool err_ = false;
};

}  // namespace dispatch
