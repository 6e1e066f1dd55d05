/* Conditions are reported when they begin, once a minute, and when they are over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/condition.h"

static void
test_condition_is_reported_at_its_ends_and_once_a_minute(void **state)
{
    (void)state;
    struct weir_condition condition = {0};
    int reported[4] = {0};
    int64_t now_ns = 5;
    assert_int_equal(weir_condition_look(&condition, now_ns), WEIR_CONDITION_NOTHING);
    assert_int_equal(weir_condition_met(&condition, 3, now_ns), WEIR_CONDITION_BEGINS);
    for (int i = 0; i < 600; i++) { /* for ten minutes, each second */
        now_ns += INT64_C(1000000000);
        assert_int_equal(weir_condition_look(&condition, now_ns), WEIR_CONDITION_NOTHING);
        reported[weir_condition_met(&condition, 2, now_ns)]++;
    }
    assert_int_equal(reported[WEIR_CONDITION_LASTS], 10);
    assert_int_equal(reported[WEIR_CONDITION_NOTHING], 590);
    assert_int_equal(condition.count, 1203);
    assert_int_equal(
        weir_condition_look(&condition, now_ns + WEIR_CONDITION_NS - 1), WEIR_CONDITION_NOTHING);
    assert_int_equal(
        weir_condition_look(&condition, now_ns + WEIR_CONDITION_NS), WEIR_CONDITION_ENDS);
    assert_int_equal(condition.met_ns - condition.begun_ns, INT64_C(600000000000));
    assert_int_equal(
        weir_condition_look(&condition, now_ns + 2 * WEIR_CONDITION_NS), WEIR_CONDITION_NOTHING);
    assert_int_equal(
        weir_condition_met(&condition, 1, now_ns + 2 * WEIR_CONDITION_NS), WEIR_CONDITION_BEGINS);
    assert_int_equal(condition.count, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_condition_is_reported_at_its_ends_and_once_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
