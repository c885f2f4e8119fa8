#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/result.h"

namespace dispatch {

/// A time zone of the IANA database, as ICU has it. All times are whole seconds since the Unix
/// epoch. Immutable.
class Zone {
 public:
  /// "Europe/Berlin", "UTC". kInvalidArgument for a name that is none.
  static Result<Zone> Named(const std::string& name);

  /// Seconds that local time is ahead of UTC from `utc` on.
  int64_t OffsetAt(int64_t utc) const;
  /// The first second after `utc` from which the offset may be another one.
  std::optional<int64_t> NextTransition(int64_t utc) const;

 private:
  struct Impl;
  explicit Zone(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

  std::shared_ptr<const Impl> impl_;
};

}  // namespace dispatch
