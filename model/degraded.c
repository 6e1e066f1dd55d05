#include "model/degraded.h"

const char *const weir_degraded_names[WEIR_DEGRADED_COUNT] = {
#define WEIR_DEGRADED(name, help) #name,
#include "model/degraded.def"
};

const char *const weir_degraded_helps[WEIR_DEGRADED_COUNT] = {
#define WEIR_DEGRADED(name, help) help,
#include "model/degraded.def"
};
