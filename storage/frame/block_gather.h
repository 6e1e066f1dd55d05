/* frame_block_gather: a block's samples by column, and what the columns have to hold.
 *
 * Threads: any; no state
 * Memory:  scratch of the caller's
 *
 * The variants give the same bytes; the last one is portable and the tests' oracle.
 */
#ifndef WEIR_STORAGE_FRAME_BLOCK_GATHER_H
#define WEIR_STORAGE_FRAME_BLOCK_GATHER_H

#include "storage/frame/block.h"

#include <stdbool.h>

struct weir_block_bounds {
    int64_t time_min_ms;
    int64_t time_max_ms;
    int exponent_min;
    int exponent_max;
    uint64_t delta_min; /* of series, from the second sample on; 0 where there is none */
    uint64_t delta_max;
};

struct weir_gather_variant {
    const char *name;
    uint32_t needs; /* base/cpu.h */
    /* Fills scratch with the count samples that order names; ahead: entries of order that may be
     * read, count of them or more. */
    struct weir_block_bounds (*gather)(struct weir_block_scratch *scratch,
        const struct weir_sample *samples, const uint32_t *order, uint32_t count, uint32_t ahead);
    /* Writes a one-byte column of deltas above step and its exceptions after it (room for eight
     * bytes more); returns the end. */
    uint8_t *(*narrow)(const uint64_t *deltas, uint32_t count, uint64_t step, uint8_t *out);
};

/* Variants compiled in, best first. */
extern const struct weir_gather_variant weir_gather_variants[];
size_t weir_gather_variant_count(void);
bool weir_gather_variant_supported(size_t variant);
/* The best one this CPU can run. */
const struct weir_gather_variant *weir_gather(void);

/* Bytes that hold value: 0 to 8. */
static inline unsigned
weir_bytes_needed(uint64_t value)
{
    return value == 0 ? 0 : (71u - (unsigned)__builtin_clzll(value)) / 8;
}

#endif
