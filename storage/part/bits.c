#include "storage/part/bits.h"

#include "base/cpu.h"
#include "storage/part/bits_variants.h"

#include <stdatomic.h>

#define VARIANT(name)                                                                              \
    weir_bits_unpack_##name, weir_bits_add_bytes_##name, weir_bits_sum_##name,                     \
        weir_bits_sum_xor_##name, weir_bits_add_line_##name, weir_bits_bounds_##name,              \
        weir_bits_split_##name, weir_bits_to_doubles_##name

const struct weir_bits_variant weir_bits_variants[] = {
#if defined(__x86_64__)
    {"avx512", WEIR_CPU_AVX512 | WEIR_CPU_AVX512_DQ | WEIR_CPU_AVX512_VBMI, VARIANT(avx512)},
    {"avx2", WEIR_CPU_AVX2, VARIANT(avx2)},
#endif
    {"scalar", 0, VARIANT(scalar)},
};
#define VARIANT_COUNT (sizeof weir_bits_variants / sizeof weir_bits_variants[0])

size_t
weir_bits_variant_count(void)
{
    return VARIANT_COUNT;
}

bool
weir_bits_variant_supported(size_t variant)
{
    return weir_cpu_has(weir_bits_variants[variant].needs);
}

const struct weir_bits_variant *
weir_bits(void)
{
    /* relaxed on both sides: every variant gives the same integers */
    static _Atomic(const struct weir_bits_variant *) chosen;
    const struct weir_bits_variant *variant = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (variant != NULL)
        return variant;
    size_t best = weir_cpu_best(&weir_bits_variants[0].needs, sizeof weir_bits_variants[0]);
    variant = &weir_bits_variants[best];
    atomic_store_explicit(&chosen, variant, memory_order_relaxed);
    return variant;
}
