/* bits: columns of 64-bit integers and the loops over them that a decoder is made of.
 *
 * Packed integers lie one after the other, each `width` bits, the first in the lowest bits of the
 * first byte: integer i begins at bit i * width. Eight of them fill `width` bytes, so vectors of
 * eight begin at whole bytes. Widths are 0 to 57 and 64: an integer and the bits before it in its
 * first byte are one load of eight bytes.
 *
 * Threads: any; no state
 * Memory:  an input is readable for WEIR_BITS_SLACK bytes after its end. A column has room for
 *          WEIR_BITS_ROOM(count) integers; those after count are of no meaning afterwards
 *
 * The variants give the same integers; the last one is portable and the tests' oracle.
 */
#ifndef WEIR_STORAGE_PART_BITS_H
#define WEIR_STORAGE_PART_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_BITS_SLACK 64
#define WEIR_BITS_ROOM(count) (((size_t)(count) + 7) & ~(size_t)7)
#define WEIR_BITS_WIDTH_MAX 57 /* or 64 */

struct weir_bits_variant {
    const char *name;
    uint32_t needs; /* base/cpu.h */
    /* column[i] = base + packed integer i */
    void (*unpack)(
        const uint8_t *packed, unsigned width, uint64_t base, size_t count, uint64_t *column);
    /* column[i] += bytes[i] << shift */
    void (*add_bytes)(const uint8_t *bytes, unsigned shift, size_t count, uint64_t *column);
    /* column[i] = start + sum of column[0..i] */
    void (*sum)(uint64_t start, size_t count, uint64_t *column);
    /* column[i] = start ^ column[0] ^ ... ^ column[i] */
    void (*sum_xor)(uint64_t start, size_t count, uint64_t *column);
    /* column[i] += i * slope */
    void (*add_line)(uint64_t slope, size_t count, uint64_t *column);
    /* least and most of column[0..count-1] as signed integers; count is at least 1 */
    void (*bounds)(const uint64_t *column, size_t count, int64_t *least, int64_t *most);
    /* bytes[i] = (column[i] - base) >> shift, and column[i] the bits below; what lies above base is
     * below 2^(shift + 8). bytes has WEIR_BITS_ROOM(count) places */
    void (*split)(uint64_t base, unsigned shift, size_t count, uint64_t *column, uint8_t *bytes);
    /* column[i] = bits of the double of (int64_t)column[i] * 10^exponent */
    void (*to_doubles)(int exponent, size_t count, uint64_t *column);
};

/* Variants compiled in, best first. */
extern const struct weir_bits_variant weir_bits_variants[];
size_t weir_bits_variant_count(void);
bool weir_bits_variant_supported(size_t variant);
/* The best one this CPU can run. */
const struct weir_bits_variant *weir_bits(void);

static inline bool
weir_bits_width_valid(unsigned width)
{
    return width <= WEIR_BITS_WIDTH_MAX || width == 64;
}

/* The smallest valid width that holds value. */
static inline unsigned
weir_bits_width(uint64_t value)
{
    unsigned width = value == 0 ? 0 : 64u - (unsigned)__builtin_clzll(value);
    return width <= WEIR_BITS_WIDTH_MAX ? width : 64;
}

static inline size_t
weir_bits_bytes(unsigned width, size_t count)
{
    return (width * count + 7) / 8;
}

/* Packs the low `width` bits of column[i] - base. Writes weir_bits_bytes and up to 8 bytes more;
 * bits above the width must be 0. Returns the end. */
uint8_t *weir_bits_pack(
    const uint64_t *column, unsigned width, uint64_t base, size_t count, uint8_t *packed);

#endif
