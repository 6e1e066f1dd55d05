/* keeper_fixture: a keeper on a log of the log's own writer, and what was appended.
 *
 * append_batches sends random samples of SERIES series in two partitions, and notes the newest of
 * each series and time; check_all_is_in_parts compares them with the parts that the manifest names.
 */
#ifndef WEIR_TESTS_UNIT_STORAGE_KEEPER_KEEPER_FIXTURE_H
#define WEIR_TESTS_UNIT_STORAGE_KEEPER_KEEPER_FIXTURE_H

#include "storage/keeper/keeper.h"
#include "storage/keeper/plan.h"
#include "storage/part/part_reader.h"
#include "tests/unit/storage/log/log_fixture.h"

#define HOUR INT64_C(3600000)
#define BASE_MS (INT64_C(240000) * 2 * HOUR)
#define SERIES 60
#define TIMES 300 /* half of them in another partition */

/* The newest bits of each series and time; none: never sent. */
static struct {
    uint64_t bits;
    bool sent;
} expected[SERIES][TIMES], got[SERIES][TIMES];
static uint64_t appended;
static uint64_t random_state;
static uint64_t last_id;
static int64_t now_ns;
static int64_t now_ms;       /* of the wall clock */
static int64_t retention_ms; /* of the next keeper */
static struct weir_io *store_io;
static struct weir_keeper *keeper;
static char store[600];
static char aside[600];

static inline uint64_t
draw(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static inline uint64_t
next_id(void *context)
{
    (void)context;
    return ++last_id;
}

static inline int64_t
read_clock(void *context)
{
    (void)context;
    return now_ns;
}

static inline int64_t
read_wall(void *context)
{
    (void)context;
    return now_ms;
}

static const struct weir_clock test_clock = {.mono_ns = read_clock};

static inline int
set_up(void **state)
{
    (void)state;
    struct weir_io_table table = quick_table();
    fixture_make(&table);
    struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    assert_int_equal(weir_io_new_with(&fixture.table, &options, &store_io), WEIR_OK);
    snprintf(store, sizeof store, "%s/store", temp_dir);
    snprintf(aside, sizeof aside, "%s/aside", temp_dir);
    memset(expected, 0, sizeof expected);
    appended = 0;
    now_ns = 1000000000;
    now_ms = BASE_MS + 100 * HOUR;
    retention_ms = 0;
    random_state = 11;
    last_id = 0;
    fixture.options.size_max = 1024 * SEGMENT;
    assert_int_equal(fixture_open(), WEIR_OK);
    return 0;
}

static inline int
tear_down(void **state)
{
    (void)state;
    if (keeper != NULL)
        weir_keeper_close(keeper);
    keeper = NULL;
    weir_io_free(store_io);
    fixture_remove();
    return 0;
}

static inline int64_t
time_of(uint32_t t)
{
    return t < TIMES / 2 ? BASE_MS + t : BASE_MS - 9 * HOUR + t;
}

static inline void
append_batch(uint64_t number, uint32_t count)
{
    fill_batch(number, 0, 0, number == 1 ? SERIES : 0);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t series = (uint32_t)(draw() % SERIES), t = (uint32_t)(draw() % TIMES);
        bool is_double = draw() % 3 == 0;
        uint64_t value = is_double ? draw() : draw() % 100000;
        weir_batch_append(&batch, weir_sample_key(series, is_double, 0), time_of(t), value);
        expected[series][t].bits =
            weir_double_bits(weir_sample_double(&batch.samples[batch.count - 1]));
        expected[series][t].sent = true;
    }
    appended += count;
    append();
}

static uint64_t batch_number;

static inline void
append_batches(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        append_batch(++batch_number, 1 + (uint32_t)(draw() % 200));
    make_durable();
}

static inline struct weir_keeper_options
options_of(int64_t age_max_ms)
{
    return (struct weir_keeper_options){.log = fixture.directory,
        .store = store,
        .aside = aside,
        .io = store_io,
        .clock = &test_clock,
        .wall_ms = read_wall,
        .partition_ms = 2 * HOUR,
        .retention_ms = retention_ms,
        .random = next_id,
        .gather = {.samples_max = 2000, .series_max = 1 << 20},
        .writer = {.blocks_max = 256, .columns_max = 256},
        .frames_max = 16,
        .age_max_ms = age_max_ms};
}

static inline void
open_keeper(int64_t age_max_ms)
{
    struct weir_keeper_options options = options_of(age_max_ms);
    assert_int_equal(weir_keeper_open(&options, &keeper), WEIR_OK);
}

static inline void
close_keeper(void)
{
    weir_keeper_close(keeper);
    keeper = NULL;
}

static inline struct weir_keeper_status
run_until_idle(void)
{
    struct weir_keeper_status status;
    while (weir_keeper_run_once(keeper))
        continue;
    weir_keeper_status(keeper, &status);
    return status;
}

static inline void
take_chunk(
    struct weir_part_reader *reader, struct weir_part *part, const struct weir_part_entry *entry)
{
    static double values[WEIR_CHUNK_ROOM(WEIR_CHUNK_SAMPLES_MAX)];
    const int64_t *times_ms;
    assert_int_equal(weir_part_read_values(reader, part, entry, values), WEIR_OK);
    assert_int_equal(weir_part_read_times(reader, part, entry, &times_ms), WEIR_OK);
    assert_int_equal(entry->shard, 0);
    for (uint32_t i = 0; i < entry->count; i++) {
        uint32_t t = (uint32_t)(times_ms[i] >= BASE_MS ? times_ms[i] - BASE_MS
                                                       : times_ms[i] - BASE_MS + 9 * HOUR);
        assert_true(entry->local < SERIES && t < TIMES && times_ms[i] == time_of(t));
        got[entry->local][t].bits = weir_double_bits(values[i]);
        got[entry->local][t].sent = true;
    }
}

static inline void
take_part(const struct weir_manifest_part *entry)
{
    char path[1024];
    struct weir_part *part;
    assert_int_equal(
        weir_part_file_path(store, entry->partition_ms, entry->file_id, path, sizeof path),
        WEIR_OK);
    assert_int_equal(weir_part_open(store_io, path, &part), WEIR_OK);
    void *memory = aligned_alloc(64, (weir_part_reader_footprint() + 63) / 64 * 64);
    struct weir_part_reader *reader = weir_part_reader_init(memory, store_io);
    for (uint32_t n = 0; n < weir_part_directory_count(part); n++) {
        const struct weir_part_entry *entries;
        uint32_t count;
        assert_int_equal(weir_part_read_directory(reader, part, n, &entries, &count), WEIR_OK);
        for (uint32_t i = 0; i < count; i++)
            take_chunk(reader, part, &entries[i]);
    }
    free(memory);
    weir_part_close(store_io, part);
}

/* In the order of the log: the later part wins. */
static inline int
by_log(const void *a, const void *b)
{
    const struct weir_manifest_part *left = a, *right = b;
    return (left->log_from > right->log_from) - (left->log_from < right->log_from);
}

/* What the manifest on disk names holds all that was appended, and its ledger says so. */
static inline void
check_all_is_in_parts(void)
{
    struct weir_manifest *manifest;
    assert_int_equal(weir_manifest_new(&manifest), WEIR_OK);
    assert_int_equal(weir_manifest_load(manifest, store_io, store), WEIR_OK);
    assert_int_equal(manifest->keeper_offset, weir_log_durable(fixture.log));
    assert_int_equal(manifest->ledger[0].merged, appended);
    assert_int_equal(manifest->ledger[0].damaged, 0);
    memset(got, 0, sizeof got);
    uint32_t count = manifest->part_count;
    struct weir_manifest_part *parts = malloc((count + 1) * sizeof *parts);
    memcpy(parts, manifest->parts, count * sizeof *parts);
    qsort(parts, count, sizeof *parts, by_log);
    for (uint32_t i = 0; i < count; i++)
        take_part(&parts[i]);
    for (uint32_t s = 0; s < SERIES; s++)
        for (uint32_t t = 0; t < TIMES; t++) {
            assert_int_equal(got[s][t].sent, expected[s][t].sent);
            assert_int_equal(got[s][t].bits, expected[s][t].bits);
        }
    free(parts);
    weir_manifest_free(manifest);
}

/* Every operation from the n-th on fails: as if the process had died there. */
static struct {
    uint64_t left;
    int answer;
} death;

static inline int
die_here(void *context, const char *operation, uint64_t offset, size_t size)
{
    (void)context;
    (void)operation;
    (void)offset;
    (void)size;
    if (death.left == 0)
        return death.answer;
    death.left--;
    return 0;
}

static inline uint32_t
parts_of_level(uint8_t level)
{
    const struct weir_manifest *manifest = weir_keeper_manifest(keeper);
    uint32_t count = 0;
    for (uint32_t i = 0; i < manifest->part_count; i++)
        count += manifest->parts[i].level == level;
    return count;
}

#endif
