/* epoch_keeper: writes the epoch file when a log has come to rest. After a kill, recovery can then
 * distinguish damage to the last frames from a torn tail.
 *
 * Owns:    the epoch file while the log is open
 * Threads: one of its own, beside the log writer's
 * Memory:  its struct
 * Errors:  events; WEIR_FULL and WEIR_NOMEM are tried again, later each time, others never
 *
 *   look: durable offset has moved -> resting: it has not moved for rest_ns -> written: once
 *
 * Never while the log is written to: the file costs two syncs and a rename.
 */
#ifndef WEIR_STORAGE_LOG_UPKEEP_EPOCH_KEEPER_H
#define WEIR_STORAGE_LOG_UPKEEP_EPOCH_KEEPER_H

#include "storage/log/format.h"

#include <stdatomic.h>
#include <stdbool.h>

#define WEIR_EPOCH_REST_NS INT64_C(1000000000)

struct weir_epoch_keeper {
    const char *directory; /* of the log; borrowed */
    struct weir_io *io;    /* its own; any back end */
    const _Atomic uint64_t *durable; /* offset, as the log writer publishes it */
    struct weir_epoch epoch;         /* as the file is now */
    uint64_t seen;         /* durable offset of the last look */
    int64_t seen_ns;       /* when it was met first */
    uint32_t failures;     /* one after the other */
    int64_t retry_ns;
    bool stopped;
};

/* epoch: as the log was opened with. */
void weir_epoch_keeper_init(struct weir_epoch_keeper *keeper, const char *directory,
    struct weir_io *io, const _Atomic uint64_t *durable, const struct weir_epoch *epoch);
/* One look, at least every WEIR_EPOCH_REST_NS. True where the file was written. */
bool weir_epoch_keeper_run_once(struct weir_epoch_keeper *keeper, int64_t now_ns);

#endif
