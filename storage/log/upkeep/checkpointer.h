/* checkpointer: trims the oldest segments of a log, once a checkpoint carries what must outlive
 * them: series definitions, and state entries of senders.
 *
 * Owns:    the files checkpoint and definitions below <data>/log/<stream>/ (docs/format/log.md)
 * Threads: one of its own, beside the log writer's; they share struct weir_trim
 * Memory:  allocated for each checkpoint: the folded state, a chunk of definitions, 1 MiB of window
 * Errors:  WEIR_FULL and WEIR_NOMEM (memory, descriptors) are tried again, later each time; after
 *          any other nothing is trimmed any more
 *
 *   walk [first, first + count): headers; of frames with definitions or state entries the front
 *     definitions -> appended, synced;  state entries -> folded;  checkpoint -> replaced;  trimmed
 *
 * Nothing is kept from one checkpoint to the next: what has failed is begun anew.
 */
#ifndef WEIR_STORAGE_LOG_UPKEEP_CHECKPOINTER_H
#define WEIR_STORAGE_LOG_UPKEEP_CHECKPOINTER_H

#include "base/clock.h"
#include "storage/io/io.h"
#include "storage/log/writer/trim.h"

#include <stdbool.h>

struct weir_checkpointer_options {
    const char *directory; /* DATA/log/0; borrowed for the checkpointer's life */
    struct weir_io *io;    /* its own; any back end */
    const struct weir_clock *clock; /* NULL: the machine's */
    struct weir_trim *trim;
    /* What is at or above it is not in parts yet, and not trimmed; the log refuses meanwhile. NULL:
     * nobody makes parts. */
    const _Atomic uint64_t *keeper_offset;
    const _Atomic bool *stop; /* a checkpoint being made is given up where it is set; or NULL */
};
struct weir_checkpointer;

/* Turns trimming of the log on. WEIR_INVALID for a log of fewer than WEIR_TRIM_SEGMENTS_MIN
 * segments: the log keeps the size of segments it was made with, whatever is configured. */
enum weir_err weir_checkpointer_new(const struct weir_checkpointer_options *options,
    struct weir_checkpointer **out) WEIR_MUST_USE;
void weir_checkpointer_free(struct weir_checkpointer *checkpointer);

/* How long to wait after that many failures one after the other (1 or more): each try reads all
 * that is to be trimmed. 1 s, doubled each time, 30 s at most. */
int64_t weir_checkpointer_retry_ns(uint32_t failures);

/* Makes one checkpoint where the log wants one and there is something to trim. True if it
 * did; a failure is an event. */
bool weir_checkpointer_run_once(struct weir_checkpointer *checkpointer);

#endif
