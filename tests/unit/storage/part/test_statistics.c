/* Statistics against a slow twin, and through their bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/sample.h"
#include "storage/part/statistics.h"

#include <math.h>
#include <string.h>

#define COUNT 1000

static uint64_t random_state = 88172645463325252u;
static double values[COUNT];

static uint64_t
next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* As model/statistics.h says it, one thing after the other. */
static struct weir_statistics
twin(uint32_t count)
{
    struct weir_statistics out = {.count = count, .first = values[0], .last = values[count - 1]};
    double lanes[8] = {0};
    uint32_t numbers = 0, before = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (isnan(values[i])) {
            if (weir_double_bits(values[i]) == WEIR_STALE_MARKER)
                out.stale_markers++;
            else
                out.nans++;
            continue;
        }
        lanes[i % 8] += values[i];
        if (numbers == 0 || values[i] < out.min)
            out.min = values[i];
        if (numbers == 0 || values[i] > out.max)
            out.max = values[i];
        if (numbers > 0 && values[i] < values[before])
            out.resets++;
        before = i;
        numbers++;
    }
    if (numbers == 0)
        out.min = out.max = weir_bits_double(UINT64_C(0x7ff8000000000000));
    out.sum = ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
        ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
    return out;
}

/* Returns the bytes that they take. */
static size_t
check(uint32_t count, int exponent)
{
    struct weir_statistics expected = twin(count), found, decoded;
    weir_statistics_of(values, count, &found);
    assert_memory_equal(&found, &expected, sizeof found);
    uint8_t bytes[WEIR_STATISTICS_BYTES_MAX];
    uint8_t *end = weir_statistics_encode(&found, exponent, bytes);
    assert_true(end <= bytes + sizeof bytes);
    struct weir_bytes in = {bytes, end, false};
    assert_true(weir_statistics_decode(&in, exponent, count, &decoded));
    assert_ptr_equal(in.at, end);
    assert_memory_equal(&decoded, &expected, sizeof decoded);
    for (const uint8_t *cut = bytes; cut < end; cut++) {
        in = (struct weir_bytes){bytes, cut, false};
        assert_false(weir_statistics_decode(&in, exponent, count, &decoded));
    }
    return (size_t)(end - bytes);
}

static void
test_decimals_take_few_bytes(void **state)
{
    (void)state;
    size_t size = 0;
    for (int round = 0; round < 100; round++) {
        int64_t value = (int64_t)(next_random() % 100000);
        for (uint32_t i = 0; i < 720; i++)
            values[i] = weir_decimal_double(value += (int64_t)(next_random() % 100), -2);
        size += check(720, -2);
    }
    assert_true(size <= 100 * 14);
}

static void
test_every_count(void **state)
{
    (void)state;
    for (uint32_t count = 1; count < 100; count++) {
        for (uint32_t i = 0; i < count; i++)
            values[i] = weir_decimal_double((int64_t)(next_random() % 2000) - 1000, -1);
        check(count, -1);
    }
}

static void
test_not_a_number_and_stale_markers(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 300; round++) {
        uint32_t count = 1 + round % 40;
        for (uint32_t i = 0; i < count; i++) {
            uint64_t random = next_random();
            values[i] = random % 4 == 0 ? weir_bits_double(WEIR_STALE_MARKER)
                : random % 4 == 1 ? weir_bits_double(UINT64_C(0x7ff8000000000000) | random >> 40)
                                  : (double)(random >> 60);
        }
        check(count, 0);
    }
    values[0] = weir_bits_double(WEIR_STALE_MARKER);
    check(1, 0);
}

/* Of 0 and -0 the earliest is min and max. */
static void
test_zeros_of_both_signs(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 1024; bits++) {
        for (uint32_t i = 0; i < 20; i++)
            values[i] = bits >> i % 10 & 1 ? -0.0 : 0.0;
        check(20, 0);
        values[19] = 5;
        check(20, 0);
    }
}

static void
test_extremes(void **state)
{
    (void)state;
    static const double extremes[] = {
        INFINITY, -INFINITY, 1e300, -1e300, 0x1p53, -0x1p53, 1e22, 5e-324};
    for (uint32_t round = 0; round < 500; round++) {
        uint32_t count = 1 + round % 30;
        for (uint32_t i = 0; i < count; i++)
            values[i] = extremes[next_random() % (sizeof extremes / sizeof extremes[0])];
        check(count, (int)(round % 45) - 22);
    }
    /* numbers near 2^40, and sums past 2^53 */
    for (uint32_t i = 0; i < COUNT; i++)
        values[i] = 0x1p40 + (double)(next_random() % 7);
    check(COUNT, 0);
    for (uint32_t i = 0; i < COUNT; i++)
        values[i] = 0x1p52 + (double)(next_random() % 7);
    check(COUNT, 0);
}

static void
test_bytes_that_are_none(void **state)
{
    (void)state;
    struct weir_statistics out;
    uint8_t high[64] = {0x80}, sum_alone[64] = {8}, no_nans[64] = {16};
    struct weir_bytes in = {high, high + sizeof high, false};
    assert_false(weir_statistics_decode(&in, 0, 5, &out));
    in = (struct weir_bytes){sum_alone, sum_alone + sizeof sum_alone, false};
    assert_false(weir_statistics_decode(&in, 0, 5, &out));
    in = (struct weir_bytes){no_nans, no_nans + sizeof no_nans, false};
    assert_false(weir_statistics_decode(&in, 0, 5, &out));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decimals_take_few_bytes),
        cmocka_unit_test(test_every_count),
        cmocka_unit_test(test_not_a_number_and_stale_markers),
        cmocka_unit_test(test_zeros_of_both_signs),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_bytes_that_are_none),
    };
    return cmocka_run_group_tests_name("storage-part_statistics", tests, NULL, NULL);
}
