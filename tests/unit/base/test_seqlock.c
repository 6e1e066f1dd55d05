/* Words under a sequence lock: what a reader gets before, in the middle of and after a write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/seqlock.h"

#define WORDS 3

static _Atomic uint64_t sequence;
static _Atomic uint64_t words[WORDS];

static int
clear(void **state)
{
    (void)state;
    atomic_store(&sequence, 0);
    for (int i = 0; i < WORDS; i++)
        atomic_store(&words[i], 0);
    return 0;
}

static void
test_block_that_was_never_written_reads_as_zeros_under_zero(void **state)
{
    (void)state;
    uint64_t out[WORDS] = {1, 2, 3}, seen = 7;
    assert_false(weir_seqlock_has_moved(&sequence, 0));
    assert_true(weir_seqlock_read(&sequence, words, out, WORDS, &seen));
    assert_int_equal(seen, 0);
    assert_int_equal(out[0] | out[1] | out[2], 0);
}

static void
test_each_write_is_read_under_a_greater_even_sequence(void **state)
{
    (void)state;
    const uint64_t first[WORDS] = {4, 5, 6}, second[WORDS] = {7, 8, UINT64_MAX};
    uint64_t out[WORDS], seen = 0;
    assert_int_equal(weir_seqlock_write(&sequence, words, first, WORDS), 2);
    assert_true(weir_seqlock_has_moved(&sequence, seen));
    assert_true(weir_seqlock_read(&sequence, words, out, WORDS, &seen));
    assert_memory_equal(out, first, sizeof out);
    assert_int_equal(seen, 2);
    assert_false(weir_seqlock_has_moved(&sequence, seen));
    assert_int_equal(weir_seqlock_write(&sequence, words, second, WORDS), 4);
    assert_true(weir_seqlock_has_moved(&sequence, seen));
    assert_true(weir_seqlock_read(&sequence, words, out, WORDS, &seen));
    assert_memory_equal(out, second, sizeof out);
    assert_int_equal(seen, 4);
}

static void
test_block_in_the_middle_of_a_write_is_not_read(void **state)
{
    (void)state;
    uint64_t out[WORDS], seen = 2;
    atomic_store(&sequence, 3);
    assert_true(weir_seqlock_has_moved(&sequence, seen));
    assert_false(weir_seqlock_read(&sequence, words, out, WORDS, &seen));
    assert_int_equal(seen, 2);
}

static void
test_writer_goes_on_where_its_predecessor_died(void **state)
{
    (void)state;
    const uint64_t next[WORDS] = {1, 2, 3};
    uint64_t out[WORDS], seen = 0;
    atomic_store(&sequence, 5);
    atomic_store(&words[0], 9); /* one word of a write that never ended */
    assert_int_equal(weir_seqlock_write(&sequence, words, next, WORDS), 6);
    assert_true(weir_seqlock_read(&sequence, words, out, WORDS, &seen));
    assert_memory_equal(out, next, sizeof out);
    assert_int_equal(seen, 6);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup(name, clear)
    const struct CMUnitTest tests[] = {
        T(test_block_that_was_never_written_reads_as_zeros_under_zero),
        T(test_each_write_is_read_under_a_greater_even_sequence),
        T(test_block_in_the_middle_of_a_write_is_not_read),
        T(test_writer_goes_on_where_its_predecessor_died),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
