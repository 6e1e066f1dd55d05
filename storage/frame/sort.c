#include "storage/frame/sort.h"

#include <string.h>

#define DIGITS (1u << WEIR_SORT_DIGIT_BITS)
/* Overlapping runs are counted where their series are within as many numbers as there are counts,
 * and in them so densely that looking at every number is cheaper than moving samples. */
#define SPAN_MAX (4u << WEIR_SORT_DIGIT_BITS)
#define SPARSE_MAX 16
/* More runs that overlap and did not arrive in order of their first series are sorted with the
 * whole batch. */
#define ARRIVAL_RUNS_MAX 64
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

/* Sorts count pairs of `from` by series, with `to` as room; returns where they are then. */
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
        sort->a[i] = weir_batch_run_entry(weir_sample_series(&batch->samples[i]), i);
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

/* Puts the `length` samples from `place` on after the `used` ones of order. Returns the moves it
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

/* Runs that overlap, of `batch`: sorted[from] to sorted[to - 1] as (first series, index), in order
 * of their first series. Their series are at least `least` and below `through`. */
struct group {
    uint32_t from;
    uint32_t to;
    uint64_t least;
    uint64_t through;
    uint32_t samples;
};

static uint32_t
run_end(const struct weir_batch *batch, uint32_t index)
{
    return index + 1 < batch->run_count ? place_of(batch->runs[index + 1]) : batch->count;
}

/* The group that begins with the run sorted[from]; most have no other run. */
static struct group
next_group(const struct weir_batch *batch, const uint64_t *sorted, uint32_t from)
{
    struct group group = {.from = from, .to = from, .least = series_of(sorted[from])};
    do {
        uint32_t index = place_of(sorted[group.to]);
        uint64_t last = weir_batch_run_last(batch, index);
        group.through = last >= group.through ? last + 1 : group.through;
        group.samples += run_end(batch, index) - place_of(batch->runs[index]);
        group.to++;
    } while (group.to < batch->run_count && series_of(sorted[group.to]) < group.through);
    return group;
}

/* Puts the group's runs in order of arrival. False where that is too much work. */
static bool
order_by_arrival(uint64_t *sorted, const struct group *group)
{
    uint32_t i = group->from + 1;
    while (i < group->to && place_of(sorted[i - 1]) < place_of(sorted[i]))
        i++;
    if (i < group->to && group->to - group->from > ARRIVAL_RUNS_MAX)
        return false;
    for (; i < group->to; i++) {
        uint64_t run = sorted[i];
        uint32_t to = i;
        for (; to > group->from && place_of(sorted[to - 1]) > place_of(run); to--)
            sorted[to] = sorted[to - 1];
        sorted[to] = run;
    }
    return true;
}

/* Lays a group whose series are close together after the `used` samples of order, by counting:
 * the packets of one sender that a batch has more than once, and parts of packets. */
static void
lay_by_counting(struct weir_sort *sort, const struct weir_batch *batch, const uint64_t *sorted,
    const struct group *group, uint32_t used)
{
    uint32_t *at = sort->counts[0];
    uint32_t span = (uint32_t)(group->through - group->least);
    memset(at, 0, span * sizeof *at);
    for (uint32_t i = group->from; i < group->to; i++) {
        uint32_t index = place_of(sorted[i]), end = run_end(batch, index);
        for (uint32_t place = place_of(batch->runs[index]); place < end; place++)
            at[weir_sample_series(&batch->samples[place]) - group->least]++;
    }
    for (uint32_t series = 0; series < span; series++) {
        uint32_t here = at[series];
        at[series] = used;
        used += here;
    }
    for (uint32_t i = group->from; i < group->to; i++) {
        uint32_t index = place_of(sorted[i]), end = run_end(batch, index);
        for (uint32_t place = place_of(batch->runs[index]); place < end; place++)
            sort->order[at[weir_sample_series(&batch->samples[place]) - group->least]++] = place;
    }
}

/* The same by insertion. Returns the moves it took, more than the batch has samples where it gave
 * up. */
static uint64_t
lay_by_insertion(const struct weir_batch *batch, const uint64_t *sorted, const struct group *group,
    uint32_t used, uint32_t *order)
{
    uint64_t moves = 0;
    for (uint32_t i = group->from; i < group->to && moves <= batch->count; i++) {
        uint32_t index = place_of(sorted[i]), place = place_of(batch->runs[index]);
        uint32_t length = run_end(batch, index) - place;
        moves += insert_run(batch, order, used, place, length, batch->count);
        used += length;
    }
    return moves;
}

/* Lays the runs, given as (first series, index) in order, one after the other. False where they
 * overlap so much that sorting the batch is faster. */
static bool
lay_runs(struct weir_sort *sort, const struct weir_batch *batch, uint64_t *sorted)
{
    uint32_t used = 0;
    uint64_t moves = 0;
    struct group group;
    for (uint32_t i = 0; i < batch->run_count; i = group.to) {
        group = next_group(batch, sorted, i);
        uint64_t span = group.through - group.least;
        if (WEIR_LIKELY(group.to == i + 1)) {
            uint32_t place = place_of(batch->runs[place_of(sorted[i])]);
            for (uint32_t k = 0; k < group.samples; k++)
                sort->order[used + k] = place + k;
        } else if (span <= SPAN_MAX && span <= SPARSE_MAX * (uint64_t)group.samples) {
            if (!order_by_arrival(sorted, &group))
                return false;
            lay_by_counting(sort, batch, sorted, &group, used);
        } else {
            moves += lay_by_insertion(batch, sorted, &group, used, sort->order);
            if (moves > batch->count)
                return false;
        }
        used += group.samples;
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
            sort->a[i] = weir_batch_run_entry(series_of(batch->runs[i]), i);
        laid = lay_runs(sort, batch, radix_sort(sort, sort->a, sort->b, batch->run_count, passes));
    }
    if (!laid)
        sort_whole(sort, batch, passes);
    return sort->order;
}
