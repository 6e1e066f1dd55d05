/* frame_block: the columns of one block of a frame; docs/format/frame.md.
 *
 *   | header 40 | series | exceptions | times | exponents | controls | values | 8 zero bytes |
 *
 * The zero bytes let a decoder load eight bytes at any place of a column.
 *
 * Threads: none of its own
 * Memory:  scratch of the caller's
 * Errors:  decoding takes any bytes; false where they are no block
 */
#ifndef WEIR_STORAGE_FRAME_BLOCK_H
#define WEIR_STORAGE_FRAME_BLOCK_H

#include "model/sample.h"
#include "storage/frame/frame.h"

struct weir_block_header {
    uint16_t samples;
    uint8_t series_width;  /* bytes of a series delta, 0-5; 1: with exceptions */
    uint8_t time_width;    /* bytes of time - time_min, 0-8 */
    uint8_t exponent_bits; /* of exponent - exponent_min: 0, 4 or 8 */
    int8_t exponent_min;
    uint16_t exceptions;   /* series deltas that do not fit one byte */
    uint32_t value_bytes;
    uint32_t start_bytes;  /* of start timestamps: a place, 0 */
    uint64_t series_first;
    uint64_t series_step;  /* the smallest delta; the column holds what is above it */
    int64_t time_min_ms;
};
_Static_assert(sizeof(struct weir_block_header) == 40, "block header size is part of the format");

#define WEIR_BLOCK_PAD 8
#define WEIR_SERIES_WIDTH_MAX 5
/* In a one-byte column: the delta is the next of the exceptions, five bytes each. */
#define WEIR_SERIES_EXCEPTION 255
/* Control of a value: 0-8 bytes of a zigzag mantissa, or the bits of a double. */
#define WEIR_CONTROL_DOUBLE 15

/* A sample takes at most 5 bytes of series (1 + 5 with exceptions are taken only where that is
 * less), 8 of time, 1 of exponent, 1/2 of control, 8 of value. */
#define WEIR_BLOCK_BOUND(samples) \
    (sizeof(struct weir_block_header) + (samples) * 22 + ((samples) + 1) / 2 + WEIR_BLOCK_PAD)
/* Bytes that the caller leaves free after a block: the encoder stores eight at a time. */
#define WEIR_BLOCK_SLACK 8
_Static_assert(WEIR_BLOCK_BOUND(WEIR_BLOCK_SAMPLES) <= WEIR_BLOCK_BYTES_MAX,
    "a block stays below its limit");

/* A block's samples by column, and what the columns have to hold. */
struct weir_block_scratch {
    uint64_t deltas[WEIR_BLOCK_SAMPLES];
    uint64_t times[WEIR_BLOCK_SAMPLES];
    uint64_t values[WEIR_BLOCK_SAMPLES]; /* zigzag mantissa or bits */
    int8_t exponents[WEIR_BLOCK_SAMPLES];
    uint8_t controls[WEIR_BLOCK_SAMPLES];
};

/* Encodes the `count` samples that order names into out and returns the bytes written. Fills the
 * entry's series, samples and times; ahead: entries of order that may be read after count. */
size_t weir_block_encode(struct weir_block_scratch *scratch, const struct weir_sample *samples,
    const uint32_t *order, uint32_t count, uint32_t ahead, uint8_t *out,
    struct weir_frame_block *entry);

/* Decodes a block of `bytes` bytes whose checksum is right into samples, and checks it against its
 * entry. */
bool weir_block_decode(const uint8_t *block, size_t bytes, const struct weir_frame_block *entry,
    struct weir_sample *samples);

static inline uint64_t
weir_zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static inline int64_t
weir_unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ -(value & 1));
}

#endif
