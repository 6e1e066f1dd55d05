/* Degraded: a reason is present for a minute after it was last met. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/degraded.h"

static void
test_degraded_reason_is_present_for_a_minute_after_it_was_met(void **state)
{
    (void)state;
    struct weir_degraded degraded = {0};
    int64_t now_ms = 7;
    assert_false(weir_degraded_by(&degraded, WEIR_DEGRADED_series_full, now_ms));
    weir_degraded_set(&degraded, WEIR_DEGRADED_series_full, now_ms);
    assert_true(weir_degraded_by(&degraded, WEIR_DEGRADED_series_full, now_ms));
    assert_false(weir_degraded_by(&degraded, WEIR_DEGRADED_senders_full, now_ms));
    now_ms += WEIR_DEGRADED_LASTS_MS - 1;
    assert_true(weir_degraded_by(&degraded, WEIR_DEGRADED_series_full, now_ms));
    weir_degraded_set(&degraded, WEIR_DEGRADED_series_full, now_ms);
    now_ms += WEIR_DEGRADED_LASTS_MS - 1;
    assert_true(weir_degraded_by(&degraded, WEIR_DEGRADED_series_full, now_ms));
    assert_false(weir_degraded_by(&degraded, WEIR_DEGRADED_series_full, now_ms + 1));
}

static void
test_degraded_is_set_without_a_table_too(void **state)
{
    (void)state;
    weir_degraded_set(NULL, WEIR_DEGRADED_series_full, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_degraded_reason_is_present_for_a_minute_after_it_was_met),
        cmocka_unit_test(test_degraded_is_set_without_a_table_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
