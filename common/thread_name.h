#pragma once

namespace dispatch {

/// What ps, top and debuggers call the calling thread: at most 15 characters. It has its process'
/// name otherwise, as the loop's thread does.
void NameThread(const char* name);

}  // namespace dispatch
