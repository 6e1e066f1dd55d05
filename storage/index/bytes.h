/* index_bytes: integers in as many bytes as they need (seven bits a byte, the lowest first), and a
 * cursor that never leaves its bytes.
 *
 * Threads: any; no state
 * Errors:  a cursor that ended early is bad for good, and reads 0
 */
#ifndef WEIR_STORAGE_INDEX_BYTES_H
#define WEIR_STORAGE_INDEX_BYTES_H

#include "base/assert.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WEIR_INDEX_VARINT_MAX 10

struct weir_index_cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

static inline uint8_t *
weir_index_put(uint8_t *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

static inline uint64_t
weir_index_get(struct weir_index_cursor *cursor)
{
    uint64_t value = 0;
    for (unsigned shift = 0; cursor->at < cursor->end && shift < 64; shift += 7) {
        uint8_t byte = *cursor->at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    cursor->bad = true;
    cursor->at = cursor->end;
    return 0;
}

/* The next size bytes; NULL where there are fewer. */
static inline const uint8_t *
weir_index_get_bytes(struct weir_index_cursor *cursor, uint64_t size)
{
    if (cursor->bad || (uint64_t)(cursor->end - cursor->at) < size) {
        cursor->bad = true;
        cursor->at = cursor->end;
        return NULL;
    }
    const uint8_t *at = cursor->at;
    cursor->at += size;
    return at;
}

static inline uint16_t
weir_index_u16(const void *at)
{
    uint16_t value;
    memcpy(&value, at, 2);
    return value;
}

static inline uint32_t
weir_index_u32(const void *at)
{
    uint32_t value;
    memcpy(&value, at, 4);
    return value;
}

/* Bytes that a and b begin with alike. */
static inline size_t
weir_index_shared(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    size_t most = a_size < b_size ? a_size : b_size;
    size_t shared = 0;
    while (shared < most && a[shared] == b[shared])
        shared++;
    return shared;
}

/* Order of two strings by bytes, a string before those that it begins. */
static inline int
weir_index_compare(const void *a, size_t a_size, const void *b, size_t b_size)
{
    int order = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return order != 0 ? order : (a_size > b_size) - (a_size < b_size);
}

#endif
