/* The chaos wrapper's truth, against a second count of what went on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/cli/send/chaos.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PACKETS 20000

struct arrivals {
    uint32_t count;
    uint32_t numbers[2 * PACKETS];
};

static enum weir_err
note(void *context, const uint8_t *packet, size_t size)
{
    struct arrivals *arrivals = context;
    assert_int_equal(size, sizeof arrivals->numbers[0]);
    assert_true(arrivals->count < 2 * PACKETS);
    memcpy(&arrivals->numbers[arrivals->count++], packet, size);
    return WEIR_OK;
}

static struct weir_chaos_truth
run(const char *text, struct arrivals *arrivals)
{
    struct weir_chaos_options options;
    struct weir_chaos *chaos;
    arrivals->count = 0;
    assert_int_equal(weir_chaos_parse(text, &options), WEIR_OK);
    assert_int_equal(weir_chaos_new(&options, note, arrivals, &chaos), WEIR_OK);
    for (uint32_t i = 1; i <= PACKETS; i++)
        assert_int_equal(weir_chaos_push(chaos, (const uint8_t *)&i, sizeof i, i % 7), WEIR_OK);
    assert_int_equal(weir_chaos_flush(chaos), WEIR_OK);
    struct weir_chaos_truth truth = *weir_chaos_truth(chaos);
    weir_chaos_free(chaos);
    return truth;
}

static void
check(const char *text)
{
    static struct arrivals arrivals;
    static bool seen[PACKETS + 1];
    struct weir_chaos_truth truth = run(text, &arrivals);
    struct weir_chaos_truth found = {.packets = PACKETS};
    uint32_t highest = 0;
    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < arrivals.count; i++) {
        uint32_t number = arrivals.numbers[i];
        assert_in_range(number, 1, PACKETS);
        assert_true(number + 1024 > highest); /* still in the window */
        found.duplicated += seen[number];
        found.units_duplicated += seen[number] ? number % 7 : 0;
        found.reordered += !seen[number] && number < highest;
        seen[number] = true;
        highest = number > highest ? number : highest;
    }
    for (uint32_t number = 1; number <= PACKETS; number++) {
        found.units += number % 7;
        found.lost += !seen[number];
        found.units_lost += seen[number] ? 0 : number % 7;
    }
    assert_memory_equal(&truth, &found, sizeof truth);
}

static void
test_the_truth_is_what_went_on(void **state)
{
    (void)state;
    static const char *const texts[] = {"1,0,0,0", "2,0.001,0.001,0.001", "3,0.1,0.1,0.1",
        "4,1,1,1", "5,10,10,10", "6,50,50,50", "7,50,0,0", "8,0,50,0", "9,0,0,50",
        "10,90,90,90"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check(texts[i]);
}

static void
test_about_as_many_as_asked_for_are_hit(void **state)
{
    (void)state;
    static struct arrivals arrivals;
    struct weir_chaos_truth truth = run("11,10,20,30", &arrivals);
    assert_in_range(truth.lost, PACKETS / 10 - 300, PACKETS / 10 + 300);
    assert_in_range(truth.duplicated, PACKETS * 18 / 100 - 400, PACKETS * 18 / 100 + 400);
    assert_in_range(truth.reordered, PACKETS / 10, PACKETS * 3 / 10); /* some copies overtake */
    truth = run("12,0,0,0", &arrivals);
    assert_int_equal(truth.lost + truth.duplicated + truth.reordered, 0);
    assert_int_equal(arrivals.count, PACKETS);
}

static void
test_a_seed_does_the_same_again(void **state)
{
    (void)state;
    static struct arrivals a, b;
    run("77,10,10,10", &a);
    run("77,10,10,10", &b);
    assert_int_equal(a.count, b.count);
    assert_memory_equal(a.numbers, b.numbers, a.count * sizeof a.numbers[0]);
    run("78,10,10,10", &b);
    assert_true(a.count != b.count || memcmp(a.numbers, b.numbers, sizeof a.numbers) != 0);
}

static void
test_a_packet_after_the_heartbeat_that_named_it_is_reordered(void **state)
{
    (void)state;
    static struct arrivals arrivals;
    const struct weir_chaos_options all_held = {.seed = 1, .reorder = UINT64_C(1) << 32};
    struct weir_chaos *chaos;
    uint32_t number = 1;
    for (int reported = 0; reported <= 1; reported++) {
        arrivals.count = 0;
        assert_int_equal(weir_chaos_new(&all_held, note, &arrivals, &chaos), WEIR_OK);
        assert_int_equal(weir_chaos_push(chaos, (const uint8_t *)&number, 4, 1), WEIR_OK);
        assert_int_equal(arrivals.count, 0);
        weir_chaos_heartbeat(chaos, (uint64_t)reported);
        assert_int_equal(weir_chaos_flush(chaos), WEIR_OK);
        assert_int_equal(arrivals.count, 1);
        assert_int_equal(weir_chaos_truth(chaos)->reordered, reported);
        weir_chaos_free(chaos);
    }
}

static void
test_words_that_are_no_chaos_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "1", "1,2,3", "1,2,3,4,5", "x,1,1,1", "-1,1,1,1",
        "1,-1,0,0", "1,91,0,0", "1,nan,0,0", "1,,0,0", "1,1,1,1 "};
    struct weir_chaos_options options;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(weir_chaos_parse(texts[i], &options), WEIR_INVALID);
    assert_int_equal(weir_chaos_parse("7,0.001,50,90", &options), WEIR_OK);
    assert_int_equal(options.seed, 7);
    assert_int_equal(options.loss, 42949);
    assert_int_equal(options.dup, UINT64_C(1) << 31);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_truth_is_what_went_on),
        cmocka_unit_test(test_about_as_many_as_asked_for_are_hit),
        cmocka_unit_test(test_a_seed_does_the_same_again),
        cmocka_unit_test(test_a_packet_after_the_heartbeat_that_named_it_is_reordered),
        cmocka_unit_test(test_words_that_are_no_chaos_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
