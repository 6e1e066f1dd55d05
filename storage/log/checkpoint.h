/* checkpoint: the file <log directory>/checkpoint: where the log begins, and what outlives the
 * segments before that.
 *
 * Format:  docs/format/log.md
 * Threads: one writer; readers of other processes see the old file or the new one, whole
 * Memory:  the state entries of a checkpoint, allocated
 * Errors:  WEIR_NOT_FOUND no file (the log begins at 0); WEIR_CORRUPT bytes that do not check out
 */
#ifndef WEIR_STORAGE_LOG_CHECKPOINT_H
#define WEIR_STORAGE_LOG_CHECKPOINT_H

#include "storage/io/io.h"
#include "storage/log/format.h"

/* The head; where sender_state is not NULL the state entries too, for the caller to free (NULL
 * where there are none). WEIR_NOT_FOUND and WEIR_CORRUPT leave a head of zeros. */
enum weir_err weir_checkpoint_read(struct weir_io *io, const char *directory, uint32_t stream,
    struct weir_checkpoint *out, uint8_t **sender_state) WEIR_MUST_USE;
/* Writes head and state_bytes of state entries in place of the file; magic, version and checksums
 * are filled in. */
enum weir_err weir_checkpoint_write(struct weir_io *io, const char *directory,
    struct weir_checkpoint checkpoint, const uint8_t *sender_state) WEIR_MUST_USE;

/* State entries are lists as in frames (model/sender_state/state.h), each after its size in 8
 * bytes. */

/* The list at *at, moves *at past it. WEIR_END at size. */
enum weir_err weir_checkpoint_state_next(const uint8_t *sender_state, size_t size, size_t *at,
    const uint8_t **list, size_t *list_size) WEIR_MUST_USE;

#endif
