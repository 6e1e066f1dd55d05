/* metrics: enums and names made from metrics.def. */
#ifndef WEIR_MODEL_METRICS_H
#define WEIR_MODEL_METRICS_H

enum weir_reason {
#define WEIR_REASON(name, help) WEIR_REASON_##name,
#include "model/metrics.def"
    WEIR_REASON_COUNT
};
/* In a byte that holds a reason: none. */
#define WEIR_REASON_NONE 0xff

enum weir_counter {
#define WEIR_COUNTER(name, unit, help) WEIR_COUNTER_##name,
#include "model/metrics.def"
    WEIR_COUNTER_COUNT
};

enum weir_stage {
#define WEIR_STAGE(name, help) WEIR_STAGE_##name,
#include "model/metrics.def"
    WEIR_STAGE_COUNT
};

/* Names and one-sentence helps by enum value. */
extern const char *const weir_reason_names[WEIR_REASON_COUNT];
extern const char *const weir_reason_helps[WEIR_REASON_COUNT];
extern const char *const weir_counter_names[WEIR_COUNTER_COUNT];
extern const char *const weir_counter_units[WEIR_COUNTER_COUNT];
extern const char *const weir_counter_helps[WEIR_COUNTER_COUNT];
extern const char *const weir_stage_names[WEIR_STAGE_COUNT];
extern const char *const weir_stage_helps[WEIR_STAGE_COUNT];

#endif
