#pragma once

#include <string>

namespace dispatch {

/// Names this process so that it can be told from all others of this machine, those with its number
/// before and after it included: for what outlives it, to be found by who comes after.
std::string ProcessName();

/// False when the process of that name is gone for certain. True also for a name that is none of
/// ours, or of a namespace of process numbers that is not this one's.
bool MayLive(const std::string& name);

}  // namespace dispatch
