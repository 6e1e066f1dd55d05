/* The index while operations on files and allocations fail, one after the other: an error by name,
 * nothing left behind, no wrong answer, and the next try goes on. */
#include "tests/unit/storage/index/segment_fixture.h"

#include "tests/unit/faults/alloc.h"

#include <errno.h>

static const struct weir_index_match matches[] = {
    FIXTURE_MATCH("host", WEIR_INDEX_REGEX, "node-1.*"),
    FIXTURE_MATCH("Zone", WEIR_INDEX_NOT_EQUAL, "eu"),
    FIXTURE_MATCH("code", WEIR_INDEX_REGEX, "[0-9a-f]+"),
};
#define MATCHES 3

static int
set_up(void **state)
{
    (void)state;
    fixture_begin();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    fixture_index_free();
    fixture_end();
    return 0;
}

/* --- what is asked --- */

static enum weir_err
add_text(void *context, const char *text, size_t size)
{
    uint64_t *sum = context;
    for (size_t i = 0; i < size; i++)
        *sum = *sum * 31 + (uint8_t)text[i];
    return WEIR_OK;
}

/* Everything that a selection answers, as a sum. */
static enum weir_err
ask_selection(struct weir_index_selection *selection, uint64_t *sum)
{
    static uint32_t ids[FIXTURE_SERIES];
    const char *names[] = {"Zone"};
    struct weir_index_grouping grouping = {names, 1, false}, others = {names, 1, true};
    uint64_t count = weir_index_selection_count(selection);
    uint32_t groups = 0;
    enum weir_err err = weir_index_selection_sort(segment.reader, selection);
    if (err == WEIR_OK)
        err = weir_index_selection_groups(segment.reader, selection, &grouping, ids, &groups);
    *sum = *sum * 31 + groups;
    if (err == WEIR_OK)
        err = weir_index_selection_groups(segment.reader, selection, &others, ids, &groups);
    *sum = *sum * 31 + groups;
    for (uint64_t i = 0; i < count && err == WEIR_OK; i++) {
        const uint8_t *labels;
        size_t size;
        uint64_t number;
        err = weir_index_selection_numbers(segment.reader, selection, i, 1, &number, NULL);
        if (err == WEIR_OK)
            err = weir_index_selection_labels(segment.reader, selection, i, &labels, &size);
        if (err == WEIR_OK)
            err = add_text(sum, (const char *)labels, size);
        *sum = *sum * 31 + number;
    }
    return err;
}

static enum weir_err
ask(uint64_t *sum)
{
    struct weir_index_matchers *matchers;
    struct weir_index_selection *selection = NULL;
    *sum = 0;
    enum weir_err err = weir_index_matchers_new(matches, MATCHES, &matchers);
    if (err != WEIR_OK)
        return err;
    struct weir_index_view *view = weir_index_view_open(segment.index);
    struct weir_index_range range = {20010, 20020};
    err = weir_index_select(segment.reader, view, matchers, range, &selection);
    if (err == WEIR_OK)
        err = ask_selection(selection, sum);
    struct weir_index_strings wanted = {
        .name = "host", .matchers = matchers, .range = range, .prefix = "node-1"};
    if (err == WEIR_OK)
        err = weir_index_strings(segment.reader, view, &wanted, add_text, sum);
    const uint8_t *labels;
    size_t size = 0;
    if (err == WEIR_OK)
        err = weir_index_labels(segment.reader, view,
            ((uint64_t)FIXTURE_SHARD << WEIR_SHARD_BITS) + 77, &labels, &size);
    *sum += size;
    if (selection != NULL)
        weir_index_selection_free(selection);
    weir_index_view_close(view);
    weir_index_matchers_free(matchers);
    return err;
}

/* --- faults --- */

static long operations_left;
static bool failed;

static int
fail_one(void *context, const char *operation, uint64_t offset, size_t size)
{
    (void)offset;
    (void)size;
    if (strcmp(operation, "unlink") == 0 || --operations_left != 0)
        return 0;
    failed = true;
    return *(const int *)context;
}

static void
arm(long n, int *error)
{
    operations_left = n;
    failed = false;
    weir_io_set_fault(segment.io, fail_one, error);
}

static bool
disarm(void)
{
    weir_io_set_fault(segment.io, NULL, NULL);
    return failed;
}

static void
check_folder(size_t files)
{
    char **names;
    size_t count;
    assert_int_equal(weir_io_list(segment.io, temp_dir, &names, &count), WEIR_OK);
    assert_int_equal(count, files);
    weir_io_list_free(names, count);
}

static void
merge_with_each_fault(int error, enum weir_err expected)
{
    uint64_t before, after;
    unsigned as_expected = 0;
    assert_int_equal(ask(&before), WEIR_OK);
    long n = 1;
    for (;; n++) {
        arm(n, &error);
        enum weir_err err = fixture_merge();
        if (!disarm()) {
            assert_int_equal(err, WEIR_OK);
            break;
        }
        assert_true(err == expected || err == WEIR_IO); /* a failed sync is WEIR_IO by any cause */
        as_expected += err == expected;
        check_folder(0);
    }
    assert_true(as_expected > 1);
    check_folder(1);
    assert_int_equal(weir_index_open_segment(segment.index, segment.io, segment.path), WEIR_OK);
    assert_int_equal(ask(&after), WEIR_OK);
    assert_int_equal(before, after);
}

static void
test_merge_whose_device_fails_leaves_nothing(void **state)
{
    (void)state;
    merge_with_each_fault(-EIO, WEIR_IO);
}

static void
test_merge_on_a_full_device_leaves_nothing(void **state)
{
    (void)state;
    merge_with_each_fault(-ENOSPC, WEIR_FULL);
}

static void
test_query_whose_device_fails_says_so_and_the_next_one_answers(void **state)
{
    (void)state;
    uint64_t expected, sum;
    int error = -EIO;
    assert_int_equal(ask(&expected), WEIR_OK);
    assert_int_equal(fixture_merge(), WEIR_OK);
    fixture_index_free();
    long n = 1;
    for (bool again = true; again; n++) {
        fixture_index_new();
        arm(n, &error);
        enum weir_err err =
            weir_index_open_segment(segment.index, segment.io, segment.path);
        if (err == WEIR_OK)
            err = ask(&sum);
        again = disarm();
        assert_int_equal(err, again ? WEIR_IO : WEIR_OK);
        if (again) {
            assert_int_equal(
                weir_index_open_segment(segment.index, segment.io, segment.path), WEIR_OK);
            assert_int_equal(ask(&sum), WEIR_OK);
        }
        assert_int_equal(sum, expected);
        assert_int_equal(weir_index_reader_counts(segment.reader)->blocks_damaged, 0);
        if (again)
            fixture_index_free();
    }
    assert_true(n > 10);
}

/* One kind of call with each allocation failing: *sum is right where it succeeds. */
typedef enum weir_err call_fn(uint64_t *sum);

static void
call_with_each_failure(call_fn *call, uint64_t expected, long least)
{
    uint64_t sum = 0;
    long n = 1;
    for (;; n++) {
        alloc_faults_arm(n, alloc_faults_one);
        enum weir_err err = call(&sum);
        bool one = alloc_faults_disarm();
        assert_true(err == WEIR_OK || (one && err == WEIR_NOMEM));
        if (err == WEIR_OK)
            assert_int_equal(sum, expected);
        if (!one)
            break;
    }
    assert_true(n > least);
}

static enum weir_err
merge_and_open(uint64_t *sum)
{
    enum weir_err err = fixture_merge();
    if (err == WEIR_OK)
        err = weir_index_open_segment(segment.index, segment.io, segment.path);
    *sum = 0;
    return err;
}

static void
test_calls_without_memory_say_so_and_change_nothing(void **state)
{
    (void)state;
    uint64_t expected, sum;
    assert_int_equal(ask(&expected), WEIR_OK);
    call_with_each_failure(ask, expected, 10);
    call_with_each_failure(merge_and_open, 0, 5);
    assert_int_equal(ask(&sum), WEIR_OK);
    assert_int_equal(sum, expected);
    call_with_each_failure(ask, expected, 10);
}

/* A series that could not be added is not there, and can be added again. */
static void
test_add_without_memory_adds_nothing(void **state)
{
    (void)state;
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    struct weir_index_series series;
    fixture_index_free();
    fixture_index_new();
    long failures = 0, n = 1;
    for (uint64_t i = 0; i < FIXTURE_SERIES;) {
        fixture_series(i, &series, labels);
        alloc_faults_arm(n, alloc_faults_one);
        enum weir_err err = weir_index_add(segment.index, &series);
        bool one = alloc_faults_disarm();
        struct weir_index_view *view = weir_index_view_open(segment.index);
        assert_int_equal(err, one ? WEIR_NOMEM : WEIR_OK);
        assert_int_equal(weir_index_view_count(view), i + !one);
        weir_index_view_close(view);
        failures += one;
        n = one ? n + 1 : 1;
        i += !one;
    }
    assert_true(failures >= 5);
    uint64_t sum;
    assert_int_equal(ask(&sum), WEIR_OK);
}

static void
test_index_without_memory_is_not_made(void **state)
{
    (void)state;
    struct weir_index *index = NULL;
    struct weir_index_reader *reader = NULL;
    struct weir_index_reader_options options = {.io = segment.io};
    enum weir_err err = WEIR_NOMEM;
    long n = 1;
    for (; err != WEIR_OK; n++) {
        alloc_faults_arm(n, alloc_faults_one);
        err = weir_index_new(2u << 20, &index);
        if (err == WEIR_OK)
            err = weir_index_reader_new(index, &options, &reader);
        bool one = alloc_faults_disarm();
        assert_int_equal(err, one ? WEIR_NOMEM : WEIR_OK);
        if (one && index != NULL)
            weir_index_free(index, segment.io);
        if (one)
            index = NULL;
    }
    assert_true(n > 6);
    weir_index_reader_free(reader);
    weir_index_free(index, segment.io);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_merge_whose_device_fails_leaves_nothing),
        TEST(test_merge_on_a_full_device_leaves_nothing),
        TEST(test_query_whose_device_fails_says_so_and_the_next_one_answers),
        TEST(test_calls_without_memory_say_so_and_change_nothing),
        TEST(test_add_without_memory_adds_nothing),
        TEST(test_index_without_memory_is_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
