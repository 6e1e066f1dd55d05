/* gather: samples of a slice of the series, out of many frames, by series and time.
 *
 *   begin(first, end) --> count(each block) --> place --> add(each block, in log order) --> next
 * ...
 *
 * A slice is a range of series numbers. Every block of the unit that has numbers in it is counted
 * and then added; what lies outside is left to other slices. next gives the slice's series in the
 * order of their numbers, each with its samples settled: times ascend, and of samples with equal
 * times the one that was added last stays.
 *
 * Threads: one
 * Memory:  weir_gather_footprint() bytes from the caller: 24 a sample and 4 a series
 * Errors:  WEIR_LIMIT more samples than there is room for: a smaller slice or a smaller unit
 */
#ifndef WEIR_STORAGE_KEEPER_GATHER_H
#define WEIR_STORAGE_KEEPER_GATHER_H

#include "base/err.h"
#include "storage/frame/columns.h"

#define WEIR_GATHER_PIECE 4096 /* samples that next gives at a time */

struct weir_gather_limits {
    uint32_t samples_max;
    uint32_t series_max;
};

/* Samples of one series, or the next piece of them. Valid until the next call. */
struct weir_gathered {
    uint64_t series;
    uint32_t count;      /* at least 1 */
    uint32_t superseded; /* samples that others of the same series and time took the place of */
    const int64_t *times_ms;
    const uint64_t *values; /* these three as in model/sample.h */
    const int8_t *exponents;
    const uint8_t *kinds;
};

struct weir_gather;
size_t weir_gather_footprint(const struct weir_gather_limits *limits);
/* memory: aligned to 64. */
struct weir_gather *weir_gather_init(void *memory, const struct weir_gather_limits *limits);

/* Series numbers first .. end - 1, at most series_max. */
void weir_gather_begin(struct weir_gather *gather, uint64_t first, uint64_t end);
/* Those numbers. */
void weir_gather_range(const struct weir_gather *gather, uint64_t *first, uint64_t *end);
/* Counts a block's numbers, which ascend. */
void weir_gather_count(struct weir_gather *gather, const uint64_t *series, uint32_t count);
/* Gives each series its place. */
enum weir_err weir_gather_place(struct weir_gather *gather) WEIR_MUST_USE;
/* Puts a block's samples there; every block that was counted must come, in the order of the log. */
void weir_gather_add(struct weir_gather *gather, const struct weir_columns *columns);
/* WEIR_END after the last series. */
enum weir_err weir_gather_next(struct weir_gather *gather, struct weir_gathered *out) WEIR_MUST_USE;

#endif
