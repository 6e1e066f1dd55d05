/* checkpoint: the file <log directory>/checkpoint: where the log begins, and what outlives the
 * segments before that.
 *
 * Format:  docs/format/log.md
 * Threads: one writer; readers of other processes see the old file or the new one, whole
 * Memory:  the marks of a checkpoint, allocated
 * Errors:  WEIR_NOT_FOUND no file (the log begins at 0); WEIR_CORRUPT bytes that do not check out
 */
#ifndef WEIR_STORAGE_LOG_CHECKPOINT_H
#define WEIR_STORAGE_LOG_CHECKPOINT_H

#include "storage/io/io.h"

#define WEIR_CHECKPOINT_MAGIC UINT32_C(0x50434557) /* "WECP" */
#define WEIR_CHECKPOINT_VERSION 1

struct weir_checkpoint {
    uint32_t magic;
    uint32_t version;
    uint32_t stream;
    uint32_t previous_known;      /* 1: previous_crc counts; 0 behind damage */
    uint64_t segment_bytes;
    uint64_t first_index;         /* the log begins at this segment */
    uint64_t dataplane_epoch;     /* of the last frame before it */
    uint64_t definitions_through; /* series numbers below it are in the file `definitions` */
    uint64_t definitions_bytes;   /* of that file; what lies behind has no meaning */
    uint64_t samples_trimmed;    /* samples of all frames before first_index */
    int64_t time_max_ms;          /* newest sample time before it; INT64_MIN for none */
    uint64_t mark_bytes;          /* behind this head */
    uint32_t previous_crc;        /* header_crc of the last frame before first_index */
    uint32_t mark_crc;            /* CRC-32C of the marks */
    uint32_t reserved;
    uint32_t crc;                 /* CRC-32C of everything before it */
};
_Static_assert(sizeof(struct weir_checkpoint) == 96, "the head's size is part of the format");

/* The head; where marks is not NULL the marks too, for the caller to free (NULL where there are
 * none). WEIR_NOT_FOUND and WEIR_CORRUPT leave a head of zeros. */
enum weir_err weir_checkpoint_read(struct weir_io *io, const char *directory, uint32_t stream,
    struct weir_checkpoint *out, uint8_t **marks) WEIR_MUST_USE;
/* Writes head and mark_bytes of marks in place of the file; magic, version and checksums are
 * filled in. */
enum weir_err weir_checkpoint_write(struct weir_io *io, const char *directory,
    struct weir_checkpoint checkpoint, const uint8_t *marks) WEIR_MUST_USE;

/* Marks are lists as in frames (model/marks/marks.h), each behind its size in 8 bytes. */

/* The list at *at, moves *at behind it. WEIR_END at size. */
enum weir_err weir_checkpoint_marks_next(const uint8_t *marks, size_t size, size_t *at,
    const uint8_t **list, size_t *list_size) WEIR_MUST_USE;

#endif
