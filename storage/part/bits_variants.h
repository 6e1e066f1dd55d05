/* bits_variants: the functions that the table in bits.c names. For bits.c and its variants only. */
#ifndef WEIR_STORAGE_PART_BITS_VARIANTS_H
#define WEIR_STORAGE_PART_BITS_VARIANTS_H

#include <stddef.h>
#include <stdint.h>

#define WEIR_BITS_VARIANT(name)                                                                    \
    void weir_bits_unpack_##name(                                                                  \
        const uint8_t *packed, unsigned width, uint64_t base, size_t count, uint64_t *column);     \
    void weir_bits_add_bytes_##name(                                                               \
        const uint8_t *bytes, unsigned shift, size_t count, uint64_t *column);                     \
    void weir_bits_sum_##name(uint64_t start, size_t count, uint64_t *column);                     \
    void weir_bits_sum_xor_##name(uint64_t start, size_t count, uint64_t *column);                 \
    void weir_bits_add_line_##name(uint64_t slope, size_t count, uint64_t *column);                \
    void weir_bits_bounds_##name(                                                                  \
        const uint64_t *column, size_t count, int64_t *least, int64_t *most);                      \
    void weir_bits_split_##name(                                                                   \
        uint64_t base, unsigned shift, size_t count, uint64_t *column, uint8_t *bytes);            \
    void weir_bits_to_doubles_##name(int exponent, size_t count, uint64_t *column);

WEIR_BITS_VARIANT(scalar)
#if defined(__x86_64__)
WEIR_BITS_VARIANT(avx2)
WEIR_BITS_VARIANT(avx512)
#endif

/* 10^exponent as a double, exact; exponent 0 to 22. */
double weir_bits_power_of_ten(int exponent);

#endif
