#include "common/pg/pool.h"
