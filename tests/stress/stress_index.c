/* One writer adds series and merges them into segments, while readers ask: each finds every series
 * that was there when it began, with its own labels. The cache has room for few blocks. */
#include "model/labels.h"
#include "storage/index/index.h"
#include "storage/index/merge.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SERIES 40000
#define MERGES 4
#define READERS 3

static struct weir_index *series_index;
static char directory[512];
static atomic_bool ended;
static _Atomic uint64_t questions;

#define MUST(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%d: %s (%s)\n", __LINE__, #condition, weir_err_detail()); \
            abort(); \
        } \
    } while (0)

static size_t
make_labels(uint64_t n, uint8_t *out)
{
    char host[32], metric[32];
    struct weir_label list[2] = {
        {(const uint8_t *)"__name__", (const uint8_t *)metric, 8,
            (uint16_t)sprintf(metric, "m%llu", (unsigned long long)n % 40)},
        {(const uint8_t *)"host", (const uint8_t *)host, 4,
            (uint16_t)sprintf(host, "h%llu", (unsigned long long)n / 40)}};
    size_t size;
    MUST(weir_labels_encode(list, 2, out, &size) == WEIR_OK);
    return size;
}

static struct weir_io *
new_io(void)
{
    struct weir_io *io;
    struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    MUST(weir_io_new(&options, &io) == WEIR_OK);
    return io;
}

static void
merge(struct weir_io *io, struct weir_index_reader *reader, struct weir_index_writer *writer,
    uint64_t generation)
{
    char path[600];
    struct weir_index_merge *merging;
    enum weir_err err;
    snprintf(path, sizeof path, "%s/0-%llu.index", directory, (unsigned long long)generation);
    struct weir_index_view *view = weir_index_view_open(series_index);
    struct weir_index_merge_options options = {.reader = reader,
        .view = view,
        .writer = writer,
        .segment = {path, 0, generation, 77 + generation}};
    MUST(weir_index_merge_begin(&options, &merging) == WEIR_OK);
    while ((err = weir_index_merge_step(merging, 1000, NULL)) == WEIR_AGAIN)
        continue;
    MUST(err == WEIR_OK);
    weir_index_merge_end(merging);
    weir_index_view_close(view);
    MUST(weir_index_open_segment(series_index, io, path) == WEIR_OK);
    MUST(unlink(path) == 0); /* those who have it open go on reading it */
}

static void *
write_all(void *argument)
{
    (void)argument;
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    struct weir_io *io = new_io();
    struct weir_index_reader *reader;
    struct weir_index_reader_options options = {.io = io};
    void *memory = aligned_alloc(64, weir_index_writer_memory_min());
    MUST(memory != NULL);
    MUST(weir_index_reader_new(series_index, &options, &reader) == WEIR_OK);
    struct weir_index_writer *writer =
        weir_index_writer_init(memory, weir_index_writer_memory_min(), io);
    for (uint64_t n = 0; n < SERIES; n++) {
        struct weir_index_series series = {.number = n, .labels = labels, .day_last = UINT16_MAX};
        series.size = make_labels(n, labels);
        MUST(weir_index_add(series_index, &series) == WEIR_OK);
        if ((n + 1) % (SERIES / MERGES) == 0)
            merge(io, reader, writer, (n + 1) / (SERIES / MERGES));
    }
    weir_index_reader_free(reader);
    weir_io_free(io);
    free(memory);
    atomic_store(&ended, true);
    return NULL;
}

/* The series of one host, all of which were there if the next host was. */
static void
ask(struct weir_index_reader *reader, struct weir_index_view *view, uint64_t host, bool whole)
{
    char value[32];
    uint8_t expected[WEIR_LABELS_BYTES_MAX];
    struct weir_index_matchers *matchers;
    struct weir_index_selection *selection;
    struct weir_index_match match = {"host", 4, value,
        (size_t)sprintf(value, "h%llu", (unsigned long long)host), WEIR_INDEX_EQUAL};
    MUST(weir_index_matchers_new(&match, 1, &matchers) == WEIR_OK);
    MUST(weir_index_select(reader, view, matchers, WEIR_INDEX_ANY_DAY, &selection) == WEIR_OK);
    MUST(weir_index_selection_sort(reader, selection) == WEIR_OK);
    uint64_t count = weir_index_selection_count(selection);
    MUST(count <= 40 && (count == 40 || !whole));
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *labels;
        size_t size;
        uint64_t number;
        MUST(weir_index_selection_numbers(reader, selection, i, 1, &number, NULL) == WEIR_OK);
        MUST(number / 40 == host);
        MUST(weir_index_selection_labels(reader, selection, i, &labels, &size) == WEIR_OK);
        MUST(size == make_labels(number, expected) && memcmp(labels, expected, size) == 0);
    }
    weir_index_selection_free(selection);
    weir_index_matchers_free(matchers);
}

static void *
ask_all(void *argument)
{
    uint64_t random = 1 + (uint64_t)(uintptr_t)argument;
    struct weir_io *io = new_io();
    struct weir_index_reader *reader;
    struct weir_index_reader_options options = {.io = io};
    MUST(weir_index_reader_new(series_index, &options, &reader) == WEIR_OK);
    for (bool last = false; !last;) {
        last = atomic_load(&ended);
        struct weir_index_view *view = weir_index_view_open(series_index);
        uint64_t hosts = weir_index_view_count(view) / 40;
        for (unsigned i = 0; i < 8 && hosts != 0; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
            ask(reader, view, (random >> 33) % hosts, true);
            atomic_fetch_add(&questions, 1);
        }
        ask(reader, view, hosts, false);
        weir_index_view_close(view);
    }
    MUST(weir_index_reader_counts(reader)->blocks_damaged == 0);
    weir_index_reader_free(reader);
    weir_io_free(io);
    return NULL;
}

static void
test_readers_find_every_series_while_one_adds_and_merges(void **state)
{
    (void)state;
    pthread_t threads[READERS + 1];
    const char *base = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/weir-stress-XXXXXX", base != NULL ? base : ".");
    assert_non_null(mkdtemp(directory));
    assert_int_equal(weir_index_new(1, &series_index), WEIR_OK);
    assert_int_equal(pthread_create(&threads[READERS], NULL, write_all, NULL), 0);
    for (uintptr_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_all, (void *)i), 0);
    for (unsigned i = 0; i <= READERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(atomic_load(&questions) > 100);
    struct weir_io *io = new_io();
    weir_index_free(series_index, io);
    weir_io_free(io);
    assert_int_equal(rmdir(directory), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readers_find_every_series_while_one_adds_and_merges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
