#include "base/crc.h"

#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#define POLYNOMIAL 0x82f63b78u /* 0x1edc6f41 reflected */

uint32_t
weir_crc32c_portable(uint32_t seed, const void *data, size_t size)
{
    const uint8_t *at = data;
    uint32_t crc = ~seed;
    for (size_t i = 0; i < size; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
    }
    return ~crc;
}

#if defined(__x86_64__)
/* The build is for x86-64-v2, which has SSE 4.2. */
uint32_t
weir_crc32c(uint32_t seed, const void *data, size_t size)
{
    const uint8_t *at = data;
    uint64_t crc = ~seed;
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        crc = _mm_crc32_u64(crc, word);
    }
    for (; size > 0; size--, at++)
        crc = _mm_crc32_u8((uint32_t)crc, *at);
    return ~(uint32_t)crc;
}
#else
uint32_t
weir_crc32c(uint32_t seed, const void *data, size_t size)
{
    return weir_crc32c_portable(seed, data, size);
}
#endif
