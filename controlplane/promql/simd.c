#include "controlplane/promql/simd.h"

#include <stdatomic.h>

static atomic_int allowed = WEIR_PROMQL_AVX512;

void
weir_promql_simd_limit(enum weir_promql_simd limit)
{
    atomic_store(&allowed, (int)limit);
}

static enum weir_promql_simd
widest(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw"))
        return WEIR_PROMQL_AVX512;
    if (__builtin_cpu_supports("avx2"))
        return WEIR_PROMQL_AVX2;
#endif
    return WEIR_PROMQL_PLAIN;
}

enum weir_promql_simd
weir_promql_simd(void)
{
    enum weir_promql_simd wide = widest();
    int limit = atomic_load_explicit(&allowed, memory_order_relaxed);
    return (int)wide < limit ? wide : (enum weir_promql_simd)limit;
}
