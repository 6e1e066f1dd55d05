/* checkpoint: the files <log directory>/checkpoint.0 and .1: where the log begins, where a start
 * goes on, and what outlives the frames before that.
 *
 * Format:  docs/format/log.md
 * Threads: one writer; readers of other processes see the old file or the new one, whole
 * Memory:  the state entries of a checkpoint, allocated
 * Errors:  WEIR_NOT_FOUND no file (the log begins at 0); WEIR_CORRUPT neither copy checks out
 *
 * Both copies are written and synced before anything is given up because of them. A reader takes
 * the newer one that is whole: damage to one costs nothing.
 */
#ifndef WEIR_STORAGE_LOG_CHECKPOINT_H
#define WEIR_STORAGE_LOG_CHECKPOINT_H

#include "storage/io/io.h"
#include "storage/log/format.h"

/* The head; where content is not NULL also what follows it, for the caller to free (NULL where
 * there is none): state_bytes of state entries, then fingerprint_bytes of fingerprints. A damaged
 * copy is reported. WEIR_NOT_FOUND and WEIR_CORRUPT leave a head of zeros. A checkpoint of version
 * 1 comes as one of this version. */
enum weir_err weir_checkpoint_read(struct weir_io *io, const char *directory, uint32_t stream,
    struct weir_checkpoint *out, uint8_t **content) WEIR_MUST_USE;
/* Writes both copies, of head and content, and removes the file of version 1. Magic, version and
 * checksums are filled in; generation is greater than the last one's. */
enum weir_err weir_checkpoint_write(struct weir_io *io, const char *directory,
    struct weir_checkpoint checkpoint, const uint8_t *content) WEIR_MUST_USE;

/* State entries are lists as in frames (model/sender_state/state.h), each after its size in 8
 * bytes. */

/* The list at *at, moves *at past it. WEIR_END at size. */
enum weir_err weir_checkpoint_state_next(const uint8_t *sender_state, size_t size, size_t *at,
    const uint8_t **list, size_t *list_size) WEIR_MUST_USE;

#endif
