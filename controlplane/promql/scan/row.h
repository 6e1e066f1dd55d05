/* row: a series over the steps of a grid, and where rows go.
 *
 * Evaluation pushes rows, one series at a time, from selectors through functions into
 * aggregations, tables or the answer: nothing is kept that nobody asked for.
 *
 *   values   1.5  ?   3   4  ...   one a step; ? may be anything
 *   present   1   0   1   1  ...   a bit a step; NaN is a value, never "missing"
 *
 * Threads: one a query
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_SCAN_ROW_H
#define WEIR_CONTROLPLANE_PROMQL_SCAN_ROW_H

#include "controlplane/promql/scan/labelset.h"

#include <stdbool.h>
#include <string.h>

/* Steps of one grid: those of a subquery; an answer has fewer. */
#define WEIR_PROMQL_STEPS_MAX 10000000

/* Times start, start + step, ... */
struct weir_promql_grid {
    int64_t start_ms, step_ms;
    uint32_t count;
};

struct weir_promql_row {
    const struct weir_promql_labelset *labels;
    bool drop_name; /* the name, and __type__ and __unit__, go before the answer */
    double *values;
    uint64_t *present; /* bits beyond the last step are clear */
};

/* Takes rows. A row and what it points to belong to the sink during the call alone: it may change
 * them, and copies what it keeps. */
struct weir_promql_sink {
    enum weir_err (*push)(struct weir_promql_sink *sink, struct weir_promql_row *row);
};

static inline enum weir_err
weir_promql_push(struct weir_promql_sink *sink, struct weir_promql_row *row)
{
    return sink->push(sink, row);
}

static inline int64_t
weir_promql_grid_time(const struct weir_promql_grid *grid, uint32_t step)
{
    return grid->start_ms + (int64_t)step * grid->step_ms;
}

/* Words of a bitmap of count steps. */
static inline uint32_t
weir_promql_words(uint32_t count)
{
    return (count + 63) / 64;
}

static inline bool
weir_promql_bit(const uint64_t *bits, uint32_t at)
{
    return bits[at / 64] >> (at % 64) & 1;
}

static inline void
weir_promql_bit_set(uint64_t *bits, uint32_t at)
{
    bits[at / 64] |= UINT64_C(1) << (at % 64);
}

static inline void
weir_promql_bit_clear(uint64_t *bits, uint32_t at)
{
    bits[at / 64] &= ~(UINT64_C(1) << (at % 64));
}

/* Sets the first count bits, clears the rest of their last word. */
static inline void
weir_promql_bits_fill(uint64_t *bits, uint32_t count)
{
    memset(bits, 0xff, (size_t)weir_promql_words(count) * 8);
    if (count % 64 != 0)
        bits[count / 64] = (UINT64_C(1) << (count % 64)) - 1;
}

static inline bool
weir_promql_bits_any(const uint64_t *bits, uint32_t count)
{
    uint64_t any = 0;
    for (uint32_t i = 0; i < weir_promql_words(count); i++)
        any |= bits[i];
    return any != 0;
}

#endif
