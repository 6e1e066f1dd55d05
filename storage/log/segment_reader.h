/* segment_reader: the segment files of a log as one range of offsets, for recovery.
 *
 * Threads: one
 * Memory:  a window of 1 MiB and the largest frame asked for
 * Errors:  what a file before the last does not hold reads as zeros and is listed in damages;
 *          WEIR_CORRUPT for a last one of a wrong size, WEIR_INVALID for one that is no regular
 *          file
 * Limits:  WEIR_SEGMENTS_MISSING_MAX files
 */
#ifndef WEIR_STORAGE_LOG_SEGMENT_READER_H
#define WEIR_STORAGE_LOG_SEGMENT_READER_H

#include "storage/io/io.h"

/* More than that are no damage but another directory, or a stray file. */
#define WEIR_SEGMENTS_MISSING_MAX 1024

/* A segment before the last whose file is missing or has a wrong size. */
struct weir_segment_damage {
    uint64_t index;
    uint64_t bytes; /* of the file */
    bool missing;
    bool counted; /* recovery's: a gap has reported it */
};

struct weir_segment_reader {
    struct weir_io *io;
    const char *directory;
    uint64_t segment_bytes;
    uint64_t first; /* segment the log begins at */
    uint64_t *indexes; /* of the files there are from there on, ascending */
    size_t listed;
    size_t trimmed; /* files before that */
    uint64_t oldest; /* index of the first of those, or first */
    uint64_t count; /* segments from 0 on, without a last one that was never used */
    struct weir_segment_damage *damages; /* as found at open, ascending */
    size_t damage_count;
    size_t damage_capacity;
    uint64_t opened; /* index of the open file */
    weir_io_file file;
    uint8_t *window;
    uint64_t window_at; /* stream offset */
    size_t window_size; /* valid bytes */
    uint8_t *frame;
    size_t frame_capacity;
};

/* first: segment the log begins at, by its checkpoint; files before it are no part of it.
 * *segment_bytes: what the epoch file or the checkpoint says, or 0; then filled from the files,
 * still 0 where there are none. */
enum weir_err weir_segment_reader_open(struct weir_segment_reader *reader, struct weir_io *io,
    const char *directory, uint64_t first, uint64_t *segment_bytes) WEIR_MUST_USE;
void weir_segment_reader_close(struct weir_segment_reader *reader);

/* Stream offset of the first byte, and after the last. */
uint64_t weir_segment_reader_begin(const struct weir_segment_reader *reader);
uint64_t weir_segment_reader_end(const struct weir_segment_reader *reader);

/* The page (WEIR_IO_ALIGN bytes) at an offset; valid until the next call. step is how far the
 * last one moved on: small steps read ahead by the window, large ones read the page alone. */
enum weir_err weir_segment_reader_page(struct weir_segment_reader *reader, uint64_t offset,
    uint64_t step, const uint8_t **page) WEIR_MUST_USE;
/* `bytes` at an offset, within one segment; valid until the next call. */
enum weir_err weir_segment_reader_frame(struct weir_segment_reader *reader, uint64_t offset,
    uint64_t bytes, const uint8_t **frame) WEIR_MUST_USE;
/* The same into memory of the caller. */
enum weir_err weir_segment_reader_read(struct weir_segment_reader *reader, uint64_t offset,
    uint8_t *data, size_t bytes) WEIR_MUST_USE;
/* Drops what was read ahead, for a reader of a log that is being written. */
void weir_segment_reader_forget(struct weir_segment_reader *reader);
/* Makes [from, to) durable: writes it again as it reads, and syncs it. After a sync that failed the
 * kernel may show bytes that never reached the device, and another sync alone would say "ok". */
enum weir_err weir_segment_reader_persist(struct weir_segment_reader *reader, uint64_t from,
    uint64_t to) WEIR_MUST_USE;

#endif
