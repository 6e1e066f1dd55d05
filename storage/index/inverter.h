/* index_inverter: from labels by series to series by label, in memory of a fixed size.
 *
 *   add ... add --> terms by hash, each with a chain of ordinals
 *                      | memory is full: sorted, appended to the scratch file as a run, begun anew
 *   next        <-- the runs, or what memory holds, merged by (name, value)
 *
 * Ordinals ascend over all adds, so the runs' lists of one term follow each other.
 *
 * Owns:    the scratch file "<path>.scratch", while there is one
 * Threads: its writer's
 * Memory:  of the caller's
 * Errors:  those of the scratch file; WEIR_LIMIT after WEIR_INVERTER_RUNS_MAX runs
 */
#ifndef WEIR_STORAGE_INDEX_INVERTER_H
#define WEIR_STORAGE_INDEX_INVERTER_H

#include "model/labels.h"
#include "storage/index/file_writer.h"
#include "storage/index/ordinal_list.h"

#define WEIR_INVERTER_RUNS_MAX 256
#define WEIR_INVERTER_MEMORY_MIN (16u << 20)

struct weir_inverter;
/* memory: at least WEIR_INVERTER_MEMORY_MIN bytes, aligned to 64; all of it is used. seed: random,
 * for the hash of what senders chose. */
struct weir_inverter *weir_inverter_init(void *memory, size_t size, struct weir_io *io,
    uint64_t seed);
/* Begins anew, for a segment at path. */
enum weir_err weir_inverter_begin(struct weir_inverter *inverter, const char *path) WEIR_MUST_USE;
/* Adds a label of a series. place: of the label in its series; same: it is the label that was last
 * added at this place. */
enum weir_err weir_inverter_add(struct weir_inverter *inverter, uint32_t place, bool same,
    const struct weir_label *label, uint32_t ordinal) WEIR_MUST_USE;
/* Ends the adds. */
enum weir_err weir_inverter_seal(struct weir_inverter *inverter) WEIR_MUST_USE;
/* The next term in (name, value) order and its ordinals; label is valid until the next call.
 * WEIR_END. */
enum weir_err weir_inverter_next(struct weir_inverter *inverter, struct weir_label *label,
    struct weir_ordinal_list *ordinals) WEIR_MUST_USE;
/* Runs that went to the scratch file. */
uint32_t weir_inverter_runs(const struct weir_inverter *inverter);
/* Removes the scratch file, if there is one. */
void weir_inverter_end(struct weir_inverter *inverter);

#endif
