/* codec: the codecs that a chunk is made of. For the files of this folder.
 *
 * An integer codec sees a column of integers modulo 2^64: mantissas of one exponent, or times. A
 * double codec sees bits.
 *
 * Threads: any; scratch of the caller's
 * Memory:  columns have WEIR_BITS_ROOM places; bytes handed to a decoder have WEIR_BITS_SLACK
 *          readable bytes after them
 * Errors:  a decoder takes any bytes; false where they are none of its own
 */
#ifndef WEIR_STORAGE_PART_CODEC_H
#define WEIR_STORAGE_PART_CODEC_H

#include "storage/part/bits.h"
#include "storage/part/chunk.h"
#include "storage/part/varint.h"

/* What is packed of an integer column v: */
enum weir_transform {
    WEIR_TRANSFORM_NONE = 0,   /* v[i] */
    WEIR_TRANSFORM_DELTA = 1,  /* v[i] - v[i-1] */
    WEIR_TRANSFORM_DELTA2 = 2, /* the differences' differences */
    WEIR_TRANSFORM_LINE = 3,   /* v[i] - i * slope */
};
#define WEIR_TRANSFORM_COUNT 4

/* How a column of residuals is packed, and what that costs. */
struct weir_packing {
    uint64_t base;       /* packed is what lies above it */
    unsigned width;      /* bits an integer, those in the front included */
    uint32_t exceptions; /* residuals outside base .. base + 2^width - 1 */
    bool split;          /* the highest eight bits go to the front */
    uint64_t cost;       /* estimate in bits */
};

struct weir_packed_plan {
    enum weir_transform transform;
    uint64_t slope; /* of a line */
    struct weir_packing packing;
};

/* What a column starts from, so that its sums give the integers again. */
struct weir_packed_starts {
    uint64_t value;
    uint64_t delta;
};

/* Scratch of the integer codec. */
struct weir_packed_scratch {
    uint64_t residuals[2][WEIR_CHUNK_SAMPLES_MAX];
    uint16_t bytes[4][256]; /* how often each value of a front's byte, by place modulo 4 */
    uint8_t front[WEIR_CHUNK_SAMPLES_MAX];
};

/* Fills residuals of one transform. The first ones, which have nothing before them, repeat the
 * first that has, and the starts make up for it. */
struct weir_packed_starts weir_packed_residuals(enum weir_transform transform, uint64_t slope,
    const uint64_t *column, uint32_t count, uint64_t *residuals);
/* From the first integer to the last, rounded. */
uint64_t weir_packed_slope(const uint64_t *column, uint32_t count);

/* Plans the packing of a column: the two transforms that look best on a sample of it are tried in
 * full. split: may part of it go to a front? */
void weir_packed_plan_best(struct weir_packed_scratch *scratch, const uint64_t *column,
    uint32_t count, bool split, struct weir_packed_plan *out);
/* Writes the column as planned; scratch->front is filled where it is split. Returns the end. */
uint8_t *weir_packed_encode(struct weir_packed_scratch *scratch, const uint64_t *column,
    uint32_t count, const struct weir_packed_plan *plan, uint8_t *out);
/* Plans and writes: integers or their differences, without exceptions and front. */
uint8_t *weir_packed_encode_fast(
    struct weir_packed_scratch *scratch, const uint64_t *column, uint32_t count, uint8_t *out);
/* front: `count` bytes where the column is split, else NULL. */
bool weir_packed_decode(
    struct weir_bytes *bytes, const uint8_t *front, uint32_t count, uint64_t *column);

/* The exponent under which the most doubles are decimals (model/sample.h), from `least` down, found
 * on a sample of them. False where fewer than half of the sample are under any. */
bool weir_alp_exponent(const uint64_t *doubles, uint32_t count, int least, int *exponent);
/* The mantissa of a double under exponent (-22 to 22); false where it has none. */
bool weir_alp_mantissa(uint64_t bits, int exponent, int64_t *mantissa);

uint8_t *weir_xor_encode(const uint64_t *doubles, uint32_t count, uint8_t *out);
bool weir_xor_decode(struct weir_bytes *bytes, uint32_t count, uint64_t *doubles);

uint8_t *weir_constant_encode(uint64_t value, unsigned kind, uint8_t *out);
bool weir_constant_decode(struct weir_bytes *bytes, uint64_t *value, unsigned *kind);

#endif
