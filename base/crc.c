#include "base/crc.h"

#include "base/cpu.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
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

/* Three streams of `stride` bytes side by side hide the latency of the CRC instruction (Gopal and
 * others, Fast CRC Computation for iSCSI Polynomial Using CRC32 Instruction, Intel 2011). Moving a
 * CRC on over n bytes of zeros is a product with x^(8n); reflected, and with what the instruction
 * multiplies by itself, the factor is x^(8n - 33) modulo the polynomial. */
struct streams {
    size_t stride;
    uint32_t over_two; /* x^(16 stride - 33) */
    uint32_t over_one; /* x^(8 stride - 33) */
};
static const struct streams widths[] = {
    {1024, 0xa51b6135, 0x170076fa}, {128, 0xb9e02b86, 0x0d3b6092}, {32, 0x9e4addf8, 0xba4fc28e}};
#define WIDE_MIN 96 /* bytes that the narrowest takes */

static inline uint64_t
word_at(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

__attribute__((target("pclmul"))) static inline uint64_t
moved(uint64_t crc, uint32_t factor)
{
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128((int64_t)crc),
        _mm_cvtsi64_si128((int64_t)(uint64_t)factor), 0);
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

/* As far as whole widths go; returns the place after them. */
__attribute__((target("pclmul"))) static const uint8_t *
crc_wide(uint64_t *crc, const uint8_t *at, const uint8_t *end)
{
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        const struct streams *width = &widths[i];
        size_t stride = width->stride;
        for (; (size_t)(end - at) >= 3 * stride; at += 3 * stride) {
            uint64_t first = *crc, second = 0, third = 0;
            for (size_t k = 0; k < stride; k += 8) {
                first = _mm_crc32_u64(first, word_at(at + k));
                second = _mm_crc32_u64(second, word_at(at + stride + k));
                third = _mm_crc32_u64(third, word_at(at + 2 * stride + k));
            }
            *crc = moved(first, width->over_two) ^ moved(second, width->over_one) ^ third;
        }
    }
    return at;
}

/* The build is for x86-64-v2, which has SSE 4.2, but perhaps no carry-less multiplication. */
uint32_t
weir_crc32c(uint32_t seed, const void *data, size_t size)
{
    const uint8_t *at = data, *end = at + size;
    uint64_t crc = ~seed;
    if (size >= WIDE_MIN && weir_cpu_has(WEIR_CPU_PCLMUL))
        at = crc_wide(&crc, at, end);
    for (; end - at >= 8; at += 8)
        crc = _mm_crc32_u64(crc, word_at(at));
    for (; at < end; at++)
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
