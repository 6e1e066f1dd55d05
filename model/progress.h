/* progress: how far the log writer is, for producers that owe someone an answer.
 *
 * Threads: the log writer stores, workers load. A batch is durable when its producer's cursor has
 * reached its number: then `ok ... OFFSET` may be answered with any later durable_offset.
 */
#ifndef WEIR_MODEL_PROGRESS_H
#define WEIR_MODEL_PROGRESS_H

#include "model/ledger.h"
#include "model/metrics.h"
#include "model/shared.h"

#include <stdbool.h>

#define WEIR_PRODUCER_REGISTRAR 0
#define WEIR_PRODUCER_WORKER(worker) (1 + (worker))
#define WEIR_PRODUCERS_MAX (1 + WEIR_WORKERS_MAX)

struct weir_progress {
    /* the release in publish_stored (storage/log/writer/writer.c) pairs with the acquire in
     * weir_progress_durable */
    alignas(WEIR_CACHE_LINE) _Atomic uint64_t durable_batch[WEIR_PRODUCERS_MAX];
    /* stored before the cursors that it covers; relaxed, as all below, which carry no data */
    _Atomic uint64_t durable_offset;
    /* the writer waits for definitions below this number: the registrar flushes at once */
    _Atomic uint64_t definitions_wanted;
    /* bit w: a sender of worker w waits for an answer; set and cleared by that worker */
    _Atomic uint64_t ack_waiting;
    _Atomic uint32_t state; /* enum weir_ingest_state, as in the shared region */
};

static inline bool
weir_progress_durable(const struct weir_progress *progress, uint32_t producer, uint64_t batch)
{
    /* acquire pairs with the release in publish_stored (storage/log/writer/writer.c) */
    return atomic_load_explicit(&progress->durable_batch[producer], memory_order_acquire) >= batch;
}

/* Reason by which all is refused as long as the log takes nothing, or WEIR_REASON_NONE. */
static inline uint8_t
weir_progress_refusal(const struct weir_progress *progress)
{
    /* relaxed: a record more or less on either side of the change does not matter */
    switch (atomic_load_explicit(&progress->state, memory_order_relaxed)) {
    case WEIR_INGEST_DISK_FULL:
        return WEIR_REASON_disk_full;
    case WEIR_INGEST_IO_ERROR:
        return WEIR_REASON_io_error;
    default:
        return WEIR_REASON_NONE;
    }
}

#endif
