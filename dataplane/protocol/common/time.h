/* parse_time: timestamps of the wire to milliseconds, alike for all protocols.
 *
 * auto judges each timestamp by its absolute value: below 10^11 seconds, below 10^14
 * milliseconds, below 10^17 microseconds, else nanoseconds. So each unit covers the years 1973
 * to 5138 without overlap.
 *
 * Threads: any; no state
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_COMMON_TIME_H
#define WEIR_DATAPLANE_PROTOCOL_COMMON_TIME_H

#include "base/assert.h"
#include "dataplane/protocol/parse.h"

static inline enum weir_time_unit
weir_time_unit_of(int64_t time)
{
    uint64_t magnitude = time < 0 ? -(uint64_t)time : (uint64_t)time;
    if (magnitude < UINT64_C(100000000000))
        return WEIR_TIME_S;
    if (magnitude < UINT64_C(100000000000000))
        return WEIR_TIME_MS;
    return magnitude < UINT64_C(100000000000000000) ? WEIR_TIME_US : WEIR_TIME_NS;
}

static inline int64_t
weir_floor_divide(int64_t value, int64_t divisor)
{
    return value / divisor - (value % divisor < 0);
}

/* False where the milliseconds do not fit. */
static inline bool
weir_time_ms(int64_t time, enum weir_time_unit unit, int64_t *ms)
{
    if (unit == WEIR_TIME_AUTO)
        unit = weir_time_unit_of(time);
    switch (unit) {
    case WEIR_TIME_S:
        return !__builtin_mul_overflow(time, 1000, ms);
    case WEIR_TIME_US:
        *ms = weir_floor_divide(time, 1000);
        return true;
    case WEIR_TIME_NS:
        *ms = weir_floor_divide(time, 1000000);
        return true;
    case WEIR_TIME_AUTO:
    case WEIR_TIME_MS:
        break;
    }
    *ms = time;
    return true;
}

/* The plausibility rule: WEIR_REASON_NONE, time_past or time_future. */
static inline uint8_t
weir_time_reason(const struct weir_parse_context *context, int64_t time_ms)
{
    if (WEIR_UNLIKELY(time_ms < context->time_min_ms))
        return WEIR_REASON_time_past;
    if (WEIR_UNLIKELY(time_ms > context->time_max_ms))
        return WEIR_REASON_time_future;
    return WEIR_REASON_NONE;
}

#endif
