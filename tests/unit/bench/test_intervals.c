/* The cost of a sample between two readings of a ledger, and over intervals of a real clock. */
#include "bench/report/intervals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

static struct weir_ledger_sum before, after;

static void
test_cost_divides_each_stage_by_what_passed_it(void **state)
{
    (void)state;
    before = after = (struct weir_ledger_sum){0};
    assert_true(weir_bench_intervals_cost(&before, &after) == 0);
    before.total.unit[WEIR_UNIT_SAMPLES].received = 1000;
    before.total.samples[WEIR_STAGE_encode] = 500;
    before.total.cycles[WEIR_STAGE_parse] = 77;
    after = before;
    after.total.unit[WEIR_UNIT_SAMPLES].received += 400;
    after.total.cycles[WEIR_STAGE_receive] = 400;
    after.total.cycles[WEIR_STAGE_parse] += 4000;
    after.total.cycles[WEIR_STAGE_define] = 400;
    after.total.cycles[WEIR_STAGE_sort] = 600;
    after.total.cycles[WEIR_STAGE_write] = 1400;
    assert_true(weir_bench_intervals_cost(&before, &after) == 0); /* no batch was written */
    after.total.samples[WEIR_STAGE_encode] += 200;
    assert_true(weir_bench_intervals_cost(&before, &after) == 12 + 10);
}

/* A stage that takes the same for every sample costs the same in every interval. */
static void
test_intervals_are_of_one_cost_where_every_sample_is(void **state)
{
    (void)state;
    static struct weir_ledger ledger;
    static struct weir_counts counts;
    const struct timespec pause = {.tv_nsec = 1000000};
    struct weir_bench_intervals *intervals;
    assert_int_equal(weir_bench_intervals_start(&ledger, &intervals), WEIR_OK);
    for (int i = 0; i < 5 * WEIR_BENCH_INTERVAL_MS; i++) {
        counts.unit[WEIR_UNIT_SAMPLES].received += 10;
        counts.samples[WEIR_STAGE_encode] += 10;
        counts.cycles[WEIR_STAGE_parse] += 1500;
        counts.cycles[WEIR_STAGE_encode] += 200;
        weir_ledger_publish(&ledger.blocks[WEIR_BLOCK_WORKER], &counts);
        nanosleep(&pause, NULL);
    }
    json_t *found = weir_bench_intervals_stop(intervals);
    assert_true(json_integer_value(json_object_get(found, "intervals")) > 0);
    assert_true(json_real_value(json_object_get(found, "p10")) == 170);
    assert_true(json_real_value(json_object_get(found, "p50")) == 170);
    assert_true(json_real_value(json_object_get(found, "p90")) == 170);
    json_decref(found);
}

static void
test_intervals_without_samples_have_no_cost(void **state)
{
    (void)state;
    static struct weir_ledger ledger;
    struct weir_bench_intervals *intervals;
    assert_int_equal(weir_bench_intervals_start(&ledger, &intervals), WEIR_OK);
    json_t *found = weir_bench_intervals_stop(intervals);
    assert_int_equal(json_integer_value(json_object_get(found, "intervals")), 0);
    assert_true(json_is_null(json_object_get(found, "p50")));
    json_decref(found);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cost_divides_each_stage_by_what_passed_it),
        cmocka_unit_test(test_intervals_are_of_one_cost_where_every_sample_is),
        cmocka_unit_test(test_intervals_without_samples_have_no_cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
