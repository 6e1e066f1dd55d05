/* degraded: what an instance that works is degraded by at the moment.
 *
 * Threads: any thread that may write the table sets, everyone reads
 * Memory:  the caller's; zero bytes are a valid empty table
 *
 * A reason is set each time it is met: for each item that is refused, or once a second. It counts
 * as present until WEIR_DEGRADED_LASTS_MS after it was last met. No call takes it back. A minute is
 * longer than the usual interval between two scrapes, so none of them misses it.
 *
 * Times are of the monotonic clock (weir_mono_ns() / 1000000), which all processes of a machine
 * share. Relaxed throughout: a time says nothing about other memory.
 */
#ifndef WEIR_MODEL_DEGRADED_H
#define WEIR_MODEL_DEGRADED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_DEGRADED_LASTS_MS INT64_C(60000)

enum weir_degraded_reason {
#define WEIR_DEGRADED(name, help) WEIR_DEGRADED_##name,
#include "model/degraded.def"
    WEIR_DEGRADED_COUNT
};

/* Names and one-sentence helps by enum value. */
extern const char *const weir_degraded_names[WEIR_DEGRADED_COUNT];
extern const char *const weir_degraded_helps[WEIR_DEGRADED_COUNT];

/* The dataplane writes the one in the shared region; the control plane has its own. */
struct weir_degraded {
    _Atomic int64_t at_ms[WEIR_DEGRADED_COUNT]; /* when it was met last; 0: never */
};

/* The reason is met now. A store. `degraded` may be NULL, for parts that run without a table. */
static inline void
weir_degraded_set(struct weir_degraded *degraded, enum weir_degraded_reason reason, int64_t now_ms)
{
    if (degraded != NULL)
        atomic_store_explicit(&degraded->at_ms[reason], now_ms, memory_order_relaxed);
}

/* Whether the reason is present. */
static inline bool
weir_degraded_by(const struct weir_degraded *degraded, enum weir_degraded_reason reason,
    int64_t now_ms)
{
    int64_t at_ms = atomic_load_explicit(&degraded->at_ms[reason], memory_order_relaxed);
    return at_ms != 0 && now_ms - at_ms < WEIR_DEGRADED_LASTS_MS;
}

#endif
