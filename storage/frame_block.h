/* frame_block: layout of one block of a frame; docs/format/frame.md. Shared by encoder and decoder.
 *
 *   | header 24 | series deltas | times | exponents | controls | values |
 */
#ifndef WEIR_STORAGE_FRAME_BLOCK_H
#define WEIR_STORAGE_FRAME_BLOCK_H

#include "base/sample.h"
#include "storage/frame.h"

struct weir_block_header {
    uint16_t samples;
    uint8_t series_width;   /* bytes of a delta, 0-5 */
    uint8_t time_width;     /* bytes of time - time_min, 0-8 */
    uint8_t exponent_width; /* 0: all are exponent; 1: one int8 a sample */
    int8_t exponent;
    uint16_t reserved;
    uint64_t series_first;
    int64_t time_min_ms;
};
_Static_assert(sizeof(struct weir_block_header) == 24, "block header size is part of the format");

/* Control of a value: 0-8 bytes of a zigzag mantissa, or the bits of a double. */
#define WEIR_CONTROL_DOUBLE 15

/* Stores are eight bytes wide: room behind the last byte of a block. */
#define WEIR_BLOCK_SLACK 8

static inline unsigned
weir_bytes_needed(uint64_t value)
{
    return value == 0 ? 0 : (71u - (unsigned)__builtin_clzll(value)) / 8;
}

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
