/* L1: what lies in the parts is what lay in the frames, whatever happens on the way. */
#include "storage/keeper/l1.h"
#include "storage/part/part_reader.h"
#include "tests/unit/storage/temp_dir.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HOUR INT64_C(3600000)
#define BASE_MS (INT64_C(1700000000000) / (2 * HOUR) * (2 * HOUR))
#define FRAMES 12
#define FRAME_SAMPLES 6000
#define SAMPLES_MAX (FRAMES * FRAME_SAMPLES)

static uint64_t random_state = 5;

static uint64_t
draw(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

struct expected {
    uint64_t series;
    int64_t time_ms;
    uint64_t bits;
    uint32_t arrival;
    bool left_out;
};

static struct expected expected[SAMPLES_MAX];
static uint32_t expected_count;
static uint8_t *frames[FRAMES];
static size_t frame_bytes[FRAMES];
static struct weir_batch *batch;
static struct weir_merge_unit unit;
static struct weir_manifest *manifest;
static struct weir_io *io;
static struct weir_l1 *l1;
static struct weir_salvage *salvage;

static uint64_t
next_id(void *context)
{
    uint64_t *last = context;
    return ++*last;
}
static uint64_t last_id;

static enum weir_err
read_frame(
    void *context, const struct weir_merge_block *block, uint8_t *data, const uint8_t **bytes)
{
    (void)context;
    memcpy(data, frames[block->frame] + block->entry.at, block->entry.bytes);
    *bytes = data;
    return WEIR_OK;
}

struct shape {
    uint64_t series;
    int64_t spread_ms; /* of times after the frame's */
    unsigned late;     /* one in so many is some partitions late; 0: none */
    uint32_t samples_max;
    uint32_t series_max;
};

static void
fill_batch(const struct shape *shape, uint32_t frame)
{
    weir_batch_reset(batch);
    uint32_t count = 1 + (uint32_t)(draw() % FRAME_SAMPLES);
    for (uint32_t i = 0; i < count; i++) {
        int64_t time_ms = BASE_MS + frame * 1000 + (int64_t)(draw() % (uint64_t)shape->spread_ms);
        if (shape->late != 0 && draw() % shape->late == 0)
            time_ms -= (int64_t)(draw() % 5) * 2 * HOUR;
        bool is_double = draw() % 4 == 0;
        uint64_t value = is_double ? draw() : (uint64_t)((int64_t)(draw() % 2000000) - 1000000);
        int exponent = is_double ? 0 : -(int)(draw() % 4);
        uint64_t series = draw() % shape->series;
        weir_batch_append(batch, weir_sample_key(series, is_double, exponent), time_ms, value);
        expected[expected_count] = (struct expected){.series = series,
            .time_ms = time_ms,
            .bits = weir_double_bits(weir_sample_double(&batch->samples[i])),
            .arrival = expected_count};
        expected_count++;
    }
}

static int
by_series_time_arrival(const void *a, const void *b)
{
    const struct expected *left = a, *right = b;
    if (left->series != right->series)
        return left->series < right->series ? -1 : 1;
    if (left->time_ms != right->time_ms)
        return left->time_ms < right->time_ms ? -1 : 1;
    return left->arrival < right->arrival ? -1 : 1;
}

static void
add_blocks(uint32_t frame, uint64_t offset)
{
    const struct weir_frame_block *blocks;
    size_t count;
    assert_int_equal(weir_frame_index(frames[frame], frame_bytes[frame], &blocks, &count), WEIR_OK);
    unit.blocks = realloc(unit.blocks, (unit.block_count + count) * sizeof *unit.blocks);
    for (size_t i = 0; i < count; i++) {
        unit.blocks[unit.block_count++] =
            (struct weir_merge_block){.entry = blocks[i], .frame_offset = offset, .frame = frame};
        unit.samples += blocks[i].samples;
    }
}

static void
fill(const struct shape *shape)
{
    expected_count = 0;
    free(unit.blocks);
    unit = (struct weir_merge_unit){
        .series_through = shape->series, .log_from = 4096, .read = read_frame};
    void *memory = aligned_alloc(64, (weir_frame_encoder_footprint() + 63) / 64 * 64);
    struct weir_frame_encoder *encoder = weir_frame_encoder_init(memory);
    uint64_t offset = 4096;
    for (uint32_t frame = 0; frame < FRAMES; frame++) {
        fill_batch(shape, frame);
        const struct weir_frame_place place = {.offset = offset};
        weir_frame_encode(encoder, batch, &place, frames[frame], &frame_bytes[frame], NULL);
        add_blocks(frame, offset);
        offset += frame_bytes[frame];
        unit.frame_count++;
    }
    unit.log_through = offset;
    free(memory);
    qsort(expected, expected_count, sizeof expected[0], by_series_time_arrival);
}

static int
set_up(void **state)
{
    (void)state;
    temp_dir_make();
    const struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    batch = aligned_alloc(64, (sizeof *batch + 63) / 64 * 64);
    batch->definitions = NULL;
    for (uint32_t i = 0; i < FRAMES; i++)
        frames[i] = aligned_alloc(WEIR_FRAME_ALIGN, 1 << 20);
    return weir_io_new(&options, &io) == WEIR_OK && weir_manifest_new(&manifest) == WEIR_OK ? 0
                                                                                            : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < FRAMES; i++)
        free(frames[i]);
    free(batch);
    free(l1);
    l1 = NULL;
    free(unit.blocks);
    unit.blocks = NULL;
    weir_io_free(io);
    weir_manifest_free(manifest);
    temp_dir_remove();
    return 0;
}

static void
make(const struct shape *shape)
{
    const struct weir_l1_options options = {
        .gather = {.samples_max = shape->samples_max, .series_max = shape->series_max},
        .writer = {.blocks_max = 4096, .columns_max = 4096},
        .directory = temp_dir,
        .io = io,
        .salvage = salvage,
        .file_id = next_id,
        .file_id_context = &last_id};
    free(l1);
    l1 = weir_l1_init(aligned_alloc(WEIR_IO_ALIGN, weir_l1_footprint(&options)), &options);
}

static enum weir_err
run(void)
{
    weir_l1_begin(l1, &unit, manifest, 2 * HOUR);
    enum weir_err err = WEIR_AGAIN;
    while (err == WEIR_AGAIN)
        err = weir_l1_step(l1);
    return err;
}

/* Of equal series and times the last one that was not left out stays. */
static uint32_t
drop_superseded(void)
{
    uint32_t kept = 0, left = 0;
    for (uint32_t i = 0; i < expected_count; i++)
        if (!expected[i].left_out)
            expected[kept++] = expected[i];
    for (uint32_t i = 0; i < kept; i++)
        if (i + 1 == kept || expected[i + 1].series != expected[i].series ||
            expected[i + 1].time_ms != expected[i].time_ms)
            expected[left++] = expected[i];
    expected_count = left;
    return kept - left;
}

/* Marks what a chunk of a part holds; each sample may be found once. */
static void
find_all(
    uint64_t series, const int64_t *times_ms, const double *values, uint32_t count, uint32_t *found)
{
    struct expected key = {.series = series, .time_ms = times_ms[0]};
    uint32_t low = 0, high = expected_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (by_series_time_arrival(&expected[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (uint32_t i = 0; i < count; i++, low++) {
        assert_true(low < expected_count);
        assert_int_equal(expected[low].series, series);
        assert_int_equal(expected[low].time_ms, times_ms[i]);
        assert_int_equal(expected[low].bits, weir_double_bits(values[i]));
        assert_false(expected[low].left_out);
        expected[low].left_out = true;
    }
    *found += count;
}

static uint32_t
read_part(const struct weir_manifest_part *entry)
{
    char path[1024];
    struct weir_part *part;
    uint32_t found = 0;
    assert_int_equal(
        weir_part_file_path(temp_dir, entry->partition_ms, entry->file_id, path, sizeof path),
        WEIR_OK);
    assert_int_equal(weir_part_open(io, path, &part), WEIR_OK);
    void *memory = aligned_alloc(64, (weir_part_reader_footprint() + 63) / 64 * 64);
    struct weir_part_reader *reader = weir_part_reader_init(memory, io);
    for (uint32_t n = 0; n < weir_part_directory_count(part); n++) {
        const struct weir_part_entry *entries;
        uint32_t count;
        assert_int_equal(weir_part_read_directory(reader, part, n, &entries, &count), WEIR_OK);
        for (uint32_t i = 0; i < count; i++) {
            static double values[WEIR_CHUNK_ROOM(WEIR_CHUNK_SAMPLES_MAX)];
            const int64_t *times_ms;
            assert_int_equal(weir_part_read_values(reader, part, &entries[i], values), WEIR_OK);
            assert_int_equal(weir_part_read_times(reader, part, &entries[i], &times_ms), WEIR_OK);
            uint64_t series = (uint64_t)entries[i].shard << WEIR_PART_SHARD_BITS | entries[i].local;
            find_all(series, times_ms, values, entries[i].count, &found);
        }
    }
    const struct weir_part_footer *footer = weir_part_footer(part);
    assert_int_equal(footer->ledger.live, found);
    assert_int_equal(footer->log_from, unit.log_from);
    assert_int_equal(footer->log_through, unit.log_through);
    uint64_t size;
    weir_io_file file;
    assert_int_equal(weir_io_open(io, path, WEIR_IO_READ, &file), WEIR_OK);
    assert_int_equal(weir_io_size(io, file, &size), WEIR_OK);
    weir_io_close(io, file);
    assert_int_equal(size, entry->bytes);
    assert_int_equal(entry->samples, found);
    free(memory);
    weir_part_close(io, part);
    return found;
}

/* All parts together hold exactly what is expected, and the unit's ledger closes. */
static unsigned
compare(void)
{
    uint32_t superseded = drop_superseded();
    uint32_t found = 0;
    unsigned parts = 0;
    const struct weir_manifest_part *entry;
    for (; (entry = weir_l1_part(l1, parts)) != NULL; parts++) {
        assert_int_equal(weir_manifest_part_add(manifest, entry), WEIR_OK);
        found += read_part(entry);
    }
    assert_int_equal(found, expected_count);
    assert_int_equal(weir_l1_superseded(l1), superseded);
    assert_int_equal(unit.samples, found + superseded + weir_l1_damaged(l1));
    manifest->ledger[0].merged += unit.samples;
    manifest->ledger[0].superseded += superseded;
    manifest->ledger[0].damaged += weir_l1_damaged(l1);
    if (manifest->keeper_offset < unit.log_through)
        manifest->keeper_offset = unit.log_through;
    assert_int_equal(weir_manifest_check(manifest), WEIR_OK);
    return parts;
}

static const struct shape shapes[] = {
    {.series = 1, .spread_ms = 5000, .samples_max = SAMPLES_MAX, .series_max = 8},
    {.series = 300, .spread_ms = 5000, .samples_max = SAMPLES_MAX, .series_max = 1 << 20},
    {.series = 300, .spread_ms = 5000, .samples_max = 7000, .series_max = 64},
    {.series = 5000000, .spread_ms = 100, .samples_max = 9000, .series_max = 1 << 20},
    {.series = 2000, .spread_ms = 5000, .late = 9, .samples_max = 20000, .series_max = 1000},
};

static void
test_parts_hold_what_the_frames_held(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        fill(&shapes[i]);
        make(&shapes[i]);
        assert_int_equal(run(), WEIR_OK);
        assert_int_equal(compare(), shapes[i].late != 0 ? 5 : 1);
        assert_int_equal(weir_l1_damaged(l1), 0);
    }
}

static void
leave_out(const struct weir_merge_block *block)
{
    struct weir_sample samples[WEIR_BLOCK_SAMPLES];
    size_t count;
    assert_int_equal(weir_frame_decode_block(frames[block->frame], frame_bytes[block->frame],
                         &block->entry, samples, &count),
        WEIR_OK);
    /* equal samples of one series and time: the block's own are those with its values */
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = weir_double_bits(weir_sample_double(&samples[i]));
        bool marked = false;
        for (uint32_t j = 0; j < expected_count && !marked; j++) {
            struct expected *e = &expected[j];
            marked = !e->left_out && e->series == weir_sample_series(&samples[i]) &&
                e->time_ms == samples[i].time_ms && e->bits == bits;
            e->left_out |= marked;
        }
        assert_true(marked);
    }
}

/* Of each block that was damaged its bytes are there as they are in the log. */
static void
check_aside(uint32_t first, uint32_t count)
{
    char name[100];
    for (uint32_t i = 0; i < count; i++) {
        const struct weir_merge_block *block = &unit.blocks[first + i * 7];
        static uint8_t bytes[WEIR_BLOCK_BYTES_MAX + 1];
        snprintf(name, sizeof name, "aside/%016x.log-%llu-%u.block", i + 1,
            (unsigned long long)block->frame_offset, block->entry.at);
        FILE *file = fopen(temp_path(name), "rb");
        assert_non_null(file);
        assert_int_equal(fread(bytes, 1, sizeof bytes, file), block->entry.bytes);
        assert_memory_equal(bytes, frames[block->frame] + block->entry.at, block->entry.bytes);
        fclose(file);
        assert_int_equal(unlink(temp_path(name)), 0);
    }
    assert_int_equal(rmdir(temp_path("aside")), 0);
}

static void
test_damaged_block_costs_itself_and_is_counted(void **state)
{
    (void)state;
    const struct shape *shape = &shapes[4];
    for (unsigned round = 0; round < 6; round++) {
        fill(shape);
        assert_int_equal(
            weir_salvage_open(io, temp_path("aside"), WEIR_SALVAGE_BYTES_MAX, &salvage), WEIR_OK);
        make(shape);
        uint32_t damaged = 0, blocks = 0;
        for (uint32_t i = round; i < unit.block_count; i += 7) {
            const struct weir_merge_block *block = &unit.blocks[i];
            leave_out(block);
            damaged += block->entry.samples;
            blocks++;
            frames[block->frame][block->entry.at + draw() % block->entry.bytes] ^=
                (uint8_t)(1 << draw() % 8);
        }
        assert_int_equal(run(), WEIR_OK);
        assert_int_equal(weir_l1_damaged(l1), damaged);
        check_aside(round, blocks);
        weir_salvage_close(salvage);
        salvage = NULL;
        compare();
    }
}

static void
test_unit_that_is_damaged_all_over_makes_no_part(void **state)
{
    (void)state;
    fill(&shapes[1]);
    make(&shapes[1]);
    for (uint32_t i = 0; i < unit.block_count; i++)
        frames[unit.blocks[i].frame][unit.blocks[i].entry.at]++;
    assert_int_equal(run(), WEIR_OK);
    assert_null(weir_l1_part(l1, 0));
    assert_int_equal(weir_l1_damaged(l1), unit.samples);
}

static void
test_unit_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    const struct shape shape = {
        .series = 1, .spread_ms = 5000, .samples_max = 5000, .series_max = 8};
    fill(&shape);
    make(&shape);
    assert_int_equal(run(), WEIR_LIMIT);
    assert_null(weir_l1_part(l1, 0));
}

struct one_fault {
    unsigned at;
    unsigned seen;
    int answer;
};

/* A file that cannot be removed is reported and left to the next start: no failure of the merge. */
static int
fail_one(void *context, const char *operation, uint64_t offset, size_t size)
{
    (void)offset;
    (void)size;
    struct one_fault *fault = context;
    if (strcmp(operation, "unlink") == 0)
        return 0;
    return fault->seen++ == fault->at ? fault->answer : 0;
}

static unsigned
part_files(void)
{
    char **days, **names;
    size_t day_count, count;
    unsigned files = 0;
    if (weir_io_list(io, temp_path("parts"), &days, &day_count) != WEIR_OK)
        return 0;
    for (size_t i = 0; i < day_count; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/parts/%s", temp_dir, days[i]);
        assert_int_equal(weir_io_list(io, path, &names, &count), WEIR_OK);
        files += (unsigned)count;
        weir_io_list_free(names, count);
    }
    weir_io_list_free(days, day_count);
    return files;
}

/* Whatever operation fails, nothing is left, and the next try with the same unit is whole. */
static void
test_every_failed_operation_leaves_nothing(void **state)
{
    (void)state;
    bool failed = true;
    unsigned tried = 0;
    fill(&shapes[4]);
    make(&shapes[4]);
    for (unsigned at = 0; failed; at++, tried++) {
        struct one_fault fault = {.at = at, .answer = at % 2 == 0 ? -EIO : -ENOSPC};
        weir_io_set_fault(io, fail_one, &fault);
        enum weir_err err = run();
        weir_io_set_fault(io, NULL, NULL);
        failed = fault.seen > at;
        assert_int_equal(err == WEIR_OK, !failed);
        if (failed) {
            assert_true(err == WEIR_IO || err == WEIR_FULL);
            assert_null(weir_l1_part(l1, 0));
            assert_int_equal(part_files(), 0);
        }
    }
    assert_true(tried > 20);
    assert_int_equal(compare(), 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_parts_hold_what_the_frames_held),
        TEST(test_damaged_block_costs_itself_and_is_counted),
        TEST(test_unit_that_is_damaged_all_over_makes_no_part),
        TEST(test_unit_that_does_not_fit_is_refused),
        TEST(test_every_failed_operation_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
