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

static inline unsigned
weir_varint_bytes(uint64_t value)
{
    return (70u - (unsigned)__builtin_clzll(value | 1)) / 7;
}

/* Seven bits a byte: halves of 28 bits to 32, quarters of 14 to 16, eighths of 7 to 8. */
static inline uint64_t
weir_varint_spread(uint64_t value)
{
    value = (value & UINT64_C(0x0fffffff)) | (value & UINT64_C(0x00fffffff0000000)) << 4;
    value = (value & UINT64_C(0x00003fff00003fff)) | (value & UINT64_C(0x0fffc0000fffc000)) << 2;
    return (value & UINT64_C(0x007f007f007f007f)) | (value & UINT64_C(0x3f803f803f803f80)) << 1;
}

/* Writes up to 8 bytes after the end. Up to eight bytes of an integer are written without a branch,
 * because their number cannot be foretold. */
static inline uint8_t *
weir_varint_put(uint8_t *at, uint64_t value)
{
    if (WEIR_UNLIKELY(value >> 56 != 0)) {
        for (; value >= 0x80; value >>= 7)
            *at++ = (uint8_t)(value | 0x80);
        *at++ = (uint8_t)value;
        return at;
    }
    unsigned bytes = weir_varint_bytes(value);
    uint64_t more = UINT64_C(0x8080808080808080) & ~(UINT64_MAX << 8 * (bytes - 1));
    uint64_t word = weir_varint_spread(value) | more;
    memcpy(at, &word, sizeof word);
    return at + bytes;
}

static inline uint8_t *
weir_varint_put_signed(uint8_t *at, uint64_t value)
{
    return weir_varint_put(at, weir_varint_zigzag(value));
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
