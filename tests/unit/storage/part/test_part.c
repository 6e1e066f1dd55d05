/* Parts as a whole: written, read, damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/crc.h"
#include "tests/unit/storage/part/part_walk.h"

#include <fcntl.h>
#include <sys/stat.h>

static struct part_fixture fixture;

static int
set_up(void **state)
{
    (void)state;
    part_fixture_make(&fixture);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    part_fixture_remove(&fixture);
    return 0;
}

static void
test_part_gives_back_every_sample(void **state)
{
    (void)state;
    const char *path = temp_path("one.part");
    assert_int_equal(part_write(&fixture, path, PART_SERIES_MAX), WEIR_OK);
    struct weir_part *part;
    assert_int_equal(weir_part_open(fixture.io, path, &part), WEIR_OK);
    const struct weir_part_footer *footer = weir_part_footer(part);
    uint64_t samples = part_samples(&fixture, PART_SERIES_MAX);
    assert_int_equal(footer->ledger.live, samples);
    assert_int_equal(footer->ledger.superseded, 5);
    assert_int_equal(footer->ledger.damaged, 2);
    assert_int_equal(footer->series, PART_SERIES_MAX);
    assert_int_equal(footer->chunks, PART_SERIES_MAX + 1);
    assert_int_equal(footer->time_min_ms / 10, PART_START / 10);
    assert_int_equal(footer->log_from, 4096);
    assert_int_equal(footer->level, 2);
    struct part_walk found = part_walk(&fixture, part);
    assert_int_equal(found.samples, samples);
    assert_int_equal(found.refused, 0);
    assert_int_equal(weir_part_reader_damage(fixture.reader)->blocks, 0);
    weir_part_close(fixture.io, part);
}

static void
test_decimals_come_back_as_decimals(void **state)
{
    (void)state;
    const char *path = temp_path("one.part");
    assert_int_equal(part_write(&fixture, path, 2), WEIR_OK);
    struct weir_part *part;
    assert_int_equal(weir_part_open(fixture.io, path, &part), WEIR_OK);
    const struct weir_part_entry *entries;
    uint32_t count;
    assert_int_equal(weir_part_read_directory(fixture.reader, part, 0, &entries, &count), WEIR_OK);
    assert_int_equal(count, 2);
    uint64_t values[WEIR_CHUNK_SAMPLES_MAX];
    int8_t exponents[WEIR_CHUNK_SAMPLES_MAX];
    uint8_t kinds[WEIR_CHUNK_SAMPLES_MAX];
    assert_int_equal(
        weir_part_read_decimals(fixture.reader, part, &entries[1], values, exponents, kinds),
        WEIR_OK);
    const struct series *series = part_series(&fixture, 1);
    assert_memory_equal(values, series->values, series->count * sizeof *values);
    assert_memory_equal(exponents, series->exponents, series->count);
    assert_memory_equal(kinds, series->kinds, series->count);
    weir_part_close(fixture.io, part);
}

static void
test_series_of_a_host_share_a_time_column(void **state)
{
    (void)state;
    const char *path = temp_path("one.part");
    assert_int_equal(part_write(&fixture, path, 50), WEIR_OK);
    struct weir_part *part;
    assert_int_equal(weir_part_open(fixture.io, path, &part), WEIR_OK);
    assert_int_equal(weir_part_footer(part)->columns, 5);
    weir_part_close(fixture.io, part);
}

static void
test_empty_part(void **state)
{
    (void)state;
    const char *path = temp_path("empty.part");
    assert_int_equal(part_write(&fixture, path, 0), WEIR_OK);
    struct weir_part *part;
    assert_int_equal(weir_part_open(fixture.io, path, &part), WEIR_OK);
    assert_int_equal(weir_part_footer(part)->ledger.live, 0);
    assert_int_equal(weir_part_directory_count(part), 0);
    weir_part_close(fixture.io, part);
}

/* Times that do not ascend are no business of the writer's: they come back as they were. */
static void
test_a_million_samples_of_one_time(void **state)
{
    (void)state;
    const char *path = temp_path("one.part");
    size_t count = 1000000;
    int64_t *times_ms = malloc(count * sizeof *times_ms);
    uint64_t *values = malloc(count * sizeof *values);
    int8_t *exponents = calloc(1, count);
    uint8_t *kinds = calloc(1, count);
    for (size_t i = 0; i < count; i++) {
        times_ms[i] = PART_START;
        values[i] = i * 7;
    }
    struct weir_part_samples samples = {times_ms, values, exponents, kinds, count};
    struct weir_part_writer_options options = part_options(path);
    struct weir_part_origin origin = {0, 1, {0, 0, 0, 0, 0}};
    assert_int_equal(weir_part_writer_open(fixture.writer, &options), WEIR_OK);
    assert_int_equal(weir_part_writer_add(fixture.writer, 0, 1, &samples), WEIR_OK);
    struct weir_part_footer footer;
    assert_int_equal(weir_part_writer_finish(fixture.writer, &origin, &footer), WEIR_OK);
    assert_int_equal(footer.series, 1);
    assert_int_equal(footer.ledger.live, count);
    assert_true(footer.columns <= 2);
    struct weir_part *part;
    const struct weir_part_entry *entries;
    uint32_t chunks;
    size_t at = 0;
    assert_int_equal(weir_part_open(fixture.io, path, &part), WEIR_OK);
    assert_int_equal(weir_part_read_directory(fixture.reader, part, 0, &entries, &chunks), WEIR_OK);
    for (uint32_t c = 0; c < chunks; c++) {
        double decoded[WEIR_CHUNK_SAMPLES_MAX];
        const int64_t *times;
        assert_int_equal(
            weir_part_read_values(fixture.reader, part, &entries[c], decoded), WEIR_OK);
        assert_int_equal(weir_part_read_times(fixture.reader, part, &entries[c], &times), WEIR_OK);
        for (uint32_t i = 0; i < entries[c].count; i++, at++)
            assert_true(decoded[i] == (double)values[at] && times[i] == PART_START);
    }
    assert_int_equal(at, count);
    weir_part_close(fixture.io, part);
    free(times_ms);
    free(values);
    free(exponents);
    free(kinds);
}

static void
test_series_outside_the_key_is_refused(void **state)
{
    (void)state;
    struct weir_part_writer_options options = part_options(temp_path("one.part"));
    assert_int_equal(weir_part_writer_open(fixture.writer, &options), WEIR_OK);
    int64_t time_ms = PART_END;
    uint64_t value = 1;
    int8_t exponent = 0;
    uint8_t kind = 0;
    struct weir_part_samples samples = {&time_ms, &value, &exponent, &kind, 1};
    assert_int_equal(weir_part_writer_add(fixture.writer, 0, 1, &samples), WEIR_INVALID);
    time_ms = PART_START;
    assert_int_equal(weir_part_writer_add(fixture.writer, 4, 1, &samples), WEIR_INVALID);
    assert_int_equal(weir_part_writer_add(fixture.writer, 0, 1u << 20, &samples), WEIR_INVALID);
    assert_int_equal(weir_part_writer_add(fixture.writer, 0, 1, &samples), WEIR_OK);
    weir_part_writer_abort(fixture.writer);
    assert_int_not_equal(access(temp_path("one.part.tmp"), F_OK), 0);
}

/* A part that is full is finished, and what it took is there. */
static void
test_full_part_can_be_finished(void **state)
{
    (void)state;
    const char *path = temp_path("full.part");
    struct weir_part_writer_limits limits = {12, 64};
    void *memory =
        aligned_alloc(WEIR_IO_ALIGN, (weir_part_writer_footprint(&limits) + 4095) & ~(size_t)4095);
    struct weir_part_writer *roomy = fixture.writer;
    fixture.writer = weir_part_writer_init(memory, &limits, fixture.io);
    struct weir_part_writer_options options = part_options(path);
    assert_int_equal(weir_part_writer_open(fixture.writer, &options), WEIR_OK);
    uint32_t count = 0;
    enum weir_err err;
    while ((err = part_add(&fixture, count)) == WEIR_OK)
        count++;
    assert_int_equal(err, WEIR_LIMIT);
    struct weir_part_origin origin = {0, 1, {0, 0, 0, 0, 0}};
    assert_int_equal(weir_part_writer_finish(fixture.writer, &origin, NULL), WEIR_OK);
    struct weir_part *part;
    assert_int_equal(weir_part_open(fixture.io, path, &part), WEIR_OK);
    assert_int_equal(part_walk(&fixture, part).samples, part_samples(&fixture, count));
    weir_part_close(fixture.io, part);
    fixture.writer = roomy;
    free(memory);
}

static void
flip(const char *path, off_t at)
{
    int fd = open(path, O_RDWR);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* A flipped bit in each block of values and of times: that block is named, the others are read. */
static void
test_damaged_block_costs_itself_alone(void **state)
{
    (void)state;
    const char *path = temp_path("one.part");
    assert_int_equal(part_write(&fixture, path, 400), WEIR_OK);
    struct weir_part *part;
    assert_int_equal(weir_part_open(fixture.io, path, &part), WEIR_OK);
    uint64_t samples = part_samples(&fixture, 400);
    uint32_t tried = 0;
    for (uint32_t i = 0; i < weir_part_footer(part)->block_count; i++) {
        const struct weir_part_block *block = &weir_part_blocks(part)[i];
        if (block->kind == WEIR_PART_DIRECTORY)
            continue;
        off_t begin = (off_t)block->place * WEIR_PART_ALIGN;
        uint64_t refused = 0;
        for (uint32_t at = 0; at < block->bytes; at += at < 48 ? 1 : block->bytes / 7) {
            flip(path, begin + at);
            fixture.reader = weir_part_reader_init(fixture.reader_memory, fixture.io);
            struct part_walk found = part_walk(&fixture, part);
            const struct weir_part_damage *damage = weir_part_reader_damage(fixture.reader);
            assert_int_equal(found.samples + found.refused, samples);
            assert_true(found.refused > 0);
            assert_true(found.refused < samples || block->kind == WEIR_PART_TIMES);
            assert_true(refused == 0 || refused == found.refused);
            refused = found.refused;
            assert_true(damage->blocks >= 1);
            assert_int_equal(damage->last_at, begin);
            flip(path, begin + at);
        }
        tried++;
    }
    assert_true(tried >= 4);
    weir_part_close(fixture.io, part);
}

static void
test_damaged_directory_block_is_told(void **state)
{
    (void)state;
    const char *path = temp_path("one.part");
    assert_int_equal(part_write(&fixture, path, 2100), WEIR_OK);
    struct weir_part *part;
    assert_int_equal(weir_part_open(fixture.io, path, &part), WEIR_OK);
    assert_int_equal(weir_part_directory_count(part), 3);
    const struct weir_part_block *block =
        &weir_part_blocks(part)[weir_part_directory_block(part, 1)];
    flip(path, (off_t)block->place * WEIR_PART_ALIGN + 100);
    const struct weir_part_entry *entries;
    uint32_t count;
    assert_int_equal(weir_part_read_directory(fixture.reader, part, 0, &entries, &count), WEIR_OK);
    assert_int_equal(
        weir_part_read_directory(fixture.reader, part, 1, &entries, &count), WEIR_CORRUPT);
    assert_non_null(strstr(weir_err_detail(), "one.part"));
    assert_int_equal(
        weir_part_read_directory(fixture.reader, part, 1, &entries, &count), WEIR_CORRUPT);
    assert_int_equal(weir_part_reader_damage(fixture.reader)->blocks, 1);
    assert_int_equal(weir_part_read_directory(fixture.reader, part, 2, &entries, &count), WEIR_OK);
    weir_part_close(fixture.io, part);
}

/* Every flipped bit of a whole file is told, by open or by check; all else is still read. */
static void
test_every_flipped_byte_is_told(void **state)
{
    (void)state;
    const char *path = temp_path("one.part");
    assert_int_equal(part_write(&fixture, path, 12), WEIR_OK);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    uint64_t samples = part_samples(&fixture, 12);
    for (off_t at = 0; at < status.st_size; at++) {
        struct weir_part *part;
        unsigned ends;
        flip(path, at);
        assert_int_equal(weir_part_open(fixture.io, path, &part), WEIR_OK);
        fixture.reader = weir_part_reader_init(fixture.reader_memory, fixture.io);
        assert_int_equal(weir_part_check(fixture.reader, part, &ends), WEIR_CORRUPT);
        const struct weir_part_damage *damage = weir_part_reader_damage(fixture.reader);
        assert_int_equal(damage->blocks + (uint64_t)__builtin_popcount(ends), 1);
        if (ends != 0) {
            struct part_walk found = part_walk(&fixture, part);
            assert_int_equal(found.samples, samples);
        } else {
            assert_in_range(at, damage->last_at, damage->last_at + damage->bytes - 1);
        }
        weir_part_close(fixture.io, part);
        flip(path, at);
    }
}

static void
expect_open(const char *path, enum weir_err expected)
{
    struct weir_part *part = NULL;
    assert_int_equal(weir_part_open(fixture.io, path, &part), expected);
    if (expected == WEIR_OK) {
        assert_int_equal(part_walk(&fixture, part).refused, 0);
        weir_part_close(fixture.io, part);
    }
}

/* Each footer, the head, head and first footer; then too much. */
static void
test_either_footer_is_enough(void **state)
{
    (void)state;
    const char *path = temp_path("one.part");
    assert_int_equal(part_write(&fixture, path, 20), WEIR_OK);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    struct weir_part *part;
    assert_int_equal(weir_part_open(fixture.io, path, &part), WEIR_OK);
    off_t footer = (off_t)(sizeof(struct weir_part_footer) + sizeof(struct weir_part_trailer) +
        weir_part_footer(part)->block_count * sizeof(struct weir_part_block));
    weir_part_close(fixture.io, part);
    for (off_t at = 1; at <= footer; at++) {
        flip(path, status.st_size - at);
        expect_open(path, WEIR_OK);
        flip(path, status.st_size - at);
        flip(path, status.st_size - footer - at);
        expect_open(path, WEIR_OK);
        flip(path, status.st_size - footer - at);
    }
    for (off_t at = 0; at < (off_t)sizeof(struct weir_part_head); at++) {
        flip(path, at);
        expect_open(path, WEIR_OK);
        flip(path, status.st_size - footer - 1);
        expect_open(path, WEIR_OK);
        flip(path, status.st_size - footer - 1);
        flip(path, at);
    }
    flip(path, status.st_size - 1);
    flip(path, status.st_size - footer - 1);
    expect_open(path, WEIR_CORRUPT);
    flip(path, status.st_size - footer - 1);
    flip(path, 8);
    expect_open(path, WEIR_OK);
    flip(path, status.st_size - (off_t)sizeof(struct weir_part_trailer));
    expect_open(path, WEIR_CORRUPT);
}

static void
test_part_cut_short_is_corrupt(void **state)
{
    (void)state;
    const char *path = temp_path("one.part");
    assert_int_equal(part_write(&fixture, path, 20), WEIR_OK);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    off_t sizes[] = {0, 1, 31, 32, 4096, status.st_size / 2};
    for (size_t i = sizeof sizes / sizeof sizes[0]; i-- > 0;) {
        assert_int_equal(truncate(path, sizes[i]), 0);
        expect_open(path, WEIR_CORRUPT);
    }
    expect_open(temp_path("none.part"), WEIR_NOT_FOUND);
}

/* A block of another part at the same place does not check out. */
static void
test_block_of_another_file_is_refused(void **state)
{
    (void)state;
    const char *paths[2] = {temp_path("a.part"), temp_path("b.part")};
    for (int i = 0; i < 2; i++) {
        struct weir_part_writer_options options = part_options(paths[i]);
        struct weir_part_origin origin = {0, 1, {0, 0, 0, 0, 0}};
        options.file_id += (uint64_t)i;
        assert_int_equal(weir_part_writer_open(fixture.writer, &options), WEIR_OK);
        assert_int_equal(part_add(&fixture, 0), WEIR_OK);
        assert_int_equal(weir_part_writer_finish(fixture.writer, &origin, NULL), WEIR_OK);
    }
    struct weir_part *part;
    assert_int_equal(weir_part_open(fixture.io, paths[0], &part), WEIR_OK);
    struct weir_part_block block = weir_part_blocks(part)[0];
    uint8_t *bytes = malloc(block.bytes);
    int from = open(paths[1], O_RDONLY), to = open(paths[0], O_WRONLY);
    assert_int_equal(pread(from, bytes, block.bytes, block.place * WEIR_PART_ALIGN), block.bytes);
    assert_int_equal(pwrite(to, bytes, block.bytes, block.place * WEIR_PART_ALIGN), block.bytes);
    struct part_walk found = part_walk(&fixture, part);
    assert_int_equal(found.samples, 0);
    assert_int_equal(found.refused, 240);
    close(from);
    close(to);
    free(bytes);
    weir_part_close(fixture.io, part);
}

static void
test_part_of_a_later_version_is_named(void **state)
{
    (void)state;
    const char *path = temp_path("one.part");
    assert_int_equal(part_write(&fixture, path, 1), WEIR_OK);
    struct weir_part_head head;
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &head, sizeof head, 0), sizeof head);
    head.version = 2;
    uint64_t place[2] = {head.file_id, 0};
    head.crc = weir_crc32c(weir_crc32c(0, place, sizeof place), &head, sizeof head - 4);
    assert_int_equal(pwrite(fd, &head, sizeof head, 0), sizeof head);
    close(fd);
    expect_open(path, WEIR_UNSUPPORTED);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_part_gives_back_every_sample),
        TEST(test_decimals_come_back_as_decimals),
        TEST(test_series_of_a_host_share_a_time_column),
        TEST(test_empty_part),
        TEST(test_a_million_samples_of_one_time),
        TEST(test_series_outside_the_key_is_refused),
        TEST(test_full_part_can_be_finished),
        TEST(test_damaged_block_costs_itself_alone),
        TEST(test_damaged_directory_block_is_told),
        TEST(test_every_flipped_byte_is_told),
        TEST(test_either_footer_is_enough),
        TEST(test_part_cut_short_is_corrupt),
        TEST(test_block_of_another_file_is_refused),
        TEST(test_part_of_a_later_version_is_named),
    };
    return cmocka_run_group_tests_name("storage-part_part", tests, NULL, NULL);
}
