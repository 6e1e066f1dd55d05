/* statistics: of a chunk, computed, and as bytes relative to its decimals: a statistic that is a
 * decimal under the chunk's exponent costs a small integer, any other its eight bytes. Exact to the
 * bit.
 *
 * Format:  docs/format/part.md
 * Threads: any; no state
 * Errors:  decoding takes any bytes; false where they are none
 */
#ifndef WEIR_STORAGE_PART_STATISTICS_H
#define WEIR_STORAGE_PART_STATISTICS_H

#include "model/statistics.h"
#include "storage/part/varint.h"

/* With what a writer of varints may write after the end. */
#define WEIR_STATISTICS_BYTES_MAX 96

/* count is at least 1. */
void weir_statistics_of(const double *values, uint32_t count, struct weir_statistics *out);
/* exponent: of the chunk's decimals (-22 to 22). Writes at most WEIR_STATISTICS_BYTES_MAX bytes;
 * returns the end. */
uint8_t *weir_statistics_encode(
    const struct weir_statistics *statistics, int exponent, uint8_t *out);
bool weir_statistics_decode(
    struct weir_bytes *bytes, int exponent, uint32_t count, struct weir_statistics *out);

#endif
