/* Joins of parts against the slowest way to the same; and the plan of what is joined when. */
#include "model/sample.h"
#include "storage/keeper/join.h"
#include "storage/keeper/plan.h"
#include "storage/part/part_reader.h"
#include "tests/unit/storage/temp_dir.h"

#include <errno.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HOUR INT64_C(3600000)
#define SERIES 40
#define TIMES 20000
#define SOURCES_MAX 12

static const struct weir_partition partition = {.from_ms = 0, .to_ms = 2 * HOUR};
static uint64_t random_state = 5;
static uint64_t last_id;
static struct weir_io *io;
static struct weir_join *join;
static struct weir_salvage *salvage;
static struct weir_manifest_part sources[SOURCES_MAX];
static uint32_t source_count;
static uint64_t samples_written;
static struct {
    uint64_t bits;
    bool there;
} expected[SERIES][TIMES], got[SERIES][TIMES];

static uint64_t
draw(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint64_t
next_id(void *context)
{
    (void)context;
    return ++last_id;
}

static const struct weir_part_writer_limits limits = {.blocks_max = 1024, .columns_max = 1024};

static void
open_join(void)
{
    assert_int_equal(
        weir_salvage_open(io, temp_path("aside"), WEIR_SALVAGE_BYTES_MAX, &salvage), WEIR_OK);
    const struct weir_join_options join_options = {
        .writer = limits, .directory = temp_dir, .io = io, .salvage = salvage, .file_id = next_id};
    join = weir_join_init(
        aligned_alloc(WEIR_IO_ALIGN, weir_join_footprint(&join_options)), &join_options);
}

static int
set_up(void **state)
{
    (void)state;
    temp_dir_make();
    const struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    assert_int_equal(weir_io_new(&options, &io), WEIR_OK);
    open_join();
    assert_int_equal(weir_io_mkdir(io, temp_path("parts/0")), WEIR_OK);
    memset(expected, 0, sizeof expected);
    source_count = 0;
    samples_written = 0;
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    free(join);
    weir_salvage_close(salvage);
    weir_io_free(io);
    temp_dir_remove();
    return 0;
}

static const char *
path_of(uint64_t file_id)
{
    static char path[1024];
    assert_int_equal(weir_part_file_path(temp_dir, 0, file_id, path, sizeof path), WEIR_OK);
    return path;
}

/* The number of a series: they lie in two shards. */
static uint64_t
number_of(uint32_t series)
{
    return series < SERIES / 2 ? series * 7 : (UINT64_C(1) << WEIR_PART_SHARD_BITS) + series;
}

static void
add_series(struct weir_part_writer *writer, uint32_t series, uint32_t first, uint32_t step)
{
    static int64_t times_ms[TIMES];
    static uint64_t values[TIMES];
    static int8_t exponents[TIMES];
    static uint8_t kinds[TIMES];
    uint32_t count = 0;
    for (uint32_t t = first; t < TIMES; t += 1 + (uint32_t)(draw() % step)) {
        bool is_double = draw() % 9 == 0;
        times_ms[count] = t;
        values[count] = is_double ? draw() : draw() % 1000;
        exponents[count] = 0;
        kinds[count] = is_double;
        expected[series][t].bits =
            is_double ? values[count] : weir_double_bits((double)values[count]);
        expected[series][t].there = true;
        count++;
    }
    const struct weir_part_samples samples = {.times_ms = times_ms,
        .values = values,
        .exponents = exponents,
        .kinds = kinds,
        .count = count};
    uint64_t number = number_of(series);
    assert_int_equal(weir_part_writer_add(writer, (uint32_t)(number >> WEIR_PART_SHARD_BITS),
                         (uint32_t)number & ((1u << WEIR_PART_SHARD_BITS) - 1), &samples),
        WEIR_OK);
    samples_written += count;
}

static void
add_source(uint32_t first, uint32_t step, unsigned of)
{
    void *memory = aligned_alloc(WEIR_IO_ALIGN, weir_part_writer_footprint(&limits));
    struct weir_part_writer *writer = weir_part_writer_init(memory, &limits, io);
    struct weir_manifest_part *entry = &sources[source_count++];
    *entry = (struct weir_manifest_part){.file_id = next_id(NULL),
        .shard_last = 1,
        .level = 1,
        .log_from = source_count * 100,
        .log_through = source_count * 100 + 100};
    const struct weir_part_writer_options options = {.path = path_of(entry->file_id),
        .key = {.partition_end_ms = 2 * HOUR,
            .shard_last = 1,
            .level = 1,
            .order = WEIR_PART_BY_NUMBER},
        .file_id = entry->file_id,
        .effort = WEIR_EFFORT_FAST};
    uint64_t before = samples_written;
    assert_int_equal(weir_part_writer_open(writer, &options), WEIR_OK);
    for (uint32_t s = 0; s < SERIES; s++)
        if (draw() % of == 0 || s == source_count)
            add_series(writer, s, first + (uint32_t)(draw() % step), step);
    const struct weir_part_origin origin = {
        .log_from = entry->log_from, .log_through = entry->log_through};
    struct weir_part_footer footer;
    assert_int_equal(weir_part_writer_finish(writer, &origin, &footer), WEIR_OK);
    entry->samples = samples_written - before;
    entry->time_min_ms = footer.time_min_ms;
    entry->time_max_ms = footer.time_max_ms;
    free(memory);
}

static enum weir_err
run(uint8_t level)
{
    enum weir_err err = weir_join_begin(join, &partition, sources, source_count, level);
    if (err != WEIR_OK)
        return err;
    do
        err = weir_join_step(join);
    while (err == WEIR_AGAIN);
    return err;
}

static void
read_joined(void)
{
    struct weir_part *part;
    static double values[WEIR_CHUNK_ROOM(WEIR_CHUNK_SAMPLES_MAX)];
    memset(got, 0, sizeof got);
    assert_int_equal(weir_part_open(io, path_of(weir_join_part(join)->file_id), &part), WEIR_OK);
    void *memory = aligned_alloc(64, (weir_part_reader_footprint() + 63) / 64 * 64);
    struct weir_part_reader *reader = weir_part_reader_init(memory, io);
    uint64_t before = 0;
    for (uint32_t n = 0; n < weir_part_directory_count(part); n++) {
        const struct weir_part_entry *entries;
        uint32_t count;
        assert_int_equal(weir_part_read_directory(reader, part, n, &entries, &count), WEIR_OK);
        for (uint32_t i = 0; i < count; i++) {
            const int64_t *times_ms;
            uint64_t number = (uint64_t)entries[i].shard << WEIR_PART_SHARD_BITS | entries[i].local;
            assert_true(number >= before);
            before = number;
            uint32_t series = 0;
            while (series < SERIES && number_of(series) != number)
                series++;
            assert_true(series < SERIES);
            assert_int_equal(weir_part_read_values(reader, part, &entries[i], values), WEIR_OK);
            assert_int_equal(weir_part_read_times(reader, part, &entries[i], &times_ms), WEIR_OK);
            for (uint32_t k = 0; k < entries[i].count; k++) {
                assert_false(got[series][times_ms[k]].there);
                got[series][times_ms[k]].bits = weir_double_bits(values[k]);
                got[series][times_ms[k]].there = true;
            }
        }
    }
    free(memory);
    weir_part_close(io, part);
}

static uint64_t
count_of_expected(void)
{
    uint64_t count = 0;
    for (uint32_t s = 0; s < SERIES; s++)
        for (uint32_t t = 0; t < TIMES; t++)
            count += expected[s][t].there;
    return count;
}

static void
check_joined(void)
{
    const struct weir_manifest_part *part = weir_join_part(join);
    assert_non_null(part);
    read_joined();
    assert_memory_equal(got, expected, sizeof got);
    assert_int_equal(part->samples, count_of_expected());
    assert_int_equal(part->samples + weir_join_superseded(join), samples_written);
    assert_int_equal(weir_join_damaged(join), 0);
    assert_int_equal(part->log_from, sources[0].log_from);
    assert_int_equal(part->log_through, sources[source_count - 1].log_through);
}

static void
test_sources_after_each_other_are_strung_together(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 5; i++)
        add_source(i * 4000, 400, 1);
    assert_int_equal(run(2), WEIR_OK);
    check_joined();
}

static void
test_later_source_wins_where_times_are_equal(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < SOURCES_MAX; i++)
        add_source((uint32_t)(draw() % 3000), 1 + i % 5, 2);
    assert_int_equal(run(3), WEIR_OK);
    assert_true(weir_join_superseded(join) > 0);
    check_joined();
}

static void
test_one_source_is_copied(void **state)
{
    (void)state;
    add_source(0, 2, 1);
    assert_int_equal(run(3), WEIR_OK);
    check_joined();
}

static void
flip(const char *path, long at)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, at, SEEK_SET);
    int byte = fgetc(file);
    fseek(file, at, SEEK_SET);
    fputc(byte ^ 4, file);
    fclose(file);
}

/* The bytes of the block with `at` in it are kept aside as the file has them. */
static bool
is_kept_aside(const struct weir_manifest_part *entry, long at)
{
    static uint8_t bytes[65536], kept[65536];
    struct weir_part *part;
    FILE *file = NULL;
    assert_int_equal(weir_part_open(io, path_of(entry->file_id), &part), WEIR_OK);
    for (uint32_t i = 0; i < weir_part_footer(part)->block_count; i++) {
        const struct weir_part_block *block = &weir_part_blocks(part)[i];
        long place = (long)block->place * WEIR_PART_ALIGN;
        char pattern[700];
        glob_t found;
        if (at < place || at >= place + (long)block->bytes)
            continue;
        snprintf(pattern, sizeof pattern, "%s/aside/*.part-%016llx-%ld.block", temp_dir,
            (unsigned long long)entry->file_id, place);
        assert_int_equal(glob(pattern, 0, NULL, &found), 0);
        assert_int_equal(found.gl_pathc, 1); /* it was met more often */
        assert_non_null(file = fopen(found.gl_pathv[0], "rb"));
        assert_int_equal(fread(kept, 1, sizeof kept, file), block->bytes);
        fclose(file);
        assert_non_null(file = fopen(path_of(entry->file_id), "rb"));
        fseek(file, place, SEEK_SET);
        assert_int_equal(fread(bytes, 1, block->bytes, file), block->bytes);
        fclose(file);
        assert_memory_equal(bytes, kept, block->bytes);
        assert_int_equal(unlink(found.gl_pathv[0]), 0);
        globfree(&found);
    }
    weir_part_close(io, part);
    return file != NULL;
}

/* A block of values, of times, of the directory, or a whole part: counted, and the rest is there.
 */
static void
test_damage_costs_its_block_and_is_counted(void **state)
{
    (void)state;
    unsigned kept = 0;
    for (uint32_t i = 0; i < 4; i++)
        add_source(i * 5000, 3, 1);
    for (uint32_t i = 0; i < 40; i++) {
        FILE *file = fopen(path_of(sources[1].file_id), "rb");
        fseek(file, 0, SEEK_END);
        long size = ftell(file);
        fclose(file);
        long at = 4096 + (long)(draw() % (uint64_t)(size - 4096));
        flip(path_of(sources[1].file_id), at);
        assert_int_equal(run(2), WEIR_OK);
        bool damaged = weir_join_damaged(join) > 0;
        if (damaged) {
            assert_true(is_kept_aside(&sources[1], at));
            kept++;
        }
        flip(path_of(sources[1].file_id), at);
        const struct weir_manifest_part *part = weir_join_part(join);
        read_joined();
        assert_int_equal(
            part->samples + weir_join_superseded(join) + weir_join_damaged(join), samples_written);
        assert_true(weir_join_damaged(join) <= sources[1].samples);
        weir_join_abort(join);
        weir_salvage_close(salvage); /* the files were taken away */
        free(join);
        open_join();
    }
    assert_true(kept > 20);
    assert_int_equal(unlink(path_of(sources[2].file_id)), 0);
    assert_int_equal(run(2), WEIR_OK);
    assert_true(weir_join_damaged(join) == sources[2].samples);
}

static void
test_sources_that_are_all_gone_make_no_part(void **state)
{
    (void)state;
    add_source(0, 9, 1);
    assert_int_equal(unlink(path_of(sources[0].file_id)), 0);
    assert_int_equal(run(2), WEIR_OK);
    assert_null(weir_join_part(join));
    assert_int_equal(weir_join_damaged(join), sources[0].samples);
}

struct one_fault {
    unsigned at;
    unsigned seen;
};

static int
fail_one(void *context, const char *operation, uint64_t offset, size_t size)
{
    (void)offset;
    (void)size;
    struct one_fault *fault = context;
    if (strcmp(operation, "unlink") == 0)
        return 0;
    return fault->seen++ == fault->at ? -EIO : 0;
}

static void
test_every_failed_operation_leaves_nothing(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++)
        add_source(i * 4000, 50, 3);
    bool failed = true;
    unsigned tried = 0;
    for (unsigned at = 0; failed; at++, tried++) {
        struct one_fault fault = {.at = at};
        weir_io_set_fault(io, fail_one, &fault);
        enum weir_err err = run(2);
        weir_io_set_fault(io, NULL, NULL);
        failed = fault.seen > at;
        assert_int_equal(err, failed ? WEIR_IO : WEIR_OK);
        char **names;
        size_t count;
        assert_int_equal(weir_io_list(io, temp_path("parts/0"), &names, &count), WEIR_OK);
        assert_int_equal(count, failed ? 3 : 4);
        weir_io_list_free(names, count);
    }
    assert_true(tried > 20);
    check_joined();
}

static struct weir_manifest *manifest;

static void
plan_part(int64_t time_ms, uint8_t level, uint64_t samples)
{
    struct weir_partition made;
    const struct weir_partition *found = weir_manifest_partition_find(manifest, time_ms);
    if (found != NULL)
        made = *found;
    else
        assert_int_equal(weir_manifest_partition_add(manifest, time_ms, 2 * HOUR, &made), WEIR_OK);
    const struct weir_manifest_part part = {.file_id = next_id(NULL),
        .partition_ms = made.from_ms,
        .level = level,
        .log_from = manifest->keeper_offset,
        .log_through = manifest->keeper_offset + 1,
        .samples = samples};
    manifest->keeper_offset++;
    assert_int_equal(weir_manifest_part_add(manifest, &part), WEIR_OK);
}

static void
expect_plan(const struct weir_plan_times *times, int64_t from_ms, uint32_t count, uint8_t level)
{
    struct weir_plan plan;
    bool due = weir_plan_next(manifest, times, &plan);
    assert_int_equal(due, count != 0);
    if (!due)
        return;
    assert_int_equal(plan.partition.from_ms, from_ms);
    assert_int_equal(plan.count, count);
    assert_int_equal(plan.level, level);
}

static void
test_plan_joins_by_count_by_age_and_at_the_end(void **state)
{
    (void)state;
    assert_int_equal(weir_manifest_new(&manifest), WEIR_OK);
    struct weir_plan_times times = {.wall_ms = 10 * HOUR + 5};
    expect_plan(&times, 0, 0, 0);
    for (unsigned i = 0; i < WEIR_PLAN_L1_PARTS - 1; i++)
        plan_part(10 * HOUR, 1, 10);
    expect_plan(&times, 0, 0, 0);
    times.l2_age_ns = WEIR_PLAN_L2_NS;
    expect_plan(&times, 10 * HOUR, WEIR_PLAN_L1_PARTS - 1, 2);
    times.l2_age_ns = 0;
    plan_part(10 * HOUR, 1, 10);
    expect_plan(&times, 10 * HOUR, WEIR_PLAN_L1_PARTS, 2);
    plan_part(10 * HOUR, 2, 500); /* only what follows the last part of level 2 is joined */
    plan_part(10 * HOUR, 1, 10);
    expect_plan(&times, 0, 0, 0);
    times.wall_ms = 12 * HOUR + WEIR_PLAN_LATE_MS - 1;
    expect_plan(&times, 0, 0, 0);
    times.wall_ms++;
    expect_plan(&times, 10 * HOUR, WEIR_PLAN_L1_PARTS + 2, 3);
    weir_manifest_free(manifest);
}

static void
test_plan_joins_late_samples_by_share_or_age(void **state)
{
    (void)state;
    assert_int_equal(weir_manifest_new(&manifest), WEIR_OK);
    struct weir_plan_times times = {.wall_ms = 100 * HOUR};
    plan_part(10 * HOUR, 3, 1000);
    expect_plan(&times, 0, 0, 0);
    plan_part(10 * HOUR, 1, 49);
    expect_plan(&times, 0, 0, 0);
    times.late_age_ns = WEIR_PLAN_OVERLAY_NS;
    expect_plan(&times, 10 * HOUR, 2, 3);
    times.late_age_ns = 0;
    plan_part(10 * HOUR, 1, 1);
    expect_plan(&times, 10 * HOUR, 3, 3);
    plan_part(8 * HOUR, 1, 1); /* the oldest comes first; one part alone gets its last level too */
    expect_plan(&times, 8 * HOUR, 1, 3);
    assert_int_equal(weir_plan_expired(manifest, 10 * HOUR - 1), manifest->part_count);
    assert_int_equal(weir_plan_expired(manifest, 10 * HOUR), 0);
    weir_manifest_free(manifest);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sources_after_each_other_are_strung_together),
        TEST(test_later_source_wins_where_times_are_equal),
        TEST(test_one_source_is_copied),
        TEST(test_damage_costs_its_block_and_is_counted),
        TEST(test_sources_that_are_all_gone_make_no_part),
        TEST(test_every_failed_operation_leaves_nothing),
        cmocka_unit_test(test_plan_joins_by_count_by_age_and_at_the_end),
        cmocka_unit_test(test_plan_joins_late_samples_by_share_or_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
