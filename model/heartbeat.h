/* heartbeat: when each thread of the dataplane was last seen to go on.
 *
 * Owns:    nothing; the times are in the shared region
 * Threads: each of the dataplane's stores its own, everyone loads
 * Limits:  WEIR_HEARTBEATS_MAX threads
 *
 * Times are of the monotonic clock, which all processes of a machine share; 0: no such thread runs.
 * Relaxed throughout: a time says nothing about other memory.
 */
#ifndef WEIR_MODEL_HEARTBEAT_H
#define WEIR_MODEL_HEARTBEAT_H

#include "model/ledger.h"

#include <stdint.h>

#define WEIR_HEARTBEATS_MAX (WEIR_WORKERS_MAX + 2)
/* A thread that runs says so this often; it sleeps for half of that at most. */
#define WEIR_HEARTBEAT_NS INT64_C(100000000)
/* Older: the dataplane hangs. A slow sync or rename takes a fraction of it. */
#define WEIR_HEARTBEAT_HANGS_NS INT64_C(3000000000)

struct weir_heartbeats {
    _Atomic int64_t at_ns[WEIR_HEARTBEATS_MAX];
};

/* Age of the oldest heartbeat of a thread that runs; 0 where none does. */
static inline int64_t
weir_heartbeat_age_ns(const struct weir_heartbeats *heartbeats, int64_t now_ns)
{
    int64_t oldest_ns = now_ns;
    for (int i = 0; i < WEIR_HEARTBEATS_MAX; i++) {
        int64_t at_ns = atomic_load_explicit(&heartbeats->at_ns[i], memory_order_relaxed);
        if (at_ns != 0 && at_ns < oldest_ns)
            oldest_ns = at_ns;
    }
    return now_ns - oldest_ns;
}

#endif
