#include "common/http/message.h"
