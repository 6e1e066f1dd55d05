#include "storage/keeper/gather.h"

#include "base/assert.h"
#include "storage/keeper/settle.h"

#include <inttypes.h>
#include <string.h>

/* Places lie far apart, because each frame has few samples of a series: 16 ahead hides a miss. */
#define PREFETCH 16

struct weir_gather {
    struct weir_gather_limits limits;
    uint64_t first; /* of the slice */
    uint32_t series_count;
    uint64_t samples; /* counted */
    /* While counting, [i + 1] counts the samples of series i. When placed, [i] is the place of the
     * next sample of series i; when all are added, that of the first sample of series i + 1. */
    uint32_t *places;
    struct weir_settled *samples_at; /* samples_max of them */
    /* where next is */
    uint32_t series_next;
    uint32_t at;  /* first sample not given yet, of a series of which pieces are left */
    uint32_t end; /* of that series; at == end: none is left */
    int64_t times_ms[WEIR_GATHER_PIECE];
    uint64_t values[WEIR_GATHER_PIECE];
    int8_t exponents[WEIR_GATHER_PIECE];
    uint8_t kinds[WEIR_GATHER_PIECE];
};

static size_t
whole_lines(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static size_t
places_bytes(const struct weir_gather_limits *limits)
{
    return whole_lines(((size_t)limits->series_max + 1) * sizeof(uint32_t));
}

size_t
weir_gather_footprint(const struct weir_gather_limits *limits)
{
    return whole_lines(sizeof(struct weir_gather)) + places_bytes(limits) +
        (size_t)limits->samples_max * sizeof(struct weir_settled);
}

struct weir_gather *
weir_gather_init(void *memory, const struct weir_gather_limits *limits)
{
    struct weir_gather *gather = memory;
    memset(gather, 0, sizeof *gather);
    gather->limits = *limits;
    uint8_t *at = (uint8_t *)memory + whole_lines(sizeof *gather);
    gather->places = (uint32_t *)(void *)at;
    gather->samples_at = (struct weir_settled *)(void *)(at + places_bytes(limits));
    return gather;
}

void
weir_gather_begin(struct weir_gather *gather, uint64_t first, uint64_t end)
{
    WEIR_ASSERT(first < end && end - first <= gather->limits.series_max);
    gather->first = first;
    gather->series_count = (uint32_t)(end - first);
    gather->samples = 0;
    gather->series_next = 0;
    gather->at = gather->end = 0;
    memset(gather->places, 0, ((size_t)gather->series_count + 1) * sizeof gather->places[0]);
}

void
weir_gather_range(const struct weir_gather *gather, uint64_t *first, uint64_t *end)
{
    *first = gather->first;
    *end = gather->first + gather->series_count;
}

/* Place of the first number that is not below `number`. */
static uint32_t
lower_bound(const uint64_t *series, uint32_t count, uint64_t number)
{
    uint32_t low = 0;
    while (count > 0) {
        uint32_t half = count / 2;
        bool below = series[low + half] < number;
        low = below ? low + half + 1 : low;
        count = below ? count - half - 1 : half;
    }
    return low;
}

/* The part of a block that is in the slice: places *from .. *to - 1. */
static void
in_slice(const struct weir_gather *gather, const uint64_t *series, uint32_t count, uint32_t *from,
    uint32_t *to)
{
    uint64_t end = gather->first + gather->series_count;
    *from =
        count == 0 || series[0] >= gather->first ? 0 : lower_bound(series, count, gather->first);
    *to = count == 0 || series[count - 1] < end ? count : lower_bound(series, count, end);
}

void
weir_gather_count(struct weir_gather *gather, const uint64_t *series, uint32_t count)
{
    uint32_t from, to;
    in_slice(gather, series, count, &from, &to);
    gather->samples += to - from;
    if (gather->samples > gather->limits.samples_max)
        return;
    uint32_t *counts = gather->places + 1;
    for (uint32_t i = from; i < to; i++)
        counts[series[i] - gather->first]++;
}

enum weir_err
weir_gather_place(struct weir_gather *gather)
{
    if (gather->samples > gather->limits.samples_max)
        return weir_fail(WEIR_LIMIT, 0,
            "%" PRIu64 " samples of series %" PRIu64 " to %" PRIu64 ", room for %" PRIu32,
            gather->samples, gather->first, gather->first + gather->series_count - 1,
            gather->limits.samples_max);
    uint32_t sum = 0;
    for (uint32_t i = 0; i <= gather->series_count; i++) {
        sum += gather->places[i];
        gather->places[i] = sum;
    }
    return WEIR_OK;
}

void
weir_gather_add(struct weir_gather *gather, const struct weir_columns *columns)
{
    uint32_t from, to;
    in_slice(gather, columns->series, columns->count, &from, &to);
    const uint64_t *restrict series = columns->series;
    const int64_t *restrict times_ms = columns->times_ms;
    const uint64_t *restrict values = columns->values;
    const int8_t *restrict exponents = columns->exponents;
    const uint8_t *restrict kinds = columns->kinds;
    uint32_t *restrict places = gather->places;
    struct weir_settled *restrict samples = gather->samples_at;
    uint64_t first = gather->first;
    for (uint32_t i = from; i < to; i++) {
        uint32_t ahead = i + PREFETCH < to ? i + PREFETCH : i;
        __builtin_prefetch(&samples[places[series[ahead] - first]], 1);
        uint32_t place = places[series[i] - first]++;
        samples[place] = (struct weir_settled){.time_ms = times_ms[i],
            .value = values[i],
            .rest = weir_settled_rest(place, exponents[i], kinds[i])};
    }
}

/* Finds the next series that has samples, settles it; false where there is none. */
static bool
settle_next(struct weir_gather *gather, uint32_t *superseded)
{
    for (; gather->series_next < gather->series_count; gather->series_next++) {
        uint32_t at = gather->series_next == 0 ? 0 : gather->places[gather->series_next - 1];
        uint32_t count = gather->places[gather->series_next] - at;
        if (count == 0)
            continue;
        uint32_t left = weir_settle(gather->samples_at + at, count);
        *superseded = count - left;
        gather->at = at;
        gather->end = at + left;
        gather->series_next++;
        return true;
    }
    return false;
}

enum weir_err
weir_gather_next(struct weir_gather *gather, struct weir_gathered *out)
{
    uint32_t superseded = 0;
    if (gather->at == gather->end && !settle_next(gather, &superseded))
        return WEIR_END;
    uint32_t count = gather->end - gather->at;
    count = count > WEIR_GATHER_PIECE ? WEIR_GATHER_PIECE : count;
    const struct weir_settled *samples = gather->samples_at + gather->at;
    for (uint32_t i = 0; i < count; i++) {
        gather->times_ms[i] = samples[i].time_ms;
        gather->values[i] = samples[i].value;
        gather->exponents[i] = weir_settled_exponent(&samples[i]);
        gather->kinds[i] = weir_settled_kind(&samples[i]);
    }
    gather->at += count;
    *out = (struct weir_gathered){.series = gather->first + gather->series_next - 1,
        .count = count,
        .superseded = superseded,
        .times_ms = gather->times_ms,
        .values = gather->values,
        .exponents = gather->exponents,
        .kinds = gather->kinds};
    return WEIR_OK;
}
