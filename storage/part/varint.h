/* varint: integers in as many bytes as they need, seven bits a byte, the lowest first; the highest
 * bit says that more follow. At most ten bytes. Signed ones are zigzag (0, -1, 1, -2 as 0 to 3).
 *
 * Threads: any; no state
 * Errors:  a reader stays inside its bytes; one that ended early or read an integer of more than 64
 *          bits is `bad` for good and reads 0
 */
#ifndef WEIR_STORAGE_PART_VARINT_H
#define WEIR_STORAGE_PART_VARINT_H

#include "base/assert.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WEIR_VARINT_BYTES_MAX 10

static inline uint64_t
weir_varint_zigzag(uint64_t value)
{
    return value << 1 ^ -(value >> 63);
}

static inline uint64_t
weir_varint_unzigzag(uint64_t value)
{
    return value >> 1 ^ -(value & 1);
}

static inline uint8_t *
weir_varint_put(uint8_t *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

static inline uint8_t *
weir_varint_put_signed(uint8_t *at, uint64_t value)
{
    return weir_varint_put(at, weir_varint_zigzag(value));
}

static inline unsigned
weir_varint_bytes(uint64_t value)
{
    return (70u - (unsigned)__builtin_clzll(value | 1)) / 7;
}

/* Bytes that are read from their begin on. */
struct weir_bytes {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

static inline uint64_t
weir_varint_get(struct weir_bytes *bytes)
{
    if (WEIR_LIKELY(bytes->at < bytes->end && *bytes->at < 0x80))
        return *bytes->at++;
    uint64_t value = 0;
    for (unsigned shift = 0; bytes->at < bytes->end && shift < 64; shift += 7) {
        uint8_t byte = *bytes->at++;
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    bytes->bad = true;
    bytes->at = bytes->end;
    return 0;
}

static inline uint64_t
weir_varint_get_signed(struct weir_bytes *bytes)
{
    return weir_varint_unzigzag(weir_varint_get(bytes));
}

/* The next `size` bytes; NULL where there are fewer. */
static inline const uint8_t *
weir_bytes_get(struct weir_bytes *bytes, size_t size)
{
    if (bytes->bad || (size_t)(bytes->end - bytes->at) < size) {
        bytes->bad = true;
        return NULL;
    }
    const uint8_t *at = bytes->at;
    bytes->at += size;
    return at;
}

#endif
