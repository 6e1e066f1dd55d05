/* part_writer: streams series into a new part.
 *
 * Owns:    the file under its temporary name, until it is renamed or removed
 * Threads: one
 * Memory:  weir_part_writer_footprint() bytes from the caller; nothing is allocated
 * Errors:  WEIR_FULL where a limit is reached (finish the part, begin another with the same series)
 *          or the device is full; WEIR_IO, WEIR_NOMEM of the device. After any error but INVALID
 * the part can only be aborted; a failed sync is never tried again
 *
 *   open --> add (each series, in order) --> finish: footers, sync, rename, sync of the directory
 *     \______________________________________\--> abort: the file is removed
 */
#ifndef WEIR_STORAGE_PART_PART_WRITER_H
#define WEIR_STORAGE_PART_PART_WRITER_H

#include "base/err.h"
#include "storage/io/io.h"
#include "storage/part/part.h"

struct weir_part_writer_limits {
    uint32_t blocks_max;  /* 32 bytes each: about one for 60 KiB of the part */
    uint32_t columns_max; /* time columns that are known by their hash, 24 bytes each: a column that
                           * was forgotten is written again */
};

struct weir_part_writer_options {
    const char *path; /* the part's name; "<path>.tmp" until it is whole */
    struct weir_part_key key;
    uint64_t file_id; /* random, not 0 */
    enum weir_effort effort;
    bool statistics; /* write them; without for parts that are merged soon */
};

/* Samples of one series: times ascend, each once. Borrowed for the call. */
struct weir_part_samples {
    const int64_t *times_ms;
    const uint64_t *values; /* the next three as in storage/part/chunk.h */
    const int8_t *exponents;
    const uint8_t *kinds;
    size_t count; /* any; 0 adds nothing */
};

/* What only the maker of a part knows. ledger.live is filled by the writer. */
struct weir_part_origin {
    uint64_t log_from;
    uint64_t log_through;
    struct weir_part_ledger ledger;
};

struct weir_part_writer;
size_t weir_part_writer_footprint(const struct weir_part_writer_limits *limits);
/* memory: weir_part_writer_footprint() bytes, aligned to WEIR_IO_ALIGN. io is kept; nothing else of
 * it is in flight while the writer is called. */
struct weir_part_writer *weir_part_writer_init(
    void *memory, const struct weir_part_writer_limits *limits, struct weir_io *io);

enum weir_err weir_part_writer_open(
    struct weir_part_writer *writer, const struct weir_part_writer_options *options) WEIR_MUST_USE;
/* Adds samples of a series: after its last add (then they follow in time), or in the part's order.
 * WEIR_INVALID for a time outside the partition or a shard outside the key: nothing was added. */
enum weir_err weir_part_writer_add(struct weir_part_writer *writer, uint32_t shard, uint32_t local,
    const struct weir_part_samples *samples) WEIR_MUST_USE;
/* Bytes that the part has so far; after finish those of the file. */
uint64_t weir_part_writer_bytes(const struct weir_part_writer *writer);
/* Makes the part whole and durable under its name. footer: as written; may be NULL. */
enum weir_err weir_part_writer_finish(struct weir_part_writer *writer,
    const struct weir_part_origin *origin, struct weir_part_footer *footer) WEIR_MUST_USE;
/* Closes and removes the file, if one is open. */
void weir_part_writer_abort(struct weir_part_writer *writer);

#endif
