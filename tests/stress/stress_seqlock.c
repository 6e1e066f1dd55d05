/* One writer fills a block with one number as fast as it can, while readers copy it: a copy that
 * counts holds one number alone, and the sequence that belongs to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/seqlock.h"

#include <pthread.h>
#include <stdlib.h>

#define WORDS 1024 /* long enough that readers and writer meet, also on one core */
#define READERS 2
#ifdef __SANITIZE_THREAD__
#define WRITES 10000
#else
#define WRITES 200000
#endif

static _Atomic uint64_t sequence;
static _Atomic uint64_t words[WORDS];
static _Atomic bool written; /* release at the writer's end pairs with acquire in the readers */

struct reader {
    pthread_t thread;
    uint64_t whole, torn, wrong;
};

static void
read_once(struct reader *reader)
{
    uint64_t copy[WORDS], seen;
    if (!weir_seqlock_read(&sequence, words, copy, WORDS, &seen)) {
        reader->torn++;
        return;
    }
    reader->whole++;
    for (int i = 0; i < WORDS; i++)
        reader->wrong += copy[i] * 2 != seen;
}

static void *
run_reader(void *argument)
{
    struct reader *reader = argument;
    while (!atomic_load_explicit(&written, memory_order_acquire))
        read_once(reader);
    read_once(reader); /* of what is not written any more */
    return NULL;
}

static void *
run_writer(void *argument)
{
    (void)argument;
    uint64_t values[WORDS];
    for (uint64_t write = 1; write <= WRITES; write++) {
        for (int i = 0; i < WORDS; i++)
            values[i] = write;
        weir_seqlock_write(&sequence, words, values, WORDS);
    }
    atomic_store_explicit(&written, true, memory_order_release);
    return NULL;
}

static void
test_copies_that_count_are_whole_while_the_writer_runs(void **state)
{
    (void)state;
    struct reader readers[READERS] = {0};
    pthread_t writer;
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i].thread, NULL, run_reader, &readers[i]), 0);
    assert_int_equal(pthread_create(&writer, NULL, run_writer, NULL), 0);
    assert_int_equal(pthread_join(writer, NULL), 0);
    uint64_t whole = 0, torn = 0;
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        assert_int_equal(readers[i].wrong, 0);
        whole += readers[i].whole;
        torn += readers[i].torn;
    }
    /* a run in which no reader met the writer shows nothing */
    assert_true(torn > 0);
    assert_true(whole >= READERS);
    print_message("# %llu copies, %llu thrown away\n", (unsigned long long)whole,
        (unsigned long long)torn);
    assert_int_equal(atomic_load(&sequence), 2 * (uint64_t)WRITES);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies_that_count_are_whole_while_the_writer_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
