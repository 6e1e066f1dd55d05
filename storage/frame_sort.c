#include "storage/frame_sort.h"

#include <string.h>

#define DIGITS (1u << WEIR_SORT_DIGIT_BITS)
_Static_assert(WEIR_BATCH_SAMPLES_MAX <= 1 << 24, "a place fits above a series number");

static inline uint64_t
series_of(uint64_t pair)
{
    return pair & (WEIR_SERIES_LIMIT - 1);
}

static inline uint32_t
place_of(uint64_t pair)
{
    return (uint32_t)(pair >> WEIR_SERIES_BITS);
}

static inline unsigned
digit_of(uint64_t pair, unsigned pass)
{
    return (unsigned)(series_of(pair) >> pass * WEIR_SORT_DIGIT_BITS) & (DIGITS - 1);
}

static unsigned
passes_needed(uint64_t series_through)
{
    unsigned passes = 0;
    for (uint64_t left = series_through - 1; left != 0; left >>= WEIR_SORT_DIGIT_BITS)
        passes++;
    return passes;
}

/* Sorts count pairs of `from` by series, with `to` as room; returns where they lie then. */
static uint64_t *
radix_sort(struct weir_sort *sort, uint64_t *from, uint64_t *to, uint32_t count, unsigned passes)
{
    memset(sort->counts, 0, passes * sizeof sort->counts[0]);
    for (uint32_t i = 0; i < count; i++)
        for (unsigned pass = 0; pass < passes; pass++)
            sort->counts[pass][digit_of(from[i], pass)]++;
    for (unsigned pass = 0; pass < passes; pass++) {
        uint32_t *at = sort->counts[pass];
        uint32_t before = 0;
        for (unsigned digit = 0; digit < DIGITS; digit++) {
            uint32_t here = at[digit];
            at[digit] = before;
            before += here;
        }
        for (uint32_t i = 0; i < count; i++)
            to[at[digit_of(from[i], pass)]++] = from[i];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

/* Every sample for itself. */
static void
sort_whole(struct weir_sort *sort, const struct weir_batch *batch, unsigned passes)
{
    for (uint32_t i = 0; i < batch->count; i++)
        sort->a[i] = weir_run_entry(weir_sample_series(&batch->samples[i]), i);
    const uint64_t *sorted = radix_sort(sort, sort->a, sort->b, batch->count, passes);
    for (uint32_t i = 0; i < batch->count; i++)
        sort->order[i] = place_of(sorted[i]);
}

/* By series, then by place. */
static inline bool
goes_behind(const struct weir_batch *batch, uint32_t a, uint32_t b)
{
    uint64_t x = weir_sample_series(&batch->samples[a]);
    uint64_t y = weir_sample_series(&batch->samples[b]);
    return x > y || (x == y && a > b);
}

/* Puts the `length` samples from `place` on behind the `used` ones of order. Returns the moves it
 * took; it gives up, half way, once they pass the limit. */
static uint64_t
insert_run(const struct weir_batch *batch, uint32_t *order, uint32_t used, uint32_t place,
    uint32_t length, uint64_t limit)
{
    uint64_t moves = 0;
    for (uint32_t i = 0; i < length && moves <= limit; i++) {
        uint32_t to = used + i;
        for (; to > 0 && goes_behind(batch, order[to - 1], place + i); to--, moves++)
            order[to] = order[to - 1];
        order[to] = place + i;
    }
    return moves;
}

/* Lays the runs, given as (first series, index) in order, one behind the other. False where they
 * overlap so much that insertion is slower than sorting the batch. */
static bool
lay_runs(const struct weir_batch *batch, const uint64_t *sorted, uint32_t *order)
{
    uint32_t used = 0;
    uint64_t moves = 0, through = 0; /* the largest series laid, plus one */
    for (uint32_t i = 0; i < batch->run_count; i++) {
        uint32_t index = place_of(sorted[i]);
        uint32_t place = place_of(batch->runs[index]);
        uint32_t end = index + 1 < batch->run_count ? place_of(batch->runs[index + 1])
                                                    : batch->count;
        uint32_t length = end - place;
        if (WEIR_UNLIKELY(series_of(sorted[i]) < through)) {
            moves += insert_run(batch, order, used, place, length, batch->count);
            if (moves > batch->count)
                return false;
        } else {
            for (uint32_t k = 0; k < length; k++)
                order[used + k] = place + k;
        }
        used += length;
        uint64_t last = weir_batch_run_last(batch, index);
        through = last >= through ? last + 1 : through;
    }
    return true;
}

const uint32_t *
weir_sort_batch(struct weir_sort *sort, const struct weir_batch *batch)
{
    uint32_t count = batch->count;
    if (batch->ascending || count == 0) {
        for (uint32_t i = 0; i < count; i++)
            sort->order[i] = i;
        return sort->order;
    }
    unsigned passes = passes_needed(batch->series_through);
    bool laid = false;
    if (batch->run_count <= count / 4) {
        for (uint32_t i = 0; i < batch->run_count; i++)
            sort->a[i] = weir_run_entry(series_of(batch->runs[i]), i);
        laid = lay_runs(batch, radix_sort(sort, sort->a, sort->b, batch->run_count, passes),
            sort->order);
    }
    if (!laid)
        sort_whole(sort, batch, passes);
    return sort->order;
}
