/* Readers and the checkpointer while allocations fail, one after the other: an error by name, no
 * wrong answer, and the next try goes on where this one stood. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/faults/alloc.h"
#include "tests/unit/storage/log/recycle_fixture.h"

#include <inttypes.h>

#define CAPACITY 8

static int
set_up(void **state)
{
    (void)state;
    recycle_make(SEGMENT, CAPACITY);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    recycle_remove();
    return 0;
}

/* Every series known to the reader has its own labels, and no other answers to them. */
static void
check_labels(struct weir_reader *reader, uint64_t count)
{
    assert_int_equal(weir_reader_series_count(reader), count);
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *labels;
        size_t size, found;
        uint64_t *numbers;
        struct weir_label name;
        char value[24];
        int length = snprintf(value, sizeof value, "m%" PRIu64, i);
        weir_reader_labels(reader, i, &labels, &size);
        assert_true(weir_labels_find(labels, size, WEIR_NAME_LABEL, &name));
        assert_int_equal(name.value_size, length);
        assert_memory_equal(name.value, value, (size_t)length);
        struct weir_match match = {WEIR_NAME_LABEL, value, (size_t)length, WEIR_MATCH_EQUAL};
        assert_int_equal(weir_reader_select(reader, &match, 1, &numbers, &found), WEIR_OK);
        assert_int_equal(found, 1);
        assert_int_equal(numbers[0], i);
        free(numbers);
    }
}

static void
check_samples(struct weir_reader *reader, uint64_t first, uint64_t last)
{
    recycle.scanned = first;
    recycle.scanned_samples = 0;
    assert_int_equal(
        weir_reader_scan(reader, NULL, 0, 0, INT64_MAX, recycle_sample, NULL), WEIR_OK);
    assert_int_equal(recycle.scanned, last);
    assert_int_equal(recycle.scanned_samples, recycle.samples);
    assert_int_equal(weir_reader_blocks_corrupt(reader), 0);
}

static void
open_with_each_failure(struct weir_shared *shared, enum alloc_faults kind, uint64_t first)
{
    struct weir_reader *reader = NULL;
    enum weir_err err;
    long n = 1;
    for (;; n++) {
        alloc_faults_arm(n, kind);
        err = weir_reader_open(fixture.directory, shared, &reader);
        if (!alloc_faults_disarm())
            break;
        assert_int_equal(err, WEIR_NOMEM);
        assert_null(reader);
    }
    assert_int_equal(err, WEIR_OK);
    assert_true(n > 30);
    check_labels(reader, recycle.count);
    check_samples(reader, first, recycle.count);
    weir_reader_close(reader);
}

static void
test_reader_that_cannot_be_opened_says_so_and_leaves_nothing(void **state)
{
    (void)state;
    assert_int_equal(recycle_open(), WEIR_OK);
    recycle_write(40);
    recycle_close();
    open_with_each_failure(NULL, alloc_faults_one, 1);
    open_with_each_failure(NULL, alloc_faults_all_from, 1);
}

static void
test_reader_of_a_log_that_turned_over_opens_whole_or_not(void **state)
{
    (void)state;
    assert_int_equal(recycle_open(), WEIR_OK);
    recycle_write(200);
    uint64_t first = recycle_below(weir_log_first(fixture.log)) + 1;
    assert_true(first > 1);
    recycle_close();
    open_with_each_failure(NULL, alloc_faults_one, first);
}

/* A refresh that fails has lost nothing: the next one goes on from there. */
static void
test_refresh_that_fails_skips_no_series_and_no_frame(void **state)
{
    (void)state;
    struct weir_reader *reader;
    bool failed = true;
    recycle_share();
    fixture.options.size_max = 64 * SEGMENT;
    assert_int_equal(recycle_open(), WEIR_OK);
    recycle_announce();
    recycle_write(1);
    assert_int_equal(
        weir_reader_open(fixture.directory, recycle.shared, &reader), WEIR_OK);
    for (long n = 1; failed; n++) {
        recycle_write(4);
        alloc_faults_arm(n, alloc_faults_one);
        enum weir_err err = weir_reader_refresh(reader);
        failed = alloc_faults_disarm();
        assert_int_equal(err, failed ? WEIR_NOMEM : WEIR_OK);
        if (failed) {
            assert_true(weir_reader_series_count(reader) <= recycle.count);
            check_labels(reader, weir_reader_series_count(reader));
            assert_int_equal(weir_reader_refresh(reader), WEIR_OK);
        }
        check_labels(reader, recycle.count);
        check_samples(reader, 1, recycle.count);
    }
    weir_reader_close(reader);
}

static void
test_selection_that_fails_is_no_selection(void **state)
{
    (void)state;
    struct weir_reader *reader;
    struct weir_match match = {WEIR_NAME_LABEL, "m1", 2, WEIR_MATCH_NOT_EQUAL};
    uint64_t *numbers = NULL;
    size_t count = 0;
    assert_int_equal(recycle_open(), WEIR_OK);
    recycle_write(3);
    recycle_close();
    assert_int_equal(weir_reader_open(fixture.directory, NULL, &reader), WEIR_OK);
    alloc_faults_arm(1, alloc_faults_one);
    enum weir_err err = weir_reader_select(reader, &match, 1, &numbers, &count);
    assert_true(alloc_faults_disarm());
    assert_int_equal(err, WEIR_NOMEM);
    assert_null(numbers);
    check_labels(reader, 3);
    weir_reader_close(reader);
}

/* A reader that tells definitions tells each one until it is taken, and none twice after that. */
static enum weir_err
accept_or_refuse(void *context, uint64_t number, const uint8_t *labels, size_t size)
{
    bool *refuse = context;
    *refuse = !*refuse;
    if (*refuse)
        return WEIR_NOMEM;
    return recycle_name(NULL, number, labels, size);
}

static void
test_definition_that_was_refused_is_reported_again(void **state)
{
    (void)state;
    struct weir_reader *reader;
    bool refuse = true; /* the first one is taken */
    recycle_share();
    assert_int_equal(recycle_open(), WEIR_OK);
    recycle_announce();
    recycle_write(1);
    fixture.defined = 0;
    struct weir_reader_options reader_options = {.directory = fixture.directory,
        .shared = recycle.shared,
        .define = accept_or_refuse,
        .define_context = &refuse};
    assert_int_equal(weir_reader_open_with(&reader_options, &reader), WEIR_OK);
    recycle_write(9);
    for (uint64_t reported = 1; reported < 10;
         reported++) { /* takes the one refused, refuses the next */
        assert_int_equal(weir_reader_refresh(reader), WEIR_NOMEM);
        assert_int_equal(fixture.defined, reported);
        assert_int_equal(weir_reader_series_count(reader), reported);
    }
    assert_int_equal(weir_reader_refresh(reader), WEIR_OK);
    assert_int_equal(fixture.defined, 10);
    check_samples(reader, 1, 10);
    weir_reader_close(reader);
}

static uint64_t
checkpoint_now(void)
{
    struct weir_checkpoint checkpoint;
    enum weir_err err = weir_checkpoint_read(recycle.io, fixture.directory, WEIR_LOG_STREAM,
        &checkpoint, NULL);
    assert_true(err == WEIR_OK || err == WEIR_NOT_FOUND);
    return err == WEIR_OK ? checkpoint.first_index : 0;
}

/* One checkpoint with the n-th allocation failing; the next try is another checkpointer's, which
 * waits for nothing. True where none failed and it was made. */
static bool
checkpoint_with_failure(long *n)
{
    uint64_t before = checkpoint_now();
    alloc_faults_arm(*n, alloc_faults_one);
    bool made = weir_checkpointer_run_once(recycle.checkpointer);
    if (!alloc_faults_disarm())
        return made;
    assert_false(made);
    assert_int_equal(checkpoint_now(), before);
    ++*n;
    weir_checkpointer_free(recycle.checkpointer);
    struct weir_checkpointer_options options = {.directory = fixture.directory,
        .io = recycle.io,
        .trim = weir_log_trim(fixture.log)};
    assert_int_equal(weir_checkpointer_new(&options, &recycle.checkpointer), WEIR_OK);
    return false;
}

static void
test_checkpoint_that_fails_leaves_the_last_one(void **state)
{
    (void)state;
    long n = 1;
    bool made = false;
    assert_int_equal(recycle_open(), WEIR_OK);
    while (!made) {
        struct weir_log_done done[WEIR_LOG_INFLIGHT_MAX];
        size_t count;
        recycle_append();
        assert_int_equal(
            weir_log_poll(fixture.log, 0, done, WEIR_LOG_INFLIGHT_MAX, &count), WEIR_OK);
        for (size_t i = 0; i < count; i++)
            recycle.offsets[done[i].batch] = done[i].offset;
        made = checkpoint_with_failure(&n);
        recycle_publish();
    }
    assert_true(n > 8);
    recycle_make_durable();
    uint64_t first = recycle_below(weir_log_first(fixture.log)) + 1;
    recycle_close();
    open_with_each_failure(NULL, alloc_faults_one, first);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_reader_that_cannot_be_opened_says_so_and_leaves_nothing),
        TEST(test_reader_of_a_log_that_turned_over_opens_whole_or_not),
        TEST(test_refresh_that_fails_skips_no_series_and_no_frame),
        TEST(test_selection_that_fails_is_no_selection),
        TEST(test_definition_that_was_refused_is_reported_again),
        TEST(test_checkpoint_that_fails_leaves_the_last_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
