#include "base/cpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define ALL ((WEIR_CPU_AVX512_VBMI << 1) - 1u)

struct variant {
    const char *name;
    uint32_t needs;
    int value;
};

static void
test_cpu_has_a_set_exactly_where_it_has_each_of_it(void **unused)
{
    (void)unused;
    assert_true(weir_cpu_has(0));
    for (uint32_t needs = 0; needs <= ALL; needs++) {
        bool each = true;
        for (uint32_t bit = 1; bit <= ALL; bit <<= 1)
            each &= (needs & bit) == 0 || weir_cpu_has(bit);
        assert_int_equal(weir_cpu_has(needs), each);
    }
#if defined(__x86_64__)
    assert_int_equal(weir_cpu_has(WEIR_CPU_AVX2), !!__builtin_cpu_supports("avx2"));
    assert_int_equal(weir_cpu_has(WEIR_CPU_PCLMUL), !!__builtin_cpu_supports("pclmul"));
#endif
}

static void
test_cpu_best_is_the_first_variant_that_can_run(void **unused)
{
    (void)unused;
    for (uint32_t needs = 0; needs <= ALL; needs++) {
        const struct variant variants[] = {
            {"all", ALL, 0}, {"some", needs, 1}, {"portable", 0, 2}};
        size_t best = weir_cpu_best(&variants[0].needs, sizeof variants[0]);
        assert_true(best < 3 && weir_cpu_has(variants[best].needs));
        for (size_t i = 0; i < best; i++)
            assert_false(weir_cpu_has(variants[i].needs));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpu_has_a_set_exactly_where_it_has_each_of_it),
        cmocka_unit_test(test_cpu_best_is_the_first_variant_that_can_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
