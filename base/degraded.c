#include "base/degraded.h"

const char *const weir_degraded_names[WEIR_DEGRADED_COUNT] = {
#define WEIR_DEGRADED(name, help) #name,
#include "base/degraded.def"
};

const char *const weir_degraded_helps[WEIR_DEGRADED_COUNT] = {
#define WEIR_DEGRADED(name, help) help,
#include "base/degraded.def"
};
