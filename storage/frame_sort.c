#include "storage/frame_sort.h"

#include <string.h>

#define DIGITS (1u << WEIR_SORT_DIGIT_BITS)

static unsigned
digit_of(uint64_t series, unsigned pass)
{
    return (unsigned)(series >> pass * WEIR_SORT_DIGIT_BITS) & (DIGITS - 1);
}

static unsigned
passes_needed(uint64_t series_through)
{
    unsigned passes = 0;
    for (uint64_t left = series_through - 1; left != 0; left >>= WEIR_SORT_DIGIT_BITS)
        passes++;
    return passes;
}

const struct weir_sort_entry *
weir_sort_batch(struct weir_sort *sort, const struct weir_batch *batch)
{
    uint32_t count = batch->count;
    for (uint32_t i = 0; i < count; i++)
        sort->a[i] = (struct weir_sort_entry){weir_sample_series(&batch->samples[i]), i};
    if (batch->ascending || count == 0)
        return sort->a;
    unsigned passes = passes_needed(batch->series_through);
    memset(sort->counts, 0, passes * sizeof sort->counts[0]);
    for (uint32_t i = 0; i < count; i++)
        for (unsigned pass = 0; pass < passes; pass++)
            sort->counts[pass][digit_of(sort->a[i].series, pass)]++;
    struct weir_sort_entry *from = sort->a;
    struct weir_sort_entry *to = sort->b;
    for (unsigned pass = 0; pass < passes; pass++) {
        uint32_t *at = sort->counts[pass];
        uint32_t before = 0;
        for (unsigned digit = 0; digit < DIGITS; digit++) {
            uint32_t here = at[digit];
            at[digit] = before;
            before += here;
        }
        for (uint32_t i = 0; i < count; i++)
            to[at[digit_of(from[i].series, pass)]++] = from[i];
        struct weir_sort_entry *swap = from;
        from = to;
        to = swap;
    }
    return from;
}
