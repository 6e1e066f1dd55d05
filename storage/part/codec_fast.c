/* The integer codec for parts that are merged soon. A series has a handful of samples there, so
 * what counts is the cost of a chunk. */
#include "storage/part/codec.h"

/* Up to so many integers one loop is faster than a pass of vectors each for the integers, the
 * differences and the bounds of both. */
#define FEW 16

struct bounds {
    int64_t least;
    int64_t most;
    int64_t delta_least;
    int64_t delta_most;
};

static inline int64_t
smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t
larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Fills the differences, from the second on. */
static struct bounds
few_bounds(const uint64_t *column, uint32_t count, uint64_t *deltas)
{
    int64_t before = (int64_t)column[0];
    struct bounds bounds = {before, before, INT64_MAX, INT64_MIN};
    for (uint32_t i = 1; i < count; i++) {
        int64_t value = (int64_t)column[i];
        int64_t delta = (int64_t)(column[i] - (uint64_t)before);
        deltas[i] = (uint64_t)delta;
        bounds.least = smaller(bounds.least, value);
        bounds.most = larger(bounds.most, value);
        bounds.delta_least = smaller(bounds.delta_least, delta);
        bounds.delta_most = larger(bounds.delta_most, delta);
        before = value;
    }
    return bounds;
}

static struct bounds
many_bounds(const uint64_t *column, uint32_t count, uint64_t *deltas)
{
    const struct weir_bits_variant *bits = weir_bits();
    struct bounds bounds;
    for (uint32_t i = 1; i < count; i++)
        deltas[i] = column[i] - column[i - 1];
    bits->bounds(column, count, &bounds.least, &bounds.most);
    bits->bounds(deltas + 1, count - 1, &bounds.delta_least, &bounds.delta_most);
    return bounds;
}

uint8_t *
weir_packed_encode_fast(
    struct weir_packed_scratch *scratch, const uint64_t *column, uint32_t count, uint8_t *out)
{
    uint64_t *deltas = scratch->residuals[0];
    struct bounds bounds =
        count <= FEW ? few_bounds(column, count, deltas) : many_bounds(column, count, deltas);
    unsigned width = weir_bits_width((uint64_t)bounds.most - (uint64_t)bounds.least);
    unsigned delta_width =
        weir_bits_width((uint64_t)bounds.delta_most - (uint64_t)bounds.delta_least);
    if (count == 1 || delta_width >= width) {
        *out++ = WEIR_TRANSFORM_NONE;
        *out++ = (uint8_t)width;
        out = weir_varint_put_signed(out, (uint64_t)bounds.least);
        return weir_bits_pack(column, width, (uint64_t)bounds.least, count, out);
    }
    /* the first difference repeats the second, and the start makes up for it */
    deltas[0] = deltas[1];
    *out++ = WEIR_TRANSFORM_DELTA;
    *out++ = (uint8_t)delta_width;
    out = weir_varint_put_signed(out, (uint64_t)bounds.delta_least);
    out = weir_varint_put_signed(out, column[0] - deltas[0]);
    return weir_bits_pack(deltas, delta_width, (uint64_t)bounds.delta_least, count, out);
}
