/* rebuild: makes the manifest anew from the footers of parts, where neither copy checks out.
 *
 * Threads: the keeper's main thread, at open; it has the lock of the store
 * Memory:  160 bytes a file, and one footer, while it runs
 * Errors:  WEIR_UNSUPPORTED a part is a later program's; WEIR_IO, WEIR_FULL, WEIR_NOMEM of the
 *          device; WEIR_LIMIT more parts than a manifest has room for. Nothing is saved then, and
 *          the next try begins anew
 *
 * Nothing is removed. A file that is no part, or whose partition overlaps another, would be removed
 * at the next open, because the new manifest does not name it: it gets the name <id>.part.kept.
 *
 * What the footers prove (E: log offset below which everything was committed; it is not known):
 *
 *   1. Units follow each other in the log: each begins at the keeper offset of its time. So no unit
 *      that was committed reaches beyond the beginning of a later one.
 *   2. A part of level 2 or 3 is made of committed parts alone: E is at least its log_through, and
 *      no committed unit reaches beyond it from before.
 *   3. The log is trimmed below E alone: E is at least the log's first offset. Where the shared
 *      region outlived the last keeper, E is at least the offset published there.
 *   4. A keeper that was killed inside a unit leaves some of its parts, or all, with the largest
 *      log_from of all parts of level 1. If 2 or 3 say that E lies beyond that log_from, then a
 *      unit from there was committed, and its parts count. Else the log still holds its frames,
 *      because it was not trimmed up to there: its parts are left out, and it is merged again.
 *   5. A part holds all samples that its log range has of its partition and class, less those that
 *      its ledger names. So of two of them one is obsolete if its range lies inside the other's
 *      and its level is not higher. A unit that was made twice left two parts of the same range:
 *      the larger file id stays, as they hold the same samples.
 *
 * The ledger is the sum of the footers' ledgers: samples that went with whole parts (by age, or
 * because a part is damaged) are not known. It closes.
 */
#ifndef WEIR_STORAGE_KEEPER_REBUILD_H
#define WEIR_STORAGE_KEEPER_REBUILD_H

#include "storage/io/io.h"
#include "storage/manifest/manifest.h"

struct weir_rebuild_options {
    struct weir_io *io;
    const char *store;   /* DATA/store */
    uint64_t log_first;  /* the log holds every frame from here on */
    uint64_t committed;  /* keeper offset in the shared region; 0: not known */
    uint64_t generation; /* the largest that a reader may know; 0: none does */
};

/* Fills the manifest, which is empty, and saves it. Without parts it is that of a new store. */
enum weir_err weir_manifest_rebuild(
    struct weir_manifest *manifest, const struct weir_rebuild_options *options) WEIR_MUST_USE;

#endif
