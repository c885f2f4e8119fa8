#include "common/thread_name.h"

#include <pthread.h>

namespace dispatch {

void NameThread(const char* name) { pthread_setname_np(pthread_self(), name); }

}  // namespace dispatch
