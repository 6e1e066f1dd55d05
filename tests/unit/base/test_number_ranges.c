/* number_ranges against an array of all numbers. */
#include "base/number_ranges.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define UNKNOWN UINT64_MAX
#define TOTAL_MAX 60

static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state >> 12; /* xorshift64* (Vigna, ACM TOMS 2016) */
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/* The ranges are those of the numbers, and as few as can be. */
static void
check(const struct weir_number_ranges *list, const uint64_t *numbers)
{
    uint32_t index = 0, expected = 0;
    for (uint16_t i = 0; i < list->count; i++) {
        assert_int_equal(list->ranges[i].first, index);
        for (uint64_t at = 0; index < weir_number_ranges_end(list, i); at++, index++)
            assert_int_equal(numbers[index],
                list->ranges[i].known ? list->ranges[i].number + at : UNKNOWN);
    }
    assert_int_equal(index, list->total);
    for (uint32_t i = 0; i < list->total; i++) {
        bool both_known = i > 0 && numbers[i] != UNKNOWN && numbers[i - 1] != UNKNOWN;
        uint64_t next = both_known ? numbers[i - 1] + 1 : i > 0 ? numbers[i - 1] : 0;
        expected += i == 0 || numbers[i] != next;
    }
    assert_int_equal(list->count, expected);
    assert_true(list->count <= list->capacity);
}

static void
test_ranges_agree_with_an_array(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        uint64_t random = seed, numbers[TOTAL_MAX];
        memset(numbers, 0xff, sizeof numbers);
        uint16_t total = (uint16_t)(1 + next_random(&random) % TOTAL_MAX);
        struct weir_number_ranges list;
        assert_int_equal(weir_number_ranges_init(&list, total), WEIR_OK);
        check(&list, numbers);
        for (int step = 0; step < 60; step++) {
            uint16_t first = (uint16_t)(next_random(&random) % total);
            uint16_t count = (uint16_t)(1 + next_random(&random) % (total - first));
            if (next_random(&random) % 2 == 0)
                count = 1;
            /* most of them continue what is there */
            uint64_t number = 100 + first + next_random(&random) % 3;
            if (next_random(&random) % 8 == 0)
                number = next_random(&random) % 2 == 0 ? 0 : WEIR_NUMBER_MAX + 1 - count;
            assert_int_equal(weir_number_ranges_set(&list, first, count, number), WEIR_OK);
            for (uint16_t i = 0; i < count; i++)
                numbers[first + i] = number + i;
            check(&list, numbers);
        }
        weir_number_ranges_fini(&list);
    }
}

static void
test_the_largest_list_takes_each_index_alone(void **state)
{
    (void)state;
    enum { TOTAL = 16384 };
    struct weir_number_ranges list;
    assert_int_equal(weir_number_ranges_init(&list, TOTAL), WEIR_OK);
    for (uint16_t i = 0; i < TOTAL; i += 2)
        assert_int_equal(weir_number_ranges_set(&list, i, 1, i), WEIR_OK);
    assert_int_equal(list.count, TOTAL);
    for (uint16_t i = 1; i < TOTAL; i += 2)
        assert_int_equal(weir_number_ranges_set(&list, i, 1, i), WEIR_OK);
    assert_int_equal(list.count, 1);
    weir_number_ranges_fini(&list);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges_agree_with_an_array),
        cmocka_unit_test(test_the_largest_list_takes_each_index_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
