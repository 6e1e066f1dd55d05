/* cpu: what this CPU has, and the choice among the variants of a function.
 *
 * A table of variants goes from the best to the portable one, and each says what it needs:
 *
 *   {"avx2", WEIR_CPU_AVX2 | WEIR_CPU_BMI, gather_avx2},
 *   {"scalar", 0, gather_scalar},
 *
 * The compiler's runtime detects the CPU once, before main. The code that chooses keeps the choice:
 * all variants give the same results.
 *
 * Threads: any; no state of its own
 */
#ifndef WEIR_BASE_CPU_H
#define WEIR_BASE_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum weir_cpu_feature {
    WEIR_CPU_SSE41 = 1 << 0,
    WEIR_CPU_PCLMUL = 1 << 1,
    WEIR_CPU_AVX2 = 1 << 2,
    WEIR_CPU_BMI = 1 << 3,         /* BMI1 and BMI2 */
    WEIR_CPU_VPCLMUL = 1 << 4,     /* of the width that the other features give */
    WEIR_CPU_AVX512 = 1 << 5,      /* F, BW, VL */
    WEIR_CPU_AVX512_DQ = 1 << 6,
    WEIR_CPU_AVX512_VBMI = 1 << 7,
};

/* Whether the CPU has all of these; always of 0. */
static inline __attribute__((always_inline)) bool
weir_cpu_has(uint32_t needs)
{
#if defined(__x86_64__)
    return ((needs & WEIR_CPU_SSE41) == 0 || __builtin_cpu_supports("sse4.1")) &&
        ((needs & WEIR_CPU_PCLMUL) == 0 || __builtin_cpu_supports("pclmul")) &&
        ((needs & WEIR_CPU_AVX2) == 0 || __builtin_cpu_supports("avx2")) &&
        ((needs & WEIR_CPU_BMI) == 0 ||
            (__builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))) &&
        ((needs & WEIR_CPU_VPCLMUL) == 0 || __builtin_cpu_supports("vpclmulqdq")) &&
        ((needs & WEIR_CPU_AVX512) == 0 ||
            (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512vl"))) &&
        ((needs & WEIR_CPU_AVX512_DQ) == 0 || __builtin_cpu_supports("avx512dq")) &&
        ((needs & WEIR_CPU_AVX512_VBMI) == 0 || __builtin_cpu_supports("avx512vbmi"));
#else
    return needs == 0;
#endif
}

/* Index of the first variant that this CPU can run. needs: the first one's; they are `stride` bytes
 * apart, and the last one's is 0. */
static inline size_t
weir_cpu_best(const uint32_t *needs, size_t stride)
{
    size_t index = 0;
    const uint8_t *at = (const uint8_t *)needs;
    for (; !weir_cpu_has(*(const uint32_t *)(const void *)at); at += stride)
        index++;
    return index;
}

#endif
