/* salvage: bytes of damaged blocks that a merge met and left out, kept for a person to look at.
 *
 * Owns:    DATA/aside: <number>.log-<offset of the frame>-<place in it>.block
 *                      <number>.part-<file id>-<place in it>.block
 * Threads: the keeper's main thread
 * Memory:  710 KiB, allocated at open
 * Errors:  reported; a merge goes on without them
 * Limits:  the oldest files go first, by number. A file counts as whole pages of 4,096 bytes
 */
#ifndef WEIR_STORAGE_KEEPER_SALVAGE_H
#define WEIR_STORAGE_KEEPER_SALVAGE_H

#include "storage/io/io.h"

#define WEIR_SALVAGE_BYTES_MAX (UINT64_C(64) << 20)
#define WEIR_SALVAGE_BLOCK_MAX 65536 /* of a larger one its first bytes are kept */

enum weir_salvage_kind { WEIR_SALVAGE_LOG, WEIR_SALVAGE_PART };

/* Where a block was. */
struct weir_salvage_block {
    enum weir_salvage_kind kind;
    uint64_t source; /* offset of the frame in the log, or file id of the part */
    uint64_t place;  /* in the frame, or in the file */
};

struct weir_salvage;
/* Files that are there already count. A folder that cannot be made or read is reported: then
 * nothing is kept, and nothing goes. WEIR_NOMEM. */
enum weir_err weir_salvage_open(struct weir_io *io, const char *directory, uint64_t bytes_max,
    struct weir_salvage **out) WEIR_MUST_USE;
void weir_salvage_close(struct weir_salvage *salvage);

/* Keeps the bytes of a block, unless they are kept already. salvage may be NULL: nothing is kept.
 */
void weir_salvage_keep(struct weir_salvage *salvage, const struct weir_salvage_block *block,
    const uint8_t *bytes, size_t size);
/* The same, read from a file at block->place. */
void weir_salvage_keep_from(struct weir_salvage *salvage, const struct weir_salvage_block *block,
    const char *path, size_t size);

#endif
