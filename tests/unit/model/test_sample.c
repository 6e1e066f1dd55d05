/* Samples, batches, and decimals that are exact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/sample.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void
test_sample_key_keeps_series_kind_and_exponent(void **state)
{
    (void)state;
    static const uint64_t series[] = {0, 1, WEIR_SERIES_LIMIT - 1};
    for (int i = 0; i < 3; i++) {
        for (int exponent = -WEIR_EXPONENT_MAX; exponent <= WEIR_EXPONENT_MAX; exponent++) {
            struct weir_sample sample = {
                .key = weir_sample_key(series[i], WEIR_VALUE_DECIMAL, exponent)};
            assert_int_equal(weir_sample_series(&sample), series[i]);
            assert_int_equal(weir_sample_exponent(&sample), exponent);
            assert_int_equal(weir_sample_kind(&sample), WEIR_VALUE_DECIMAL);
        }
    }
    struct weir_sample sample = {.key = weir_sample_key(7, WEIR_VALUE_DOUBLE, 0)};
    assert_int_equal(weir_sample_kind(&sample), WEIR_VALUE_DOUBLE);
    assert_int_equal(sample.key >> 49, 0);
}

/* The C library's strtod is the slow obvious twin. */
static void
test_decimal_is_the_double_that_strtod_reads(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252;
    for (int i = 0; i < 20000; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        int64_t mantissa = (int64_t)(seed % (2 * (uint64_t)WEIR_MANTISSA_MAX + 1)) -
                           WEIR_MANTISSA_MAX;
        int exponent = (int)(seed >> 40) % (2 * WEIR_EXPONENT_MAX + 1) - WEIR_EXPONENT_MAX;
        char text[64];
        snprintf(text, sizeof text, "%llde%d", (long long)mantissa, exponent);
        assert_int_equal(weir_double_bits(weir_decimal_double(mantissa, exponent)),
            weir_double_bits(strtod(text, NULL)));
    }
}

static void
test_sample_double_keeps_every_bit(void **state)
{
    (void)state;
    const double values[] = {0.1, -0.0, INFINITY, 5e-324, 1.7976931348623157e308};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct weir_sample sample = {.key = weir_sample_key(1, WEIR_VALUE_DOUBLE, 0),
            .value = weir_double_bits(values[i])};
        assert_int_equal(weir_double_bits(weir_sample_double(&sample)),
            weir_double_bits(values[i]));
    }
}

static void
test_batch_knows_its_bounds_and_order(void **state)
{
    (void)state;
    struct weir_batch *batch = aligned_alloc(WEIR_CACHE_LINE, sizeof *batch);
    assert_non_null(batch);
    weir_batch_reset(batch);
    weir_batch_append(batch, weir_sample_key(4, WEIR_VALUE_DECIMAL, 0), 1000, 1);
    weir_batch_append(batch, weir_sample_key(4, WEIR_VALUE_DECIMAL, 0), 900, 1);
    weir_batch_append(batch, weir_sample_key(9, WEIR_VALUE_DECIMAL, 0), 1100, 1);
    assert_true(batch->ascending);
    assert_int_equal(batch->series_through, 10);
    assert_int_equal(batch->time_min_ms, 900);
    assert_int_equal(batch->time_max_ms, 1100);
    weir_batch_append(batch, weir_sample_key(3, WEIR_VALUE_DECIMAL, 0), 1000, 1);
    assert_false(batch->ascending);
    assert_int_equal(batch->series_through, 10);
    assert_int_equal(batch->count, 4);
    weir_batch_reset(batch);
    assert_int_equal(batch->count, 0);
    assert_true(batch->ascending);
    free(batch);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample_key_keeps_series_kind_and_exponent),
        cmocka_unit_test(test_decimal_is_the_double_that_strtod_reads),
        cmocka_unit_test(test_sample_double_keeps_every_bit),
        cmocka_unit_test(test_batch_knows_its_bounds_and_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
