/* frame_columns: a block of a frame decoded into columns, for merging and for queries.
 *
 * Threads: any; no state
 * Memory:  the caller's
 * Errors:  takes any bytes; false where they are no block
 *
 * Accepts and refuses the same blocks as weir_block_decode, which is the tests' oracle. The
 * variants give the same columns; the last one is portable.
 */
#ifndef WEIR_STORAGE_FRAME_COLUMNS_H
#define WEIR_STORAGE_FRAME_COLUMNS_H

#include "storage/frame/frame.h"

/* Loops over columns write whole vectors: room after the last sample. */
#define WEIR_COLUMNS_SAMPLES (WEIR_BLOCK_SAMPLES + 64)

struct weir_columns {
    uint32_t count;
    bool doubles; /* some kind is WEIR_VALUE_DOUBLE */
    bool scaled;  /* some exponent is not 0 */
    alignas(64) uint64_t series[WEIR_COLUMNS_SAMPLES]; /* numbers, ascending */
    int64_t times_ms[WEIR_COLUMNS_SAMPLES];
    uint64_t values[WEIR_COLUMNS_SAMPLES];   /* mantissa or bits, by kind */
    int8_t exponents[WEIR_COLUMNS_SAMPLES];  /* of ten */
    uint8_t kinds[WEIR_COLUMNS_SAMPLES];     /* enum weir_value_kind */
};

/* Decodes a block of `bytes` bytes whose checksum is right, and checks it against its entry. out
 * holds nothing of use where the answer is false. */
bool weir_block_columns(const uint8_t *block, size_t bytes, const struct weir_frame_block *entry,
    struct weir_columns *out);
/* The numbers alone, a fifth of the work: series has WEIR_COLUMNS_SAMPLES places. Checks the layout
 * and the numbers, not times or values. */
bool weir_block_series(const uint8_t *block, size_t bytes, const struct weir_frame_block *entry,
    uint64_t *series);
/* Values as doubles, as weir_sample_double gives them. out: WEIR_COLUMNS_SAMPLES. */
void weir_columns_doubles(const struct weir_columns *columns, double *out);

struct weir_columns_variant {
    const char *name;
    uint32_t needs; /* base/cpu.h */
    bool (*decode)(const uint8_t *block, size_t bytes, const struct weir_frame_block *entry,
        struct weir_columns *out);
    void (*doubles)(const struct weir_columns *columns, double *out);
};
/* Variants compiled in, best first; for tests and benchmarks. */
extern const struct weir_columns_variant weir_columns_variants[];
size_t weir_columns_variant_count(void);

#endif
