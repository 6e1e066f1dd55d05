/* The variants of the gather give what the portable one gives. */
#include "storage/frame/block_gather.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SAMPLES 5000

static uint64_t state = 7;

static uint64_t
draw(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return state >> 33 ^ state << 31;
}

/* Values at the edges of each width, doubles of any bits, jumps of series of every size. */
static void
fill(struct weir_sample *samples, uint32_t count, unsigned jumps)
{
    uint64_t series = 0;
    for (uint32_t i = 0; i < count; i++) {
        series += draw() % 8 == 0 ? draw() % (UINT64_C(1) << draw() % (jumps + 1)) : 1;
        bool is_double = draw() % 3 == 0;
        uint64_t value = draw() << 32 ^ draw();
        if (!is_double) {
            unsigned width = (unsigned)(draw() % 54);
            int64_t mantissa = (INT64_C(1) << width) - (int64_t)(draw() % 3);
            value = (uint64_t)(draw() % 2 == 0 ? mantissa : -mantissa);
        }
        int exponent = is_double ? 0 : (int)(draw() % 45) - 22;
        samples[i] = (struct weir_sample){
            weir_sample_key(series % WEIR_SERIES_LIMIT, is_double, exponent),
            (int64_t)(draw() % (UINT64_C(1) << draw() % 63)) - (int64_t)(draw() % 1000), value};
    }
}

static void
compare(const struct weir_gather_variant *variant, const struct weir_sample *samples,
    const uint32_t *order, uint32_t count, uint32_t ahead)
{
    static struct weir_block_scratch got, wanted;
    const struct weir_gather_variant *oracle =
        &weir_gather_variants[weir_gather_variant_count() - 1];
    struct weir_block_bounds a = variant->gather(&got, samples, order, count, ahead);
    struct weir_block_bounds b = oracle->gather(&wanted, samples, order, count, ahead);
    assert_true(a.time_min_ms == b.time_min_ms && a.time_max_ms == b.time_max_ms);
    assert_true(a.exponent_min == b.exponent_min && a.exponent_max == b.exponent_max);
    assert_true(a.delta_min == b.delta_min && a.delta_max == b.delta_max);
    assert_memory_equal(got.deltas, wanted.deltas, count * sizeof got.deltas[0]);
    assert_memory_equal(got.times, wanted.times, count * sizeof got.times[0]);
    assert_memory_equal(got.values, wanted.values, count * sizeof got.values[0]);
    assert_memory_equal(got.exponents, wanted.exponents, count);
    assert_memory_equal(got.controls, wanted.controls, count);
    static uint8_t column[2][WEIR_BLOCK_SAMPLES * 6 + 16];
    got.deltas[0] = wanted.deltas[0] = b.delta_min;
    size_t size = (size_t)(variant->narrow(got.deltas, count, a.delta_min, column[0]) - column[0]);
    assert_int_equal(size,
        oracle->narrow(wanted.deltas, count, b.delta_min, column[1]) - column[1]);
    assert_memory_equal(column[0], column[1], size);
}

static void
test_gather_variants_agree(void **unused)
{
    (void)unused;
    static struct weir_sample samples[SAMPLES];
    static uint32_t order[SAMPLES];
    unsigned compared = 0;
    for (uint32_t i = 0; i < SAMPLES; i++)
        order[i] = i;
    for (size_t variant = 0; variant + 1 < weir_gather_variant_count(); variant++) {
        if (!weir_gather_variant_supported(variant))
            continue;
        for (unsigned round = 0; round < 400; round++, compared++) {
            uint32_t count = round < 40 ? 1 + round : 1 + (uint32_t)(draw() % WEIR_BLOCK_SAMPLES);
            uint32_t ahead = round % 2 == 0 ? count : count + (uint32_t)(draw() % 40);
            fill(samples, ahead, round % 30);
            compare(&weir_gather_variants[variant], samples, order, count, ahead);
        }
    }
    assert_true(
        compared > 0 || weir_gather() == &weir_gather_variants[weir_gather_variant_count() - 1]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gather_variants_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
