/* slices: cuts the series of a unit into ranges that fit the memory of a gather.
 *
 *   begin --> count(each block) --> next(each slice)
 *
 * Threads: one
 * Memory:  weir_slices_footprint() bytes from the caller, whatever the count of series
 * Errors:  WEIR_LIMIT series so close together have more samples than fit: a smaller unit
 */
#ifndef WEIR_STORAGE_KEEPER_SLICES_H
#define WEIR_STORAGE_KEEPER_SLICES_H

#include "base/err.h"
#include "storage/keeper/gather.h"

struct weir_slices;
size_t weir_slices_footprint(void);
struct weir_slices *weir_slices_init(void *memory, const struct weir_gather_limits *limits);

/* All numbers of the unit are below series_through. */
void weir_slices_begin(struct weir_slices *slices, uint64_t series_through);
/* Counts a block's numbers, which ascend. */
void weir_slices_count(struct weir_slices *slices, const uint64_t *series, uint32_t count);
/* From the first slice on again. */
void weir_slices_rewind(struct weir_slices *slices);
/* The next slice that has samples: numbers *first .. *end - 1. WEIR_END after the last. */
enum weir_err weir_slices_next(
    struct weir_slices *slices, uint64_t *first, uint64_t *end) WEIR_MUST_USE;

#endif
