#include "storage/part/bits.h"

#include "base/cpu.h"
#include "storage/part/bits_variants.h"

#include <stdatomic.h>

const struct weir_bits_variant weir_bits_variants[] = {
#if defined(__x86_64__)
    {"avx512", WEIR_CPU_AVX512 | WEIR_CPU_AVX512_DQ | WEIR_CPU_AVX512_VBMI, weir_bits_unpack_avx512,
        weir_bits_add_bytes_avx512, weir_bits_sum_avx512, weir_bits_sum_xor_avx512,
        weir_bits_add_line_avx512, weir_bits_to_doubles_avx512},
    {"avx2", WEIR_CPU_AVX2, weir_bits_unpack_avx2, weir_bits_add_bytes_avx2, weir_bits_sum_avx2,
        weir_bits_sum_xor_avx2, weir_bits_add_line_avx2, weir_bits_to_doubles_avx2},
#endif
    {"scalar", 0, weir_bits_unpack_scalar, weir_bits_add_bytes_scalar, weir_bits_sum_scalar,
        weir_bits_sum_xor_scalar, weir_bits_add_line_scalar, weir_bits_to_doubles_scalar},
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
