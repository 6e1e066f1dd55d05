/* Groups reach the batch as their doubles, one by one, would. */
#include "dataplane/protocol/weir/group_append.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT_MAX 300

static uint64_t state = 3;

static uint64_t
draw(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return state >> 33 ^ state << 31;
}

/* Doubles of any bits, whole numbers of every size, and both sides of each limit. */
static double
draw_value(void)
{
    static const double edges[] = {0.0, -0.0, 1, -1, 0.5, 0x1p51, -0x1p51, 0x1p51 + 1, 0x1p51 + 0.5,
        0x1p52, 0x1p52 + 1, 0x1p53, -0x1p53, 0x1p53 - 1, 0x1p53 + 2, 0x1p62, 0x1p63, -0x1p63,
        0x1p64, 1e300, -1e-300, __builtin_inf(), -__builtin_inf(), __builtin_nan("7")};
    switch (draw() % 4) {
    case 0:
        return weir_bits_double(draw() << 32 ^ draw());
    case 1:
        return (double)((int64_t)(draw() << 10) >> draw() % 64);
    case 2:
        return edges[draw() % (sizeof edges / sizeof edges[0])];
    default:
        return (double)(int64_t)(draw() % 20000) / 100;
    }
}

/* The rule as the header states it. */
static void
check_sample(const struct weir_sample *sample, uint64_t number, double value, int64_t time_ms)
{
    bool whole = value == __builtin_trunc(value) && __builtin_fabs(value) <= 0x1p53 &&
        !(value == 0 && __builtin_signbit(value));
    assert_int_equal(weir_sample_series(sample), number);
    assert_true(sample->time_ms == time_ms);
    assert_int_equal(weir_sample_kind(sample), whole ? WEIR_VALUE_DECIMAL : WEIR_VALUE_DOUBLE);
    assert_int_equal(weir_sample_exponent(sample), 0);
    if (whole)
        assert_true((double)(int64_t)sample->value == value);
    else
        assert_true(sample->value == weir_double_bits(value));
}

static void
test_variants_write_what_the_rule_says(void **unused)
{
    (void)unused;
    for (size_t variant = 0; variant < weir_group_variant_count(); variant++) {
        if (!weir_group_variant_supported(variant))
            continue;
        for (unsigned round = 0; round < 2000; round++) {
            struct weir_sample samples[COUNT_MAX + 1];
            uint64_t numbers[COUNT_MAX];
            uint8_t values[COUNT_MAX * 8 + 1];
            uint32_t count = (uint32_t)(draw() % (round < 100 ? 6 : COUNT_MAX));
            uint8_t *at = values + round % 2; /* not aligned */
            double drawn[COUNT_MAX];
            for (uint32_t i = 0; i < count; i++) {
                numbers[i] = draw() % WEIR_SERIES_LIMIT;
                drawn[i] = draw_value();
                memcpy(at + i * 8, &drawn[i], 8);
            }
            samples[count].key = 12345;
            weir_group_variants[variant].fill(samples, numbers, at, count, -5);
            for (uint32_t i = 0; i < count; i++)
                check_sample(&samples[i], numbers[i], drawn[i], -5);
            assert_int_equal(samples[count].key, 12345);
        }
    }
}

/* Groups of runs, jumps, falls and repeats leave the batch as single samples would. */
static void
test_a_group_leaves_what_single_samples_leave(void **unused)
{
    (void)unused;
    struct weir_batch *got = aligned_alloc(WEIR_CACHE_LINE, sizeof *got);
    struct weir_batch *wanted = aligned_alloc(WEIR_CACHE_LINE, sizeof *wanted);
    for (unsigned round = 0; round < 50; round++) {
        weir_batch_reset(got);
        weir_batch_reset(wanted);
        uint64_t number = draw() % 1000;
        for (unsigned group = 0; group < 100; group++) {
            uint64_t numbers[COUNT_MAX];
            uint8_t values[COUNT_MAX * 8], offsets[COUNT_MAX * 4];
            uint32_t count = 1 + (uint32_t)(draw() % COUNT_MAX);
            unsigned shape = (unsigned)(draw() % 4);
            int64_t time_ms = (int64_t)(draw() % 1000);
            number = shape == 0 ? number : draw() % 100000;
            for (uint32_t i = 0; i < count; i++) {
                double value = draw_value();
                int32_t offset = (int32_t)(draw() % 2000) - 1000;
                number += shape == 3 ? draw() % 70 : shape == 2 ? draw() % 3 : 1;
                numbers[i] = number;
                memcpy(values + i * 8, &value, 8);
                memcpy(offsets + i * 4, &offset, 4);
            }
            const uint8_t *own = shape == 1 ? offsets : NULL;
            weir_group_append(got, numbers, values, own, count, time_ms);
            for (uint32_t i = 0; i < count; i++) {
                struct weir_sample sample;
                int32_t offset = 0;
                if (own != NULL)
                    memcpy(&offset, own + i * 4, 4);
                weir_group_variants[weir_group_variant_count() - 1].fill(&sample, &numbers[i],
                    values + i * 8, 1, time_ms + offset);
                weir_batch_append(wanted, sample.key, sample.time_ms, sample.value);
            }
        }
        assert_int_equal(got->count, wanted->count);
        assert_memory_equal(got->samples, wanted->samples, got->count * sizeof got->samples[0]);
        assert_int_equal(got->run_count, wanted->run_count);
        assert_memory_equal(got->runs, wanted->runs, got->run_count * sizeof got->runs[0]);
        for (uint32_t i = 0; i < got->run_count; i++)
            assert_int_equal(weir_batch_run_last(got, i), weir_batch_run_last(wanted, i));
        assert_true(got->ascending == wanted->ascending);
        assert_int_equal(got->series_through, wanted->series_through);
        assert_int_equal(got->time_min_ms, wanted->time_min_ms);
        assert_int_equal(got->time_max_ms, wanted->time_max_ms);
    }
    free(got);
    free(wanted);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variants_write_what_the_rule_says),
        cmocka_unit_test(test_a_group_leaves_what_single_samples_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
