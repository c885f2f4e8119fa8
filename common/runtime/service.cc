#include "common/runtime/service.h"
