#include "model/sample.h"
#include "storage/part/bits.h"
#include "storage/part/bits_variants.h"

#include <string.h>

static inline uint64_t
load(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, 8);
    return value;
}

void
weir_bits_unpack_scalar(
    const uint8_t *packed, unsigned width, uint64_t base, size_t count, uint64_t *column)
{
    uint64_t mask = width == 0 ? 0 : UINT64_MAX >> (64 - width);
    for (size_t i = 0; i < count; i++) {
        size_t bit = i * width;
        column[i] = base + (load(packed + bit / 8) >> bit % 8 & mask);
    }
}

void
weir_bits_add_bytes_scalar(const uint8_t *bytes, unsigned shift, size_t count, uint64_t *column)
{
    for (size_t i = 0; i < count; i++)
        column[i] += (uint64_t)bytes[i] << shift;
}

void
weir_bits_sum_scalar(uint64_t start, size_t count, uint64_t *column)
{
    for (size_t i = 0; i < count; i++)
        column[i] = start += column[i];
}

void
weir_bits_sum_xor_scalar(uint64_t start, size_t count, uint64_t *column)
{
    for (size_t i = 0; i < count; i++)
        column[i] = start ^= column[i];
}

void
weir_bits_add_line_scalar(uint64_t slope, size_t count, uint64_t *column)
{
    for (size_t i = 0; i < count; i++)
        column[i] += i * slope;
}

void
weir_bits_bounds_scalar(const uint64_t *column, size_t count, int64_t *least, int64_t *most)
{
    int64_t low = INT64_MAX, high = INT64_MIN;
    for (size_t i = 0; i < count; i++) {
        int64_t value = (int64_t)column[i];
        low = value < low ? value : low;
        high = value > high ? value : high;
    }
    *least = low;
    *most = high;
}

void
weir_bits_split_scalar(
    uint64_t base, unsigned shift, size_t count, uint64_t *column, uint8_t *bytes)
{
    uint64_t mask = (UINT64_C(1) << shift) - 1;
    for (size_t i = 0; i < count; i++) {
        uint64_t above = column[i] - base;
        bytes[i] = (uint8_t)(above >> shift);
        column[i] = above & mask;
    }
}

void
weir_bits_to_doubles_scalar(int exponent, size_t count, uint64_t *column)
{
    for (size_t i = 0; i < count; i++)
        column[i] = weir_double_bits(weir_decimal_double((int64_t)column[i], exponent));
}

double
weir_bits_power_of_ten(int exponent)
{
    return weir_decimal_double(1, exponent);
}

/* Up to four integers of `width` bits each in one word; width * four is at most 56. */
static inline uint64_t
join(const uint64_t *column, unsigned width, uint64_t base, unsigned four)
{
    uint64_t word = 0;
    for (unsigned i = 0; i < four; i++)
        word |= (column[i] - base) << i * width;
    return word;
}

/* So few are packed one by one: which way to choose cannot be foretold. */
#define FEW 16

/* Packs `step` integers at a time. The word holds fewer than 8 bits when a step begins. */
static inline __attribute__((always_inline)) uint8_t *
pack_by(const uint64_t *column, unsigned width, uint64_t base, size_t count, unsigned step,
    uint8_t *packed)
{
    uint64_t word = 0;
    unsigned filled = 0;
    size_t i = 0;
    for (; i + step <= count; i += step) {
        word |= join(column + i, width, base, step) << filled;
        filled += step * width;
        memcpy(packed, &word, 8);
        packed += filled / 8;
        word = filled < 64 ? word >> (filled & ~7u) : 0;
        filled %= 8;
    }
    for (; i < count; i++) {
        word |= (column[i] - base) << filled;
        filled += width;
        memcpy(packed, &word, 8);
        packed += filled / 8;
        word = filled < 64 ? word >> (filled & ~7u) : 0;
        filled %= 8;
    }
    memcpy(packed, &word, 8);
    return packed + (filled + 7) / 8;
}

uint8_t *
weir_bits_pack(const uint64_t *column, unsigned width, uint64_t base, size_t count, uint8_t *packed)
{
    if (width == 0)
        return packed;
    if (width == 64) {
        for (size_t i = 0; i < count; i++) {
            uint64_t word = column[i] - base;
            memcpy(packed + 8 * i, &word, 8);
        }
        return packed + 8 * count;
    }
    if (width <= 14 && count > FEW)
        return pack_by(column, width, base, count, 4, packed);
    if (width <= 28 && count > FEW)
        return pack_by(column, width, base, count, 2, packed);
    return pack_by(column, width, base, count, 1, packed);
}
