#pragma once

namespace dispatch {

/// Logs the broken invariant and aborts. Use DISPATCH_CHECK.
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

}  // namespace dispatch

/// For what cannot happen unless this program is wrong; on in every build. What untrusted input or
/// the environment can cause is an Error instead.
#define DISPATCH_CHECK(condition)                                              \
  do {                                                                         \
    if (!(condition)) ::dispatch::CheckFailed(#condition, __FILE__, __LINE__); \
  } while (false)
