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

/* Sorts count entries of `from` by series, with `to` as room; returns where they lie then. */
static struct weir_sort_entry *
radix_sort(struct weir_sort *sort, struct weir_sort_entry *from, struct weir_sort_entry *to,
    uint32_t count, unsigned passes)
{
    memset(sort->counts, 0, passes * sizeof sort->counts[0]);
    for (uint32_t i = 0; i < count; i++)
        for (unsigned pass = 0; pass < passes; pass++)
            sort->counts[pass][digit_of(from[i].series, pass)]++;
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

/* A run on its way through the radix sort: the entry of its first sample with the run's length,
 * up to LENGTH_MAX, in the bits of the place that no sample needs. */
#define PLACE_BITS 17
#define LENGTH_MAX 127
_Static_assert(WEIR_BATCH_SAMPLES_MAX == 1 << PLACE_BITS, "a place leaves seven bits");

/* The entry as the word that its bit-fields lie in: series low, place high. */
static inline uint64_t
word_of(uint64_t series, uint64_t place)
{
    return series | place << WEIR_SERIES_BITS;
}

static inline bool
run_ends(uint64_t before, uint64_t series)
{
    return series - before - 1 >= WEIR_SORT_RUN_GAP; /* wraps where the series falls */
}

/* Fills `entries` with the samples as they came and `runs` with the first one of each run.
 * Returns the number of runs. No branches: where a run ends cannot be foretold. */
static uint32_t
find_runs(const struct weir_batch *batch, uint64_t *entries, uint64_t *runs)
{
    uint32_t count = 0;
    uint64_t before = UINT64_MAX / 2;
    for (uint32_t i = 0; i < batch->count; i++) {
        uint64_t series = weir_sample_series(&batch->samples[i]);
        uint64_t entry = word_of(series, i);
        entries[i] = entry;
        runs[count] = entry;
        count += run_ends(before, series);
        before = series;
    }
    return count;
}

/* Packs lengths into the runs, which lie in order of their places. */
static void
set_lengths(uint64_t *runs, uint32_t run_count, uint32_t count)
{
    for (uint32_t i = 0; i < run_count; i++) {
        uint64_t next = i + 1 < run_count ? runs[i + 1] >> WEIR_SERIES_BITS : count;
        uint64_t length = next - (runs[i] >> WEIR_SERIES_BITS);
        length = length < LENGTH_MAX ? length : LENGTH_MAX;
        runs[i] |= length << (WEIR_SERIES_BITS + PLACE_BITS);
    }
}

static inline uint64_t
series_of(uint64_t entry)
{
    return entry & (WEIR_SERIES_LIMIT - 1);
}

/* By series, then by place. */
static inline bool
goes_behind(uint64_t a, uint64_t b)
{
    return (a << 24 | a >> WEIR_SERIES_BITS) > (b << 24 | b >> WEIR_SERIES_BITS);
}

/* Puts `length` entries, ascending, behind the `used` ones of out. Returns the moves it took; it
 * gives up, half way, once they pass the limit. */
static uint64_t
insert_run(uint64_t *out, uint32_t used, const uint64_t *entries, uint32_t length, uint64_t limit)
{
    uint64_t moves = 0;
    for (uint32_t i = 0; i < length && moves <= limit; i++) {
        uint32_t to = used + i;
        for (; to > 0 && goes_behind(out[to - 1], entries[i]); to--, moves++)
            out[to] = out[to - 1];
        out[to] = entries[i];
    }
    return moves;
}

/* Lays the runs into out in the order given. False where they overlap so much that insertion is
 * slower than sorting the batch. */
static bool
lay_runs(const uint64_t *runs, uint32_t run_count, const uint64_t *entries, uint64_t *out,
    uint32_t count)
{
    uint32_t used = 0;
    uint64_t moves = 0;
    for (uint32_t i = 0; i < run_count; i++) {
        uint32_t place = (uint32_t)(runs[i] >> WEIR_SERIES_BITS) & ((1u << PLACE_BITS) - 1);
        uint32_t length = (uint32_t)(runs[i] >> (WEIR_SERIES_BITS + PLACE_BITS));
        while (length >= LENGTH_MAX && place + length < count
            && !run_ends(series_of(entries[place + length - 1]),
                series_of(entries[place + length])))
            length++;
        if (WEIR_UNLIKELY(used > 0 && series_of(out[used - 1]) >= series_of(runs[i]))) {
            moves += insert_run(out, used, entries + place, length, count);
            if (moves > count)
                return false;
        } else {
            for (uint32_t k = 0; k < length; k++)
                out[used + k] = entries[place + k];
        }
        used += length;
    }
    return true;
}

const struct weir_sort_entry *
weir_sort_batch(struct weir_sort *sort, const struct weir_batch *batch)
{
    uint32_t count = batch->count;
    uint64_t *a = (uint64_t *)sort->a, *b = (uint64_t *)sort->b, *room = (uint64_t *)sort->runs;
    uint32_t run_count = find_runs(batch, a, b);
    if (batch->ascending || count == 0)
        return sort->a;
    unsigned passes = passes_needed(batch->series_through);
    if (run_count <= count / WEIR_SORT_RUN_MIN) {
        set_lengths(b, run_count, count);
        if (radix_sort(sort, sort->b, sort->runs, run_count, passes) == sort->b)
            memcpy(room, b, run_count * sizeof *room);
        if (lay_runs(room, run_count, a, b, count))
            return sort->b;
    }
    return radix_sort(sort, sort->a, sort->b, count, passes);
}
