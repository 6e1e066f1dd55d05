#include "model/metrics.h"

const char *const weir_reason_names[WEIR_REASON_COUNT] = {
#define WEIR_REASON(name, help) #name,
#include "model/metrics.def"
};

const char *const weir_reason_helps[WEIR_REASON_COUNT] = {
#define WEIR_REASON(name, help) help,
#include "model/metrics.def"
};

const char *const weir_counter_names[WEIR_COUNTER_COUNT] = {
#define WEIR_COUNTER(name, unit, help) #name,
#include "model/metrics.def"
};

const char *const weir_counter_units[WEIR_COUNTER_COUNT] = {
#define WEIR_COUNTER(name, unit, help) unit,
#include "model/metrics.def"
};

const char *const weir_counter_helps[WEIR_COUNTER_COUNT] = {
#define WEIR_COUNTER(name, unit, help) help,
#include "model/metrics.def"
};

const char *const weir_stage_names[WEIR_STAGE_COUNT] = {
#define WEIR_STAGE(name, help) #name,
#include "model/metrics.def"
};

const char *const weir_stage_helps[WEIR_STAGE_COUNT] = {
#define WEIR_STAGE(name, help) help,
#include "model/metrics.def"
};
