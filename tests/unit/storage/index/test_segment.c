/* A segment as a file: its golden bytes, and labels that do not fit the writer's memory. */
#include "tests/unit/storage/index/segment_fixture.h"

#include "storage/index/index_writer.h"

#include <zstd.h>

/* zstd of another version may choose other bytes for the same content. */
#define GOLDEN_ZSTD 10504

static void
ask_all(void)
{
    static const char *const names[] = {"Zone", "code"};
    struct twin_index_question questions[] = {
        {.match_count = 0, .name = "host", .limit = 100},
        {.match_count = 1, .matches = {FIXTURE_MATCH("host", WEIR_INDEX_REGEX, "node-(3|77)")}},
        {.match_count = 1, .matches = {FIXTURE_MATCH("code", WEIR_INDEX_EQUAL, "")},
            .name = "Zone"},
    };
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        questions[i].range = (struct weir_index_range){20000, 20039};
        questions[i].prefix = "";
        questions[i].group_names[0] = names[i % 2];
        questions[i].grouping =
            (struct weir_index_grouping){questions[i].group_names, 1, i == 2};
        twin_index_ask(segment.index, segment.reader, &segment.twin, &questions[i]);
    }
}

static void
test_golden_segment_is_read_and_written(void **state)
{
    (void)state;
    static uint8_t golden[1 << 20];
    fixture_begin();
    assert_int_equal(fixture_merge(), WEIR_OK);
    fixture_read();
    FILE *file = fopen(getenv("WEIR_GOLDEN_INDEX"), "rb");
    assert_non_null(file);
    size_t size = fread(golden, 1, sizeof golden, file);
    fclose(file);
    if (ZSTD_versionNumber() == GOLDEN_ZSTD) {
        assert_int_equal(size, segment.size);
        assert_memory_equal(golden, segment.bytes, size);
    }
    fixture_index_free();
    fixture_index_new();
    assert_int_equal(weir_index_open_segment(segment.index, segment.io,
                         getenv("WEIR_GOLDEN_INDEX")), WEIR_OK);
    ask_all();
    fixture_index_free();
    fixture_end();
}

/* --- labels larger than the writer's memory --- */

#define LARGE_SERIES 4000
#define LARGE_VALUE 3500

/* Two labels of 3,500 bytes that no other series has; 28 MB in all. */
static void
large_series(uint32_t n, struct weir_index_series *out, uint8_t *labels)
{
    static char values[2][LARGE_VALUE + 1];
    static char metric[16];
    for (unsigned i = 0; i < 2; i++)
        for (unsigned at = 0; at < LARGE_VALUE; at += 16)
            sprintf(values[i] + at, "%0*llx", LARGE_VALUE - at < 16 ? LARGE_VALUE - at : 16,
                (unsigned long long)fixture_random(n * 1000u + i * 500u + at / 16) >>
                    (LARGE_VALUE - at < 16 ? 48 : 0));
    struct weir_label list[3] = {
        {(const uint8_t *)"__name__", (const uint8_t *)metric, 8,
            (uint16_t)sprintf(metric, "m%05u", n)},
        {(const uint8_t *)"a", (const uint8_t *)values[0], 1, LARGE_VALUE},
        {(const uint8_t *)"b", (const uint8_t *)values[1], 1, LARGE_VALUE}};
    assert_int_equal(weir_labels_encode(list, 3, labels, &out->size), WEIR_OK);
    out->labels = labels;
    out->number = n;
    out->day_last = WEIR_DAY_OPEN;
}

static enum weir_err
write_large(void)
{
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    struct weir_index_series series = {0};
    struct weir_index_writer_options options = {segment.path, 0, 1, FIXTURE_FILE_ID};
    enum weir_err err = weir_index_writer_open(segment.writer, &options);
    if (err != WEIR_OK)
        return err;
    for (uint32_t n = 0; n < LARGE_SERIES && err == WEIR_OK; n++) {
        large_series(n, &series, labels);
        err = weir_index_writer_add(segment.writer, &series);
    }
    if (err == WEIR_OK)
        while ((err = weir_index_writer_finish(segment.writer, 1000, NULL)) == WEIR_AGAIN)
            continue;
    return err;
}

static void
find_large(uint32_t n, bool last)
{
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    struct weir_index_series series;
    struct weir_index_matchers *matchers;
    struct weir_index_selection *selection;
    struct weir_label label;
    uint64_t number;
    large_series(n, &series, labels);
    assert_true(weir_labels_find(labels, series.size, last ? "b" : "a", &label));
    struct weir_index_match match = {
        last ? "b" : "a", 1, (const char *)label.value, label.value_size, WEIR_INDEX_EQUAL};
    assert_int_equal(weir_index_matchers_new(&match, 1, &matchers), WEIR_OK);
    struct weir_index_view *view = weir_index_view_open(segment.index);
    assert_int_equal(weir_index_select(segment.reader, view, matchers, WEIR_INDEX_ANY_DAY,
                         &selection), WEIR_OK);
    assert_int_equal(weir_index_selection_count(selection), 1);
    assert_int_equal(weir_index_selection_numbers(segment.reader, selection, 0, 1, &number, NULL),
        WEIR_OK);
    assert_int_equal(number, n);
    weir_index_selection_free(selection);
    weir_index_view_close(view);
    weir_index_matchers_free(matchers);
}

static void
test_labels_that_do_not_fit_the_memory_go_through_a_scratch_file(void **state)
{
    (void)state;
    char **names;
    size_t count;
    fixture_begin();
    fixture_index_free();
    fixture_index_new();
    assert_int_equal(write_large(), WEIR_OK);
    assert_true(weir_index_writer_runs(segment.writer) > 1);
    assert_int_equal(weir_index_open_segment(segment.index, segment.io, segment.path), WEIR_OK);
    for (uint32_t n = 0; n < LARGE_SERIES; n += 37)
        find_large(n, n % 2 == 0);
    assert_int_equal(weir_io_list(segment.io, temp_dir, &names, &count), WEIR_OK);
    assert_int_equal(count, 1); /* the scratch file is gone */
    weir_io_list_free(names, count);
    fixture_index_free();
    fixture_end();
}

static long reads_left;

static int
fail_read(void *context, const char *operation, uint64_t offset, size_t size)
{
    (void)context;
    (void)offset;
    (void)size;
    return strcmp(operation, "pread") == 0 && --reads_left == 0 ? -5 : 0;
}

static void
test_scratch_file_that_cannot_be_read_fails_the_segment(void **state)
{
    (void)state;
    char **names;
    size_t count;
    fixture_begin();
    fixture_index_free();
    fixture_index_new();
    for (long n = 1; n <= 2; n++) { /* a run each */
        reads_left = n;
        weir_io_set_fault(segment.io, fail_read, NULL);
        enum weir_err err = write_large();
        weir_io_set_fault(segment.io, NULL, NULL);
        assert_int_equal(err, WEIR_IO);
        assert_int_equal(weir_io_list(segment.io, temp_dir, &names, &count), WEIR_OK);
        assert_int_equal(count, 0);
        weir_io_list_free(names, count);
    }
    fixture_index_free();
    fixture_end();
}

static void
test_series_out_of_order_are_refused(void **state)
{
    (void)state;
    uint8_t labels[2][WEIR_LABELS_BYTES_MAX];
    struct weir_index_series series[2];
    struct weir_index_writer_options options = {segment.path, FIXTURE_SHARD, 1, FIXTURE_FILE_ID};
    fixture_begin();
    fixture_series(1, &series[0], labels[0]);
    fixture_series(0, &series[1], labels[1]);
    assert_int_equal(weir_index_writer_open(segment.writer, &options), WEIR_OK);
    assert_int_equal(weir_index_writer_add(segment.writer, &series[0]), WEIR_OK);
    assert_int_equal(weir_index_writer_add(segment.writer, &series[0]), WEIR_INVALID);
    assert_int_equal(weir_index_writer_add(segment.writer, &series[1]), WEIR_INVALID);
    series[0].number = 5; /* of another shard */
    assert_int_equal(weir_index_writer_add(segment.writer, &series[0]), WEIR_INVALID);
    weir_index_writer_abort(segment.writer);
    fixture_index_free();
    fixture_end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_segment_is_read_and_written),
        cmocka_unit_test(test_labels_that_do_not_fit_the_memory_go_through_a_scratch_file),
        cmocka_unit_test(test_scratch_file_that_cannot_be_read_fails_the_segment),
        cmocka_unit_test(test_series_out_of_order_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
