/* Which variant of the fast path is used. */
#include "base/cpu.h"
#include "dataplane/protocol/influx/fast.h"
#include "dataplane/protocol/influx/influx.h"

#include <stdatomic.h>

#define BITS (WEIR_CPU_AVX2 | WEIR_CPU_BMI | WEIR_CPU_PCLMUL)

const struct weir_influx_variant weir_influx_variants[] = {
#if defined(__x86_64__)
    {"avx512",
        BITS | WEIR_CPU_VPCLMUL | WEIR_CPU_AVX512 | WEIR_CPU_AVX512_DQ | WEIR_CPU_AVX512_VBMI,
        weir_influx_fast_avx512},
    {"avx2_vpclmul", BITS | WEIR_CPU_VPCLMUL, weir_influx_fast_avx2_vpclmul},
    {"avx2", BITS, weir_influx_fast_avx2},
#endif
    {"scalar", 0, NULL},
};
#define VARIANT_COUNT (sizeof weir_influx_variants / sizeof weir_influx_variants[0])

size_t
weir_influx_variant_count(void)
{
    return VARIANT_COUNT;
}

bool
weir_influx_variant_supported(size_t variant)
{
    return weir_cpu_has(weir_influx_variants[variant].needs);
}

/* Index of the variant in use, plus one; 0 before the first call. Relaxed on both sides: every
 * variant gives the same results. */
static _Atomic size_t variant_in_use;

size_t
weir_influx_variant(void)
{
    size_t variant = atomic_load_explicit(&variant_in_use, memory_order_relaxed);
    if (WEIR_LIKELY(variant > 0))
        return variant - 1;
    variant = weir_cpu_best(&weir_influx_variants[0].needs, sizeof weir_influx_variants[0]);
    weir_influx_variant_choose(variant);
    return variant;
}

void
weir_influx_variant_choose(size_t variant)
{
    WEIR_ASSERT(variant < VARIANT_COUNT && weir_influx_variant_supported(variant));
    atomic_store_explicit(&variant_in_use, variant + 1, memory_order_relaxed);
}

const char *
weir_influx_variant_name(void)
{
    return weir_influx_variants[weir_influx_variant()].name;
}
