/* chunk_fixture: columns of samples for the tests of storage/part. */
#ifndef WEIR_TESTS_UNIT_STORAGE_PART_CHUNK_FIXTURE_H
#define WEIR_TESTS_UNIT_STORAGE_PART_CHUNK_FIXTURE_H

#include "model/sample.h"
#include "storage/part/chunk.h"

struct columns {
    uint64_t values[WEIR_CHUNK_SAMPLES_MAX];
    int8_t exponents[WEIR_CHUNK_SAMPLES_MAX];
    uint8_t kinds[WEIR_CHUNK_SAMPLES_MAX];
    uint32_t count;
};

static inline uint64_t
next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline void
add_decimal(struct columns *columns, int64_t mantissa, int exponent)
{
    columns->values[columns->count] = (uint64_t)mantissa;
    columns->exponents[columns->count] = (int8_t)exponent;
    columns->kinds[columns->count++] = WEIR_VALUE_DECIMAL;
}

static inline void
add_bits(struct columns *columns, uint64_t bits)
{
    columns->values[columns->count] = bits;
    columns->exponents[columns->count] = 0;
    columns->kinds[columns->count++] = WEIR_VALUE_DOUBLE;
}

static inline struct weir_chunk_values
chunk_values(const struct columns *columns)
{
    return (struct weir_chunk_values){
        columns->values, columns->exponents, columns->kinds, columns->count};
}

static inline uint64_t
bits_at(const struct columns *columns, uint32_t i)
{
    if (columns->kinds[i] == WEIR_VALUE_DOUBLE)
        return columns->values[i];
    return weir_double_bits(
        weir_decimal_double((int64_t)columns->values[i], columns->exponents[i]));
}

#endif
