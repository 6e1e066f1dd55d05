#include "dataplane/protocol/common/scan.h"

#include "base/assert.h"
#include "base/cpu.h"

#include <stdbool.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

void
weir_scan_scalar(const struct weir_scan_set *set, const uint8_t *data, size_t blocks,
    uint64_t *words)
{
    for (size_t block = 0; block < blocks; block++) {
        uint64_t word = 0;
        for (size_t i = 0; i < WEIR_SCAN_BLOCK; i++) {
            uint8_t byte = data[block * WEIR_SCAN_BLOCK + i];
            bool structural = byte <= 0x20 || byte >= 0x7f || byte == set->bytes[0]
                || byte == set->bytes[1] || byte == set->bytes[2] || byte == set->bytes[3];
            word |= (uint64_t)structural << i;
        }
        words[block] = word;
    }
}

#if defined(__x86_64__)

struct avx2_set {
    __m256i bytes[4];
};

__attribute__((target("avx2"))) static inline uint32_t
avx2_mask(const struct avx2_set *set, const uint8_t *at)
{
    __m256i data = _mm256_loadu_si256((const __m256i *)at);
    /* As signed bytes, printable ASCII is above 0x20; 0x7f is left. */
    __m256i plain = _mm256_cmpgt_epi8(data, _mm256_set1_epi8(0x20));
    __m256i found = _mm256_cmpeq_epi8(data, _mm256_set1_epi8(0x7f));
    for (int i = 0; i < 4; i++)
        found = _mm256_or_si256(found, _mm256_cmpeq_epi8(data, set->bytes[i]));
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_andnot_si256(found, plain));
}

__attribute__((target("avx2"))) void
weir_scan_avx2(const struct weir_scan_set *set, const uint8_t *data, size_t blocks,
    uint64_t *words)
{
    struct avx2_set wide;
    for (int i = 0; i < 4; i++)
        wide.bytes[i] = _mm256_set1_epi8((char)set->bytes[i]);
    for (size_t block = 0; block < blocks; block++) {
        const uint8_t *at = data + block * WEIR_SCAN_BLOCK;
        words[block] = avx2_mask(&wide, at) | (uint64_t)avx2_mask(&wide, at + 32) << 32;
    }
}

__attribute__((target("avx512f,avx512bw"))) void
weir_scan_avx512(const struct weir_scan_set *set, const uint8_t *data, size_t blocks,
    uint64_t *words)
{
    __m512i wide[4];
    for (int i = 0; i < 4; i++)
        wide[i] = _mm512_set1_epi8((char)set->bytes[i]);
    __m512i space = _mm512_set1_epi8(0x20);
    __m512i delete = _mm512_set1_epi8(0x7f);
    for (size_t block = 0; block < blocks; block++) {
        __m512i bytes = _mm512_loadu_si512(data + block * WEIR_SCAN_BLOCK);
        uint64_t word = _mm512_cmple_epu8_mask(bytes, space);
        word |= _mm512_cmpge_epu8_mask(bytes, delete);
        for (int i = 0; i < 4; i++)
            word |= _mm512_cmpeq_epi8_mask(bytes, wide[i]);
        words[block] = word;
    }
}

#else

void
weir_scan_avx2(const struct weir_scan_set *set, const uint8_t *data, size_t blocks,
    uint64_t *words)
{
    weir_scan_scalar(set, data, blocks, words);
}

void
weir_scan_avx512(const struct weir_scan_set *set, const uint8_t *data, size_t blocks,
    uint64_t *words)
{
    weir_scan_scalar(set, data, blocks, words);
}

#endif

const struct weir_scan_variant *
weir_scan_best(void)
{
    static const struct weir_scan_variant variants[] = {
        {"avx512", WEIR_CPU_AVX512, weir_scan_avx512},
        {"avx2", WEIR_CPU_AVX2, weir_scan_avx2},
        {"scalar", 0, weir_scan_scalar},
    };
    return &variants[weir_cpu_best(&variants[0].needs, sizeof variants[0])];
}

/* Scans from the block at base on; bits past the data's end are cleared. */
static void
scan_ahead(struct weir_scan *scan)
{
    size_t bytes = scan->size - scan->base;
    size_t blocks = (bytes + WEIR_SCAN_BLOCK - 1) / WEIR_SCAN_BLOCK;
    scan->count = blocks < WEIR_SCAN_AHEAD ? blocks : WEIR_SCAN_AHEAD;
    scan->index = 0;
    scan->scan(scan->set, scan->data + scan->base, scan->count, scan->words);
    if (scan->count == blocks && bytes % WEIR_SCAN_BLOCK != 0)
        scan->words[blocks - 1] &= (UINT64_C(1) << bytes % WEIR_SCAN_BLOCK) - 1;
    scan->left = scan->words[0];
}

void
weir_scan_init(struct weir_scan *scan, const struct weir_scan_set *set, const uint8_t *data,
    size_t size)
{
    scan->scan = weir_scan_best()->scan;
    scan->set = set;
    scan->data = data;
    scan->size = size;
    scan->base = 0;
    scan->index = 0;
    scan->count = 0;
    scan->left = 0;
}

int
weir_scan_refill(struct weir_scan *scan)
{
    scan->base += scan->count * WEIR_SCAN_BLOCK;
    if (scan->base >= scan->size) {
        scan->base = scan->size;
        scan->count = 0;
        return 0;
    }
    scan_ahead(scan);
    return 1;
}

void
weir_scan_seek(struct weir_scan *scan, size_t at)
{
    WEIR_DCHECK(at <= scan->size);
    if (at < scan->base || at >= scan->base + scan->count * WEIR_SCAN_BLOCK) {
        scan->base = at - at % WEIR_SCAN_BLOCK;
        scan->index = 0;
        scan->count = 0;
        scan->left = 0;
        if (scan->base >= scan->size)
            return;
        scan_ahead(scan);
    }
    scan->index = (at - scan->base) / WEIR_SCAN_BLOCK;
    scan->left = scan->words[scan->index] & ~UINT64_C(0) << at % WEIR_SCAN_BLOCK;
}
