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

#include "storage/log/replay.h"

struct weir_recovery_options {
    const char *directory;  /* DATA/log/0 */
    uint64_t segment_bytes; /* of a log that has no files yet */
    struct weir_io *io;
    /* definitions and state entries of the whole log, those of trimmed segments first */
    weir_log_define_fn *define; /* NULL: they are only counted */
    void *define_context;
    weir_log_state_fn *sender_state; /* may be NULL */
    void *sender_state_context;
};

/* Results for the caller that opens a log. */
struct weir_log_recovery {
    uint64_t first_offset; /* the log begins here; what was before is trimmed */
    uint64_t end_offset;
    uint64_t frames;
    uint64_t definitions;
    uint64_t bytes_torn;      /* after the last valid frame */
    uint64_t frames_corrupt;  /* below the highest watermark, and damaged files */
    uint64_t definitions_lost; /* numbers handed over under a name that says so */
    uint64_t dataplane_epoch; /* the newest seen; of an opened log its own, greater than any seen */
    int64_t time_max_ms;      /* newest sample time seen; INT64_MIN for an empty log */
};

/* Further results, with which the writer goes on. */
struct weir_recovered {
    struct weir_log_recovery reported; /* dataplane_epoch: the newest seen */
    uint64_t segment_bytes;        /* of this log, whatever the options say */
    uint64_t files;                /* segments that stay, trimmed ones included */
    uint64_t first_index;          /* segment the log begins at */
    uint64_t oldest_index;         /* of the files: below first_index where some are trimmed */
    uint64_t samples_trimmed;     /* of the log's life */
    uint64_t definitions_lost;     /* of those reported, the ones before first_index */
    uint32_t previous_crc;         /* for the next frame */
    uint64_t definitions_through;
};

/* Reads the log, hands over its definitions, syncs what it takes for durable, and removes segment
 * files after the end, which hold nothing. */
enum weir_err weir_recovery_run(const struct weir_recovery_options *options,
    struct weir_recovered *out) WEIR_MUST_USE;

#endif
