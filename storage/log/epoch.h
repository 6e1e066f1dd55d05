/* epoch: the small file <log directory>/epoch, what a log knows about itself ahead of its frames.
 *
 * Format:  docs/format/log.md
 * Threads: the opener of the log
 * Errors:  WEIR_NOT_FOUND no file (a new log); WEIR_CORRUPT bytes that do not check out
 */
#ifndef WEIR_STORAGE_LOG_EPOCH_H
#define WEIR_STORAGE_LOG_EPOCH_H

#include "storage/io/io.h"

#define WEIR_EPOCH_MAGIC UINT32_C(0x50454557) /* "WEEP" */
#define WEIR_EPOCH_VERSION 1

struct weir_epoch {
    uint32_t magic;
    uint32_t version;
    uint32_t stream;
    uint32_t reserved_a;
    uint64_t segment_bytes;   /* fixed when the log is made */
    uint64_t dataplane_epoch; /* the last one that was opened */
    /* durable for sure; frames at or behind it are of this epoch or later */
    uint64_t durable_offset;
    uint32_t reserved_b;
    uint32_t crc;             /* CRC-32C of everything before it */
};
_Static_assert(sizeof(struct weir_epoch) == 48, "epoch file size is part of the format");

enum weir_err weir_epoch_read(struct weir_io *io, const char *directory, uint32_t stream,
    struct weir_epoch *out) WEIR_MUST_USE;
/* Fills in magic, version and crc. */
enum weir_err weir_epoch_write(struct weir_io *io, const char *directory,
    struct weir_epoch epoch) WEIR_MUST_USE;

#endif
