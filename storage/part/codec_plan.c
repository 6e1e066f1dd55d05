#include "storage/part/codec.h"

/* A transform is judged by so many probes of a chunk, each of so many residuals. */
#define PROBES 2
#define PROBE 32
/* Below it a sample would be most of the chunk: all of it is looked at. */
#define WHOLE (PROBES * PROBE + PROBE)
/* The second difference needs three integers. */
#define SAMPLED_MIN 4
/* Residuals whose median is the centre of the histogram. */
#define CENTRE 15
/* A front costs a table a block, and the coder loses a little: it has to save a twentieth. */
#define SPLIT_GAIN(cost) ((cost) - (cost) / 20)

struct lengths {
    uint64_t centre;
    unsigned longest;
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
measure(const uint64_t *residuals, uint32_t count, struct lengths *out)
{
    memset(out->counts, 0, sizeof out->counts);
    out->centre = centre_of(residuals, count);
    uint64_t all = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t zigzag = weir_varint_zigzag(residuals[i] - out->centre);
        all |= zigzag;
        out->counts[length_of(zigzag)]++;
    }
    out->longest = length_of(all);
}

/* Bits that exceptions of one length take: a place, and a varint. */
static uint64_t
exception_bits(unsigned length)
{
    return 16 + 8 * ((length + 8) / 7);
}

/* The length at which packing costs least; longer ones become exceptions. *cost: bits. */
static unsigned
cheapest(const struct lengths *lengths, uint32_t count, uint32_t *exceptions, uint64_t *cost)
{
    unsigned best = lengths->longest;
    uint64_t outside_cost = 0;
    uint32_t outside = 0;
    *exceptions = 0;
    *cost = (best <= WEIR_BITS_WIDTH_MAX ? best : 64) * (uint64_t)count;
    for (unsigned length = lengths->longest; length-- > 0;) {
        outside += lengths->counts[length + 1];
        outside_cost += lengths->counts[length + 1] * exception_bits(length + 1);
        unsigned width = length <= WEIR_BITS_WIDTH_MAX ? length : 64;
        if (width * (uint64_t)count + outside_cost < *cost) {
            best = length;
            *cost = width * (uint64_t)count + outside_cost;
            *exceptions = outside;
        }
        if (outside_cost > *cost)
            break;
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
    uint64_t *above = scratch->residuals[1];
    memcpy(above, residuals, count * sizeof *above);
    weir_bits()->split(base, width - 8, count, above, scratch->front);
    for (uint32_t i = 0; i < count; i++)
        scratch->bytes[i % 4][scratch->front[i]]++;
    double bits = count * log2_of(count);
    for (unsigned i = 0; i < 256; i++) {
        uint32_t times = (uint32_t)scratch->bytes[0][i] + scratch->bytes[1][i] +
            scratch->bytes[2][i] + scratch->bytes[3][i];
        if (times > 1)
            bits -= times * log2_of(times);
    }
    return (uint64_t)bits;
}

/* Looks at a front, for all residuals, or if few are far away for the others. A rare byte costs
 * little there, so tails are no exceptions. lengths: NULL where there are no exceptions. */
static void
try_split(struct weir_packed_scratch *scratch, const uint64_t *residuals, uint32_t count,
    const struct lengths *lengths, struct weir_packing *out)
{
    struct weir_packing split = *out;
    split.split = true;
    uint64_t outside = 0;
    if (lengths != NULL) {
        unsigned length = lengths->longest;
        split.exceptions = 0;
        for (; length > 0 && split.exceptions + lengths->counts[length] <= count / 256; length--) {
            split.exceptions += lengths->counts[length];
            outside += lengths->counts[length] * exception_bits(length);
        }
        fit(residuals, count, lengths->centre, length, &split);
    }
    if (split.width > WEIR_BITS_WIDTH_MAX - 8)
        return;
    if (split.width < 8)
        split.width = 8;
    split.cost = outside + (split.width - 8) * (uint64_t)count +
        front_bits(scratch, residuals, count, split.base, split.width);
    if (split.cost < SPLIT_GAIN(out->cost))
        *out = split;
}

/* Packs all, unless the sample's width says that some are far away. */
static void
choose(const uint64_t *residuals, uint32_t count, unsigned sample_width, struct lengths *lengths,
    struct weir_packing *out)
{
    int64_t least, most;
    weir_bits()->bounds(residuals, count, &least, &most);
    *out = (struct weir_packing){
        .base = (uint64_t)least, .width = weir_bits_width((uint64_t)most - (uint64_t)least)};
    out->cost = out->width * (uint64_t)count;
    lengths->longest = 0;
    if (out->width <= sample_width + 1)
        return;
    struct weir_packing fewer = {.split = false};
    uint64_t cost;
    measure(residuals, count, lengths);
    unsigned length = cheapest(lengths, count, &fewer.exceptions, &cost);
    fit(residuals, count, lengths->centre, length, &fewer);
    unsigned width = length <= WEIR_BITS_WIDTH_MAX ? length : 64;
    fewer.cost = cost - (width - fewer.width) * (uint64_t)count;
    if (fewer.cost < out->cost)
        *out = fewer;
}

/* Residuals of probes of a column, spread evenly over it. */
static uint32_t
sample(enum weir_transform transform, uint64_t slope, const uint64_t *column, uint32_t count,
    uint64_t *residuals)
{
    uint32_t probe = count < WHOLE ? count - 2 : PROBE;
    uint32_t probes = count < WHOLE ? 1 : PROBES, found = 0;
    for (uint32_t s = 0; s < probes; s++) {
        uint32_t first = 2 + (probes > 1 ? s * ((count - 2 - PROBE) / (PROBES - 1)) : 0);
        for (uint32_t i = first; i < first + probe; i++) {
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

/* What a sample says of a transform. */
struct candidate {
    enum weir_transform transform;
    unsigned width;
    uint64_t cost; /* bits of the sample */
};

/* Puts the two cheapest transforms first. */
static void
rank(struct weir_packed_scratch *scratch, const uint64_t *column, uint32_t count, uint64_t slope,
    struct candidate *out)
{
    for (unsigned i = 0; i < WEIR_TRANSFORM_COUNT; i++) {
        struct candidate candidate = {.transform = (enum weir_transform)i};
        struct lengths lengths;
        uint32_t exceptions;
        uint64_t *residuals = scratch->residuals[1];
        uint32_t found = sample(candidate.transform, slope, column, count, residuals);
        measure(residuals, found, &lengths);
        unsigned length = cheapest(&lengths, found, &exceptions, &candidate.cost);
        candidate.width = length <= WEIR_BITS_WIDTH_MAX ? length : 64;
        unsigned at = i;
        for (; at > 0 && candidate.cost < out[at - 1].cost; at--)
            out[at] = out[at - 1];
        out[at] = candidate;
    }
}

/* Plans a column by its two best transforms, then looks whether a front makes it smaller. */
void
weir_packed_plan_best(struct weir_packed_scratch *scratch, const uint64_t *column, uint32_t count,
    bool split, struct weir_packed_plan *out)
{
    struct candidate candidates[WEIR_TRANSFORM_COUNT];
    struct lengths lengths[2];
    uint64_t slope = weir_packed_slope(column, count);
    unsigned tried = count < SAMPLED_MIN ? 1 : 2, best = 0;
    if (count < SAMPLED_MIN)
        candidates[0] = (struct candidate){WEIR_TRANSFORM_NONE, 64, 0};
    else
        rank(scratch, column, count, slope, candidates);
    uint64_t *residuals = scratch->residuals[0];
    for (unsigned i = 0; i < tried; i++) {
        struct weir_packing packing;
        weir_packed_residuals(candidates[i].transform, slope, column, count, residuals);
        choose(residuals, count, candidates[i].width, &lengths[i], &packing);
        if (i == 0 || packing.cost < out->packing.cost) {
            *out = (struct weir_packed_plan){candidates[i].transform, slope, packing};
            best = i;
        }
    }
    if (!split || out->packing.width < 2)
        return;
    if (best == 0 && tried == 2)
        weir_packed_residuals(out->transform, slope, column, count, residuals);
    try_split(scratch, residuals, count, lengths[best].longest > 0 ? &lengths[best] : NULL,
        &out->packing);
}
