/* recovery: from segment files to where the log goes on.
 *
 * Format:  docs/format/log.md, which states the rules this follows
 * Threads: the opener of the log
 * Memory:  a 1 MiB window, one frame, and a list of frames not yet known to be durable
 * Errors:  WEIR_CORRUPT where files contradict each other and a person must decide; damage inside
 *          files, and lost or short files before the last, are contained and counted
 */
#ifndef WEIR_STORAGE_LOG_RECOVERY_H
#define WEIR_STORAGE_LOG_RECOVERY_H

#include "storage/log/log.h"

struct weir_recovered {
    struct weir_log_recovery reported; /* dataplane_epoch: the newest seen */
    uint64_t segment_bytes;        /* of this log, whatever the options say */
    uint64_t files;                /* segments that stay, trimmed ones included */
    uint64_t first_index;          /* segment the log begins at */
    uint64_t oldest_index;         /* of the files: below first_index where some are trimmed */
    uint64_t samples_trimmed;     /* of the log's life */
    uint64_t definitions_lost;     /* of those told, the ones before first_index */
    uint32_t previous_crc;         /* for the next frame */
    uint64_t definitions_through;
};

/* Reads the log, hands over its definitions, syncs what it takes for durable, and removes segment
 * files behind the end, which hold nothing. Only directory, segment_bytes, io and define of the
 * options are used. */
enum weir_err weir_recovery_run(const struct weir_log_options *options,
    struct weir_recovered *out) WEIR_MUST_USE;

#endif
