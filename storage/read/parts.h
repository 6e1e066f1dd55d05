/* read_parts: the parts of a store, for a reader: which there are by the newest manifest, and
 * scans.
 *
 * Threads: its reader's
 * Memory:  two manifests, the footers of open parts, one block of each kind
 * Errors:  a block that does not check out is counted and reported, and costs itself; a part that
 * is missing or does not open the same
 *
 * A part that was opened stays open until a manifest no longer names it: its file may be removed
 * meanwhile.
 */
#ifndef WEIR_STORAGE_READ_PARTS_H
#define WEIR_STORAGE_READ_PARTS_H

#include "storage/io/io.h"
#include "storage/read/scan.h"

struct weir_read_parts;
/* store: DATA/store, which need not be there. io is kept. */
enum weir_err weir_read_parts_open(
    const char *store, struct weir_io *io, struct weir_read_parts **out) WEIR_MUST_USE;
void weir_read_parts_close(struct weir_read_parts *parts);
/* Takes in the newest manifest if its generation is not known yet; generation 0: whatever it is.
 * Without any there are no parts. */
enum weir_err weir_read_parts_refresh(
    struct weir_read_parts *parts, uint64_t generation) WEIR_MUST_USE;
/* The log below it is in the parts. */
uint64_t weir_read_parts_offset(const struct weir_read_parts *parts);
/* Calls back for the samples of each part, in the order of the log; check as in reader.h, may be
 * NULL. */
enum weir_err weir_read_parts_scan(struct weir_read_parts *parts, const struct weir_read_scan *scan,
    weir_reader_check_fn *check, void *check_context) WEIR_MUST_USE;
/* Blocks and parts that scans skipped. */
uint64_t weir_read_parts_corrupt(const struct weir_read_parts *parts);

#endif
