/* simd: loops over columns in three variants: plain, AVX2, AVX-512. One body gives all three, so
 * that they have the same bits: nothing is fused or reordered, only done several steps at a time.
 *
 *   static WEIR_PROMQL_BODY void scale_body(double *out, uint32_t count) { ... }
 *   WEIR_PROMQL_VARIANTS(scale, (double *out, uint32_t count), (out, count))
 *
 * defines static void scale(double *out, uint32_t count).
 *
 * Threads: any; the limit is set by tests before they run
 */
#ifndef WEIR_CONTROLPLANE_PROMQL_SIMD_H
#define WEIR_CONTROLPLANE_PROMQL_SIMD_H

#include <stdint.h>
#include <string.h>

enum weir_promql_simd { WEIR_PROMQL_PLAIN, WEIR_PROMQL_AVX2, WEIR_PROMQL_AVX512 };

/* The widest variant that the processor has and the limit allows. */
enum weir_promql_simd weir_promql_simd(void);
/* For tests: no wider variant than this from now on. */
void weir_promql_simd_limit(enum weir_promql_simd limit);

#define WEIR_PROMQL_BODY inline __attribute__((always_inline))

#if defined(__x86_64__)
#define WEIR_PROMQL_VARIANTS(name, parameters, arguments)                                          \
    __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw"))) static                           \
    void name##_avx512 parameters                                                                  \
    {                                                                                              \
        name##_body arguments;                                                                     \
    }                                                                                              \
    __attribute__((target("avx2"))) static void name##_avx2 parameters                             \
    {                                                                                              \
        name##_body arguments;                                                                     \
    }                                                                                              \
    static void name##_plain parameters                                                            \
    {                                                                                              \
        name##_body arguments;                                                                     \
    }                                                                                              \
    static inline void name parameters                                                             \
    {                                                                                              \
        enum weir_promql_simd simd = weir_promql_simd();                                           \
        if (simd == WEIR_PROMQL_AVX512)                                                            \
            name##_avx512 arguments;                                                               \
        else if (simd == WEIR_PROMQL_AVX2)                                                         \
            name##_avx2 arguments;                                                                 \
        else                                                                                       \
            name##_plain arguments;                                                                \
    }
#else
#define WEIR_PROMQL_VARIANTS(name, parameters, arguments)                                          \
    static inline void name parameters                                                             \
    {                                                                                              \
        name##_body arguments;                                                                     \
    }
#endif

/* A whole number below 2^51 as a double. AVX2 has no instruction for it: the bits are put into the
 * fraction of 1.5 * 2^52, which is taken off again. */
static WEIR_PROMQL_BODY double
weir_promql_whole(int64_t value)
{
    int64_t bits = value + INT64_C(0x4338000000000000);
    double out;
    memcpy(&out, &bits, sizeof out);
    return out - 6755399441055744.0;
}

#endif
