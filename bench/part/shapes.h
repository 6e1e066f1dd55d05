/* shapes: made-up series for measuring storage: the same from the same seed, whoever asks.
 *
 * A host has WEIR_SHAPES series, one of each shape. Its series share their times.
 *
 *   counters   steps uniform in 0 .. R - 1, R from 16 to 65,536; seconds of CPU with two decimals
 *   gauges     two to four decimals: random walks, noise around a mean, a daily wave with noise
 *   buckets    counters of a histogram: Poisson steps of mean 0.01 to 20
 *   integers   memory in pages, queue lengths that move by one now and then
 *   constants  never, or once in some 500 samples, another value
 *
 * Threads: any; no state
 */
#ifndef WEIR_BENCH_PART_SHAPES_H
#define WEIR_BENCH_PART_SHAPES_H

#include <stddef.h>
#include <stdint.h>

#define WEIR_SHAPES 20

enum shape_group { SHAPE_COUNTER, SHAPE_GAUGE, SHAPE_BUCKET, SHAPE_INTEGER, SHAPE_CONSTANT };
#define SHAPE_GROUPS 5

extern const char *const shape_group_names[SHAPE_GROUPS];
enum shape_group shape_group_of(unsigned shape);

/* Mantissas of one series, and their exponent. */
int shape_values(uint64_t seed, uint32_t host, unsigned shape, uint32_t count, int64_t *mantissas);
/* Times of a host's samples, whose phase is its own: each off by a normal deviation of jitter_ms.
 */
void shape_times(uint64_t seed, uint32_t host, int64_t start_ms, int64_t interval_ms,
    int64_t jitter_ms, uint32_t count, int64_t *times_ms);

#endif
