/* The golden parts: today's reader reads them, and what is not zstd's choice is written today as it
 * was then. `test_storage_part_golden DIRECTORY` writes them anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/storage/part/part_walk.h"

#define SERIES 24

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
write_golden(const char *path, enum weir_effort effort)
{
    struct weir_part_writer_options options = part_options(path);
    struct weir_part_origin origin = {4096, 8192, {0, 5, 4, 3, 2}};
    options.file_id += effort;
    options.effort = effort;
    options.statistics = effort == WEIR_EFFORT_BEST;
    options.key.level = effort == WEIR_EFFORT_BEST ? 3 : 1;
    options.key.order = effort == WEIR_EFFORT_BEST ? WEIR_PART_BY_LABELS : WEIR_PART_BY_NUMBER;
    assert_int_equal(weir_part_writer_open(fixture.writer, &options), WEIR_OK);
    for (uint32_t i = 0; i < SERIES; i++)
        assert_int_equal(part_add(&fixture, i), WEIR_OK);
    assert_int_equal(weir_part_writer_finish(fixture.writer, &origin, NULL), WEIR_OK);
}

static uint8_t *
bytes_of(const char *path, size_t *size)
{
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    fseek(in, 0, SEEK_END);
    *size = (size_t)ftell(in);
    rewind(in);
    uint8_t *bytes = malloc(*size);
    assert_int_equal(fread(bytes, 1, *size, in), *size);
    fclose(in);
    return bytes;
}

static const char *
golden(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", getenv("WEIR_GOLDEN"), name);
    return path;
}

static void
check_golden(const char *name, uint32_t codecs)
{
    struct weir_part *part;
    unsigned ends;
    assert_int_equal(weir_part_open(fixture.io, golden(name), &part), WEIR_OK);
    assert_int_equal(weir_part_check(fixture.reader, part, &ends), WEIR_OK);
    assert_int_equal(weir_part_footer(part)->codec_set, codecs);
    assert_int_equal(weir_part_footer(part)->series, SERIES);
    struct part_walk found = part_walk(&fixture, part);
    assert_int_equal(found.samples, part_samples(&fixture, SERIES));
    assert_int_equal(found.refused, 0);
    weir_part_close(fixture.io, part);
}

static void
test_golden_part_is_read(void **state)
{
    (void)state;
    check_golden("part_v1.bin", (1u << WEIR_CODEC_COUNT) - 1);
    check_golden("part_level1_v1.bin",
        1u << WEIR_CODEC_CONSTANT | 1u << WEIR_CODEC_PACKED | 1u << WEIR_CODEC_XOR);
}

static void
test_golden_part_is_written(void **state)
{
    (void)state;
    size_t size, golden_size;
    const char *path = temp_path("level1.part");
    write_golden(path, WEIR_EFFORT_FAST);
    uint8_t *bytes = bytes_of(path, &size);
    uint8_t *expected = bytes_of(golden("part_level1_v1.bin"), &golden_size);
    assert_int_equal(size, golden_size);
    assert_memory_equal(bytes, expected, size);
    free(bytes);
    free(expected);
}

static void
write_all(const char *directory)
{
    char path[1024];
    part_fixture_make(&fixture);
    snprintf(path, sizeof path, "%s/part_v1.bin", directory);
    write_golden(path, WEIR_EFFORT_BEST);
    snprintf(path, sizeof path, "%s/part_level1_v1.bin", directory);
    write_golden(path, WEIR_EFFORT_FAST);
    part_fixture_remove(&fixture);
}

int
main(int argc, char **argv)
{
    if (argc == 2) {
        write_all(argv[1]);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_golden_part_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_golden_part_is_written, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("storage-part_golden", tests, NULL, NULL);
}
