/* format: the files of a log: their names, their layouts, and the place that an offset names.
 *
 * Readers, recovery and tools include it, and need nothing of the writer.
 *
 * Format:  docs/format/log.md, which is normative; frames: storage/frame/frame.h
 * Threads: any; no state
 *
 *   DATA/log/<stream>/
 *     0000000000000006.seg   segments of one size: frames one after the other
 *     epoch                  struct weir_epoch
 *     checkpoint.0 .1        struct weir_checkpoint, then lists of state entries: twice
 *     definitions            chunks: struct weir_definitions_chunk, a list, zeros to 4,096
 *
 *   offset = segment index * segment_bytes + place in the file
 *
 * The chain of frames is in their headers: offset, bytes, dataplane_epoch, durable_watermark,
 * definitions_through, previous_crc. storage/log/chain.h says which header may follow which.
 */
#ifndef WEIR_STORAGE_LOG_FORMAT_H
#define WEIR_STORAGE_LOG_FORMAT_H

#include "base/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_LOG_STREAM 0 /* the only one */

#define WEIR_SEGMENT_BYTES_DEFAULT (UINT64_C(64) << 20)
/* Holds the largest frame there can be (a full batch and its definitions: below 8 MiB). Smaller
 * segments are for tests with smaller batches. */
#define WEIR_SEGMENT_BYTES_MIN (UINT64_C(16) << 20)

/* Names in the log's directory. Every other name there is left alone. */
#define WEIR_LOG_EPOCH "epoch"
#define WEIR_LOG_CHECKPOINT_0 "checkpoint.0" /* the newer whole one counts */
#define WEIR_LOG_CHECKPOINT_1 "checkpoint.1"
#define WEIR_LOG_CHECKPOINT_OLD "checkpoint" /* version 1, of which there was one */
#define WEIR_LOG_DEFINITIONS "definitions"
#define WEIR_SEGMENT_NAME_SIZE sizeof "0123456789abcdef.seg" /* with the final zero */

/* Path of a named file. WEIR_INVALID where it is too long. */
enum weir_err weir_log_path(const char *directory, const char *name, char path[PATH_MAX])
    WEIR_MUST_USE;
/* Path of a segment's file. A log is opened only where the directory leaves room for the name. */
void weir_log_segment_path(const char *directory, uint64_t segment_index, char *path, size_t size);
/* False where the name is not a segment's. */
bool weir_log_segment_parse(const char *name, uint64_t *segment_index);

/* ---- epoch: what a log knows about itself ahead of its frames ---- */

#define WEIR_EPOCH_MAGIC UINT32_C(0x50454557) /* "WEEP" */
/* Version 1 has the same fields; 2 says that frames of version 2 may follow. */
#define WEIR_EPOCH_VERSION 2

struct weir_epoch {
    uint32_t magic;
    uint32_t version;
    uint32_t stream;
    uint32_t reserved_a;
    uint64_t segment_bytes;   /* fixed when the log is made */
    uint64_t dataplane_epoch; /* the last one that was opened */
    /* everything below is durable; a frame at or after it counts only if it is of this epoch or
     * of a later one */
    uint64_t durable_offset;
    uint32_t reserved_b;
    uint32_t crc;             /* CRC-32C of everything before it */
};
_Static_assert(sizeof(struct weir_epoch) == 48, "epoch file size is part of the format");

/* ---- checkpoint: where the log begins, where a start goes on, and what outlives the segments
 * before that ---- */

#define WEIR_CHECKPOINT_MAGIC UINT32_C(0x50434557) /* "WECP" */
#define WEIR_CHECKPOINT_VERSION 2

struct weir_checkpoint {
    uint32_t magic;
    uint32_t version;
    uint32_t stream;
    uint32_t previous_known;      /* 1: previous_crc counts; 0 after damage */
    uint64_t generation;          /* grows with each checkpoint */
    uint64_t segment_bytes;
    uint64_t first_index;         /* the log begins at this segment */
    uint64_t dataplane_epoch;     /* of the last frame before it */
    uint64_t definitions_through; /* series numbers below it are in the file `definitions` */
    uint64_t definitions_bytes;   /* of that file; bytes after them have no meaning */
    uint64_t samples_trimmed;     /* samples of all frames before first_index */
    int64_t time_max_ms;          /* newest sample time before it; INT64_MIN for none */
    uint32_t previous_crc;        /* header_crc of the last frame before first_index */
    uint32_t reserved_a;
    /* The resume point: a start walks the frames from there on. At or after first_index. */
    uint64_t resume_offset;
    uint64_t resume_epoch;        /* of the last frame before it */
    uint64_t resume_definitions;  /* series numbers below it are defined before it */
    int64_t resume_time_max_ms;   /* newest sample time before it; INT64_MIN for none */
    uint32_t resume_crc;          /* header_crc of the last frame before it */
    uint32_t resume_known;        /* 1: resume_crc counts; 0 after damage */
    uint64_t frames_corrupt;      /* damaged stretches from first_index to there */
    uint64_t key_check[2];        /* of the key that made the fingerprints */
    uint64_t state_bytes;         /* state entries of all frames before it, after this head */
    uint32_t fingerprint_bytes;   /* then the last fingerprints, which fill no page of their file */
    uint32_t content_crc;         /* CRC-32C of both */
    uint32_t reserved_b;
    uint32_t crc;                 /* CRC-32C of everything before it */
};
_Static_assert(sizeof(struct weir_checkpoint) == 176, "the head's size is part of the format");

/* Version 1 had no resume point: it is where the log begins. */
struct weir_checkpoint_v1 {
    uint32_t magic;
    uint32_t version;
    uint32_t stream;
    uint32_t previous_known;
    uint64_t segment_bytes;
    uint64_t first_index;
    uint64_t dataplane_epoch;
    uint64_t definitions_through;
    uint64_t definitions_bytes;
    uint64_t samples_trimmed;
    int64_t time_max_ms;
    uint64_t state_bytes;
    uint32_t previous_crc;
    uint32_t state_crc; /* CRC-32C of the state entries */
    uint32_t reserved;
    uint32_t crc;
};
_Static_assert(sizeof(struct weir_checkpoint_v1) == 96, "the head's size is part of the format");

/* ---- definitions: those of trimmed segments, in chunks ---- */

#define WEIR_DEFINITIONS_MAGIC UINT32_C(0x46444557) /* "WEDF" */
#define WEIR_DEFINITIONS_VERSION 1
#define WEIR_DEFINITIONS_CHUNK_BYTES (1u << 20) /* with header and padding, at most */

struct weir_definitions_chunk {
    uint32_t magic;
    uint32_t version;
    uint64_t first; /* number of the first definition; the others follow without gap */
    uint32_t count;
    uint32_t bytes; /* of the list */
    uint32_t crc;   /* of the list, seeded with stream and its place in the file */
    uint32_t header_crc; /* of everything before it, seeded with stream and the header's place */
};
_Static_assert(sizeof(struct weir_definitions_chunk) == 32, "size is part of the format");

#endif
