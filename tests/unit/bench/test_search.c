/* The search for a rate against receivers that are made up. */
#include "bench/search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define HIGH 1000000.0

/* Runs the search to its end against a receiver that takes `most`, fed by a generator that gives
 * `gives`. Of the trials every `disturbed`th loses a little whatever its rate; 0: none. */
static struct weir_bench_search
search_against(double most, double gives, unsigned disturbed)
{
    struct weir_bench_search search;
    weir_bench_search_init(&search, HIGH);
    for (unsigned trial = 1; search.state != WEIR_BENCH_SEARCHED; trial++) {
        assert_true(trial <= WEIR_BENCH_TRIALS_MAX);
        double sent = search.rate < gives ? search.rate : gives;
        double loss = sent > most ? 1 - most / sent : 0;
        if (disturbed != 0 && trial % disturbed == 0)
            loss += 1e-4;
        weir_bench_search_note(&search, sent, loss);
    }
    return search;
}

static void
test_search_finds_what_a_receiver_takes(void **state)
{
    (void)state;
    for (double most = 60000; most < HIGH; most *= 1.21) {
        struct weir_bench_search search = search_against(most, HIGH, 0);
        assert_true(search.confirmed);
        assert_true(search.rate <= most);
        assert_true(search.rate >= most - HIGH / 32);
    }
}

static void
test_search_stops_at_what_the_generator_gives(void **state)
{
    (void)state;
    struct weir_bench_search search = search_against(HIGH, 330000, 0);
    assert_true(search.confirmed);
    assert_true(search.rate <= 330000 && search.rate >= 330000 * 0.9);
}

static void
test_search_repeats_a_disturbed_trial(void **state)
{
    (void)state;
    struct weir_bench_search search = search_against(400000, HIGH, 3);
    assert_true(search.confirmed);
    assert_true(search.rate <= 400000 && search.rate >= 400000 * 0.8);
}

static void
test_search_keeps_what_went_well_before_the_machine_slowed_down(void **state)
{
    (void)state;
    struct weir_bench_search search;
    weir_bench_search_init(&search, HIGH);
    weir_bench_search_note(&search, 460000, 0);
    weir_bench_search_note(&search, 395000, 0.05);
    assert_int_equal(search.state, WEIR_BENCH_CONFIRM);
    assert_true(search.rate == 460000);
}

static void
test_search_ends_where_no_rate_is_without_loss(void **state)
{
    (void)state;
    struct weir_bench_search search = search_against(0, HIGH, 0);
    assert_false(search.confirmed);
    assert_true(search.rate == 0);
    /* what bisection found is never found again */
    weir_bench_search_init(&search, HIGH);
    while (search.state == WEIR_BENCH_BISECT)
        weir_bench_search_note(&search, search.rate, 0);
    double found = search.rate;
    while (search.state != WEIR_BENCH_SEARCHED)
        weir_bench_search_note(&search, search.rate, 1e-4);
    assert_int_equal(search.trials, WEIR_BENCH_TRIALS_MAX);
    assert_false(search.confirmed);
    assert_true(search.rate > 0 && search.rate < found / 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_search_finds_what_a_receiver_takes),
        cmocka_unit_test(test_search_stops_at_what_the_generator_gives),
        cmocka_unit_test(test_search_repeats_a_disturbed_trial),
        cmocka_unit_test(test_search_keeps_what_went_well_before_the_machine_slowed_down),
        cmocka_unit_test(test_search_ends_where_no_rate_is_without_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
