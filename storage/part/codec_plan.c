#include "storage/part/codec.h"

/* A transform is judged by so many stretches of a chunk, each of so many residuals. */
#define STRETCHES 4
#define STRETCH 32
/* Below it a sample would be most of the chunk: all of it is looked at. */
#define WHOLE (STRETCHES * STRETCH + STRETCH)
/* Residuals whose median is the centre of the histogram. */
#define CENTRE 15
/* A front costs a table a block, and the coder loses a little: it has to save a twentieth. */
#define SPLIT_GAIN(cost) ((cost) - (cost) / 20)

struct lengths {
    uint64_t centre;
    uint32_t counts[65]; /* residuals by bits of zigzag(residual - centre) */
};

static unsigned
length_of(uint64_t value)
{
    return value == 0 ? 0 : 64u - (unsigned)__builtin_clzll(value);
}

static uint64_t
centre_of(const uint64_t *residuals, uint32_t count)
{
    int64_t few[CENTRE] = {(int64_t)residuals[0]};
    uint32_t found = 0, step = count / CENTRE + 1;
    for (uint32_t i = 0; i < count && found < CENTRE; i += step, found++) {
        uint32_t at = found;
        for (; at > 0 && few[at - 1] > (int64_t)residuals[i]; at--)
            few[at] = few[at - 1];
        few[at] = (int64_t)residuals[i];
    }
    return (uint64_t)few[found / 2];
}

static void
bounds_of(const uint64_t *residuals, uint32_t count, int64_t *least, int64_t *most)
{
    int64_t low = INT64_MAX, high = INT64_MIN;
    for (uint32_t i = 0; i < count; i++) {
        int64_t residual = (int64_t)residuals[i];
        low = residual < low ? residual : low;
        high = residual > high ? residual : high;
    }
    *least = low;
    *most = high;
}

static void
measure(const uint64_t *residuals, uint32_t count, struct lengths *out)
{
    memset(out->counts, 0, sizeof out->counts);
    out->centre = centre_of(residuals, count);
    for (uint32_t i = 0; i < count; i++)
        out->counts[length_of(weir_varint_zigzag(residuals[i] - out->centre))]++;
}

/* Bits that exceptions of one length take: a place, and a varint. */
static uint64_t
exception_bits(unsigned length)
{
    return 16 + 8 * ((length + 8) / 7);
}

/* The length at which packing costs least; longer ones become exceptions. */
static unsigned
cheapest(const struct lengths *lengths, uint32_t count, uint32_t *exceptions)
{
    unsigned best = 64;
    uint64_t best_cost = 64 * (uint64_t)count, outside_cost = 0;
    uint32_t outside = 0;
    *exceptions = 0;
    for (unsigned length = 64; length-- > 0;) {
        outside += lengths->counts[length + 1];
        outside_cost += lengths->counts[length + 1] * exception_bits(length + 1);
        unsigned width = length <= WEIR_BITS_WIDTH_MAX ? length : 64;
        uint64_t cost = width * (uint64_t)count + outside_cost;
        if (cost < best_cost) {
            best = length;
            best_cost = cost;
            *exceptions = outside;
        }
    }
    return best;
}

/* Base and width of the residuals whose length is at most `length`. */
static void
fit(const uint64_t *residuals, uint32_t count, uint64_t centre, unsigned length,
    struct weir_packing *out)
{
    int64_t least = INT64_MAX, most = INT64_MIN;
    for (uint32_t i = 0; i < count; i++) {
        int64_t residual = (int64_t)residuals[i];
        bool inside = length_of(weir_varint_zigzag(residuals[i] - centre)) <= length;
        least = inside && residual < least ? residual : least;
        most = inside && residual > most ? residual : most;
    }
    out->base = (uint64_t)least;
    out->width = weir_bits_width((uint64_t)most - (uint64_t)least);
}

/* log2 to 0.01 of what is needed here; x is at least 1. */
static double
log2_of(uint32_t x)
{
    unsigned whole = 31u - (unsigned)__builtin_clz(x);
    double part = (double)x / (double)(UINT32_C(1) << whole) - 1;
    return whole + part * (1.3431 - 0.3431 * part);
}

/* Bits that the highest eight bits of the packed integers have by their distribution. */
static uint64_t
front_bits(struct weir_packed_scratch *scratch, const uint64_t *residuals, uint32_t count,
    uint64_t base, unsigned width)
{
    memset(scratch->bytes, 0, sizeof scratch->bytes);
    uint64_t most = (UINT64_C(1) << width) - 1;
    unsigned shift = width - 8;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t above = residuals[i] - base;
        scratch->bytes[i % 4][above <= most ? above >> shift : 0]++;
    }
    double bits = count * log2_of(count);
    for (unsigned i = 0; i < 256; i++) {
        uint32_t times = scratch->bytes[0][i] + scratch->bytes[1][i] + scratch->bytes[2][i] +
            scratch->bytes[3][i];
        if (times > 1)
            bits -= times * log2_of(times);
    }
    return (uint64_t)bits;
}

/* Looks at a front: longer tails are no exceptions there, since a rare byte costs little. */
static void
try_split(struct weir_packed_scratch *scratch, const uint64_t *residuals, uint32_t count,
    const struct lengths *lengths, struct weir_packing *out)
{
    uint32_t exceptions = 0;
    uint64_t outside = 0;
    unsigned length = 64;
    for (; length > 0 && exceptions + lengths->counts[length] <= count / 256; length--) {
        exceptions += lengths->counts[length];
        outside += lengths->counts[length] * exception_bits(length);
    }
    struct weir_packing split = {.exceptions = exceptions, .split = true};
    fit(residuals, count, lengths->centre, length, &split);
    if (split.width > WEIR_BITS_WIDTH_MAX - 8)
        return;
    if (split.width < 8)
        split.width = 8;
    split.cost = outside + (split.width - 8) * (uint64_t)count +
        front_bits(scratch, residuals, count, split.base, split.width);
    if (split.cost < SPLIT_GAIN(out->cost))
        *out = split;
}

static void
choose(struct weir_packed_scratch *scratch, const uint64_t *residuals, uint32_t count,
    struct weir_packing *out)
{
    struct lengths lengths;
    measure(residuals, count, &lengths);
    *out = (struct weir_packing){.split = false};
    unsigned length = cheapest(&lengths, count, &out->exceptions);
    fit(residuals, count, lengths.centre, length, out);
    out->cost = out->width * (uint64_t)count;
    for (unsigned i = length + 1; i <= 64; i++)
        out->cost += lengths.counts[i] * exception_bits(i);
    if (scratch->split && out->width > 1)
        try_split(scratch, residuals, count, &lengths, out);
}

/* Residuals of stretches of a column, spread evenly over it. */
static uint32_t
sample(enum weir_transform transform, uint64_t slope, const uint64_t *column, uint32_t count,
    uint64_t *residuals)
{
    uint32_t stretch = count < WHOLE ? count - 2 : STRETCH;
    uint32_t stretches = count < WHOLE ? 1 : STRETCHES, found = 0;
    for (uint32_t s = 0; s < stretches; s++) {
        uint32_t first = 2 + (stretches > 1 ? s * ((count - 2 - STRETCH) / (STRETCHES - 1)) : 0);
        for (uint32_t i = first; i < first + stretch; i++) {
            uint64_t delta = column[i] - column[i - 1];
            uint64_t before = column[i - 1] - column[i - 2];
            residuals[found++] = transform == WEIR_TRANSFORM_NONE ? column[i]
                : transform == WEIR_TRANSFORM_DELTA               ? delta
                : transform == WEIR_TRANSFORM_DELTA2              ? delta - before
                                                                  : column[i] - i * slope;
        }
    }
    return found;
}

static void
plan(struct weir_packed_scratch *scratch, const uint64_t *column, uint32_t count,
    enum weir_transform transform, uint64_t slope, struct weir_packed_plan *out)
{
    uint64_t *residuals = scratch->residuals[0];
    weir_packed_residuals(transform, slope, column, count, residuals);
    out->transform = transform;
    out->slope = slope;
    choose(scratch, residuals, count, &out->packing);
}

void
weir_packed_plan_best(struct weir_packed_scratch *scratch, const uint64_t *column, uint32_t count,
    bool split, struct weir_packed_plan *out)
{
    scratch->split = split;
    if (count < 4) {
        plan(scratch, column, count, WEIR_TRANSFORM_NONE, 0, out);
        return;
    }
    uint64_t slope = weir_packed_slope(column, count);
    uint64_t costs[WEIR_TRANSFORM_COUNT];
    unsigned best = 0, second = 1;
    for (unsigned i = 0; i < WEIR_TRANSFORM_COUNT; i++) {
        struct weir_packing packing;
        uint32_t found =
            sample((enum weir_transform)i, slope, column, count, scratch->residuals[1]);
        choose(scratch, scratch->residuals[1], found, &packing);
        costs[i] = packing.cost;
        if (costs[i] < costs[best]) {
            second = best;
            best = i;
        } else if (i > 0 && (second == best || costs[i] < costs[second])) {
            second = i;
        }
    }
    struct weir_packed_plan other;
    plan(scratch, column, count, (enum weir_transform)best, slope, out);
    plan(scratch, column, count, (enum weir_transform)second, slope, &other);
    if (other.packing.cost < out->packing.cost)
        *out = other;
}

void
weir_packed_plan_fast(struct weir_packed_scratch *scratch, const uint64_t *column, uint32_t count,
    struct weir_packed_plan *out)
{
    int64_t least, most, delta_least, delta_most;
    bounds_of(column, count, &least, &most);
    uint64_t *deltas = scratch->residuals[0];
    weir_packed_residuals(WEIR_TRANSFORM_DELTA, 0, column, count, deltas);
    bounds_of(deltas, count, &delta_least, &delta_most);
    unsigned width = weir_bits_width((uint64_t)most - (uint64_t)least);
    unsigned delta_width = weir_bits_width((uint64_t)delta_most - (uint64_t)delta_least);
    bool by_delta = delta_width < width;
    *out = (struct weir_packed_plan){
        .transform = by_delta ? WEIR_TRANSFORM_DELTA : WEIR_TRANSFORM_NONE,
        .packing = {.base = (uint64_t)(by_delta ? delta_least : least),
            .width = by_delta ? delta_width : width}};
}
