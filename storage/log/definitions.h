/* definitions: the file <log directory>/definitions: those of segments that were trimmed.
 *
 * Format:  docs/format/log.md
 * Threads: one writer, which only appends; readers go by the bytes their checkpoint names
 * Memory:  a chunk, allocated
 * Errors:  damage in a chunk costs its numbers, which count as lost; WEIR_CORRUPT where the file is
 *          missing or shorter than the checkpoint says: a person must decide
 *
 *   | chunk header, 32 | list of definitions (model/labels.h) | zeros to 4,096 |  ...
 */
#ifndef WEIR_STORAGE_LOG_DEFINITIONS_H
#define WEIR_STORAGE_LOG_DEFINITIONS_H

#include "storage/log/format.h"
#include "storage/log/replay.h"

/* Hands over, from the first `bytes` bytes of the file, numbers [replay->through, through). */
enum weir_err weir_definitions_read(struct weir_io *io, const char *directory, uint64_t bytes,
    uint64_t through, struct weir_replay *replay) WEIR_MUST_USE;

struct weir_definitions_writer {
    struct weir_io *io; /* nothing else is in flight on it */
    weir_io_file file;
    uint64_t bytes; /* of the file that count: where the next chunk goes */
    uint64_t synced; /* of those */
    uint64_t first; /* number of the first of the open chunk */
    uint32_t count; /* in the open chunk */
    size_t used;    /* of its list */
    uint8_t *chunk;
};

/* Appends after the first `bytes` bytes; the file is made where bytes is 0 and there is none. */
enum weir_err weir_definitions_open(struct weir_definitions_writer *writer, struct weir_io *io,
    const char *directory, uint64_t bytes) WEIR_MUST_USE;
/* Numbers ascend by one. */
enum weir_err weir_definitions_add(struct weir_definitions_writer *writer, uint64_t number,
    const uint8_t *labels, size_t size) WEIR_MUST_USE;
/* Writes what is left and makes all of it durable; writer->bytes then counts it. */
enum weir_err weir_definitions_finish(struct weir_definitions_writer *writer) WEIR_MUST_USE;
void weir_definitions_close(struct weir_definitions_writer *writer);

#endif
