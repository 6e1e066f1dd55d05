/* The configuration that changes while an instance runs, over the bytes of the shared region. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/live.h"

#include <string.h>

static struct weir_live live;
static struct weir_config config, out;

static int
clear(void **state)
{
    (void)state;
    memset(&live, 0, sizeof live);
    memset(&out, 0, sizeof out);
    memset(&config, 0x5a, sizeof config);
    return 0;
}

static void
test_nothing_is_there_before_the_first_change(void **state)
{
    (void)state;
    uint64_t seen = 0;
    assert_false(weir_live_get(&live, &seen, &out));
    assert_int_equal(seen, 0);
}

static void
test_each_change_is_read_once_and_whole(void **state)
{
    (void)state;
    uint64_t seen = 0;
    config.flush_interval_ms = 77;
    weir_live_set(&live, &config);
    assert_true(weir_live_get(&live, &seen, &out));
    assert_memory_equal(&out, &config, sizeof out);
    assert_false(weir_live_get(&live, &seen, &out));
    config.flush_interval_ms = 78;
    weir_live_set(&live, &config);
    assert_true(weir_live_get(&live, &seen, &out));
    assert_int_equal(out.flush_interval_ms, 78);
}

static void
test_reader_that_comes_late_reads_the_newest_change(void **state)
{
    (void)state;
    uint64_t seen = 0;
    for (uint32_t i = 1; i <= 3; i++) {
        config.flush_interval_ms = i;
        weir_live_set(&live, &config);
    }
    assert_true(weir_live_get(&live, &seen, &out));
    assert_int_equal(out.flush_interval_ms, 3);
    assert_false(weir_live_get(&live, &seen, &out));
}

static void
test_change_that_is_being_written_comes_later(void **state)
{
    (void)state;
    uint64_t seen = 0;
    weir_live_set(&live, &config);
    atomic_fetch_add(&live.sequence, 1); /* the supervisor is in the middle of the next one */
    assert_false(weir_live_get(&live, &seen, &out));
    assert_int_equal(seen, 0);
    weir_live_set(&live, &config);
    assert_true(weir_live_get(&live, &seen, &out));
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup(name, clear)
    const struct CMUnitTest tests[] = {
        T(test_nothing_is_there_before_the_first_change),
        T(test_each_change_is_read_once_and_whole),
        T(test_reader_that_comes_late_reads_the_newest_change),
        T(test_change_that_is_being_written_comes_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
