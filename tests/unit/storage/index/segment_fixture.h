/* segment_fixture: one index segment of made series, the same each time, and its slow twin. */
#ifndef WEIR_TESTS_UNIT_STORAGE_INDEX_SEGMENT_FIXTURE_H
#define WEIR_TESTS_UNIT_STORAGE_INDEX_SEGMENT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/labels.h"
#include "storage/index/format.h"
#include "tests/fuzz/twin_index.h"
#include "tests/unit/storage/temp_dir.h"

#include <string.h>

#define FIXTURE_SERIES 1500
#define FIXTURE_SHARD 2
#define FIXTURE_FILE_ID UINT64_C(0x1122334455667788)

static struct {
    struct weir_io *io;
    struct weir_index *index;
    struct weir_index_reader *reader;
    void *writer_memory;
    struct weir_index_writer *writer;
    struct twin_index twin;
    char path[600];
    uint8_t *bytes; /* of the whole segment */
    uint64_t size;
} segment;

static inline uint64_t
fixture_random(uint64_t n)
{
    n = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
    n = (n ^ n >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    return n ^ n >> 27;
}

static inline void
fixture_series(uint64_t n, struct weir_index_series *out, uint8_t *labels)
{
    char host[32], code[32], metric[32];
    struct weir_label list[4] = {
        {(const uint8_t *)"__name__", (const uint8_t *)metric, 8,
            (uint16_t)sprintf(metric, "metric_%u", (unsigned)(n % 11))},
        {(const uint8_t *)"host", (const uint8_t *)host, 4,
            (uint16_t)sprintf(host, "node-%u", (unsigned)(n / 11))},
        {(const uint8_t *)"code", (const uint8_t *)code, 4,
            (uint16_t)sprintf(code, "%llx", (unsigned long long)fixture_random(n / 2) >> 8)},
        {(const uint8_t *)"Zone", (const uint8_t *)(n % 3 == 0 ? "eu" : "us"), 4, 2}};
    size_t count = n % 5 == 0 ? 2 : 4;
    assert_int_equal(weir_labels_encode(list, count, labels, &out->size), WEIR_OK);
    out->labels = labels;
    out->number = ((uint64_t)FIXTURE_SHARD << WEIR_SHARD_BITS) + n;
    out->day_first = (uint16_t)(20000 + n % 30);
    out->day_last = n % 4 == 0 ? (uint16_t)(20040 + n % 7) : WEIR_DAY_OPEN;
    out->retention_class = (uint8_t)(n % 3);
}

static inline void
fixture_index_new(void)
{
    struct weir_index_reader_options options = {.io = segment.io};
    assert_int_equal(weir_index_new(2u << 20, &segment.index), WEIR_OK);
    assert_int_equal(weir_index_reader_new(segment.index, &options, &segment.reader), WEIR_OK);
}

static inline void
fixture_index_free(void)
{
    weir_index_reader_free(segment.reader);
    weir_index_free(segment.index, segment.io);
}

/* Adds the series to a new index and the twin. */
static inline void
fixture_begin(void)
{
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    struct weir_index_series series;
    struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    temp_dir_make();
    snprintf(segment.path, sizeof segment.path, "%s/2-7.index", temp_dir);
    assert_int_equal(weir_io_new(&options, &segment.io), WEIR_OK);
    segment.writer_memory = aligned_alloc(64, weir_index_writer_memory_min());
    assert_non_null(segment.writer_memory);
    segment.writer = weir_index_writer_init(segment.writer_memory, weir_index_writer_memory_min(),
        segment.io);
    fixture_index_new();
    for (uint64_t n = 0; n < FIXTURE_SERIES; n++) {
        fixture_series(n, &series, labels);
        assert_int_equal(weir_index_add(segment.index, &series), WEIR_OK);
        twin_index_add(&segment.twin, &series);
    }
}

/* Merges what the index has into the segment. */
static inline enum weir_err
fixture_merge(void)
{
    struct weir_index_merge *merge;
    struct weir_index_view *view = weir_index_view_open(segment.index);
    struct weir_index_merge_options options = {.reader = segment.reader,
        .view = view,
        .writer = segment.writer,
        .segment = {segment.path, FIXTURE_SHARD, 7, FIXTURE_FILE_ID}};
    enum weir_err err = weir_index_merge_begin(&options, &merge);
    if (err == WEIR_OK) {
        while ((err = weir_index_merge_step(merge, 64, NULL)) == WEIR_AGAIN)
            continue;
        weir_index_merge_end(merge);
    }
    weir_index_view_close(view);
    return err;
}

static inline void
fixture_read(void)
{
    weir_io_file file;
    assert_int_equal(weir_io_open(segment.io, segment.path, WEIR_IO_READ, &file), WEIR_OK);
    assert_int_equal(weir_io_size(segment.io, file, &segment.size), WEIR_OK);
    segment.bytes = malloc(segment.size);
    assert_non_null(segment.bytes);
    assert_int_equal(weir_io_read(segment.io, file, segment.bytes, segment.size, 0), WEIR_OK);
    weir_io_close(segment.io, file);
}

static inline void
fixture_end(void)
{
    free(segment.bytes);
    free(segment.writer_memory);
    segment.bytes = NULL;
    twin_index_clear(&segment.twin);
    weir_io_free(segment.io);
    temp_dir_remove();
}

#define FIXTURE_MATCH(name, kind, value) \
    {name, sizeof name - 1, value, sizeof value - 1, kind}

#endif
