#pragma once

#include <cstdint>

namespace dispatch {

/// What one driver that is a program may take, an executable or an image.
inline constexpr int64_t kDriverMemoryBytes = int64_t{1} << 30;
inline constexpr int64_t kDriverTmpBytes = int64_t{64} << 20;
inline constexpr int32_t kDriverCpuMillis = 1000;
inline constexpr int32_t kDriverProcesses = 512;

}  // namespace dispatch
