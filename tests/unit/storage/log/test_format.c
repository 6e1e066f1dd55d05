/* The files of a log: their names, their layouts, and the golden bytes of the small ones, which
 * tests/golden/log.py made from docs/format/log.md. Nothing here opens a log or includes its
 * writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/labels.h"
#include "storage/log/checkpoint.h"
#include "storage/log/definitions.h"
#include "storage/log/epoch.h"
#include "storage/log/format.h"
#include "storage/log/segments.h"
#include "tests/unit/storage/temp_dir.h"

#include <string.h>

#define GOLDEN_MAX 8192

static struct weir_io *io;
static uint8_t golden[GOLDEN_MAX];
static size_t golden_size;

static int
set_up(void **state)
{
    (void)state;
    struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    temp_dir_make();
    return weir_io_new(&options, &io) == WEIR_OK ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    weir_io_free(io);
    temp_dir_remove();
    return 0;
}

static void
golden_load(const char *wanted)
{
    static char hex[2 * GOLDEN_MAX + 1];
    char name[32];
    FILE *file = fopen(getenv("WEIR_GOLDEN_LOG"), "r");
    assert_non_null(file);
    do
        assert_int_equal(fscanf(file, "%31s %16384s", name, hex), 2);
    while (strcmp(name, wanted) != 0);
    fclose(file);
    golden_size = strlen(hex) / 2;
    for (size_t i = 0; i < golden_size; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1]};
        golden[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
}

/* Puts the golden bytes where the log has the file. */
static void
golden_put(const char *name)
{
    golden_load(name);
    FILE *file = fopen(temp_path(name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(golden, 1, golden_size, file), golden_size);
    fclose(file);
}

static void
assert_file_is(const char *name, const char *golden_name)
{
    static uint8_t bytes[GOLDEN_MAX + 1];
    golden_load(golden_name);
    FILE *file = fopen(temp_path(name), "r");
    assert_non_null(file);
    assert_int_equal(fread(bytes, 1, sizeof bytes, file), golden_size);
    fclose(file);
    assert_memory_equal(bytes, golden, golden_size);
}

static void
assert_file_is_golden(const char *name)
{
    assert_file_is(name, name);
}

static void
test_files_of_a_log_have_the_names_of_the_format(void **state)
{
    (void)state;
    char path[PATH_MAX];
    assert_int_equal(weir_log_path("/data/log/0", WEIR_LOG_EPOCH, path), WEIR_OK);
    assert_string_equal(path, "/data/log/0/epoch");
    assert_int_equal(weir_log_path("/data/log/0", WEIR_LOG_CHECKPOINT_0, path), WEIR_OK);
    assert_string_equal(path, "/data/log/0/checkpoint.0");
    assert_int_equal(weir_log_path("/data/log/0", WEIR_LOG_DEFINITIONS, path), WEIR_OK);
    assert_string_equal(path, "/data/log/0/definitions");
    weir_log_segment_path("/data/log/0", 0xabc, path, sizeof path);
    assert_string_equal(path, "/data/log/0/0000000000000abc.seg");
    assert_int_equal(strlen("0000000000000abc.seg") + 1, WEIR_SEGMENT_NAME_SIZE);
}

static void
test_path_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char directory[PATH_MAX], path[PATH_MAX];
    memset(directory, 'd', sizeof directory);
    directory[PATH_MAX - 1 - sizeof WEIR_LOG_EPOCH] = '\0';
    assert_int_equal(weir_log_path(directory, WEIR_LOG_EPOCH, path), WEIR_OK);
    assert_int_equal(strlen(path), PATH_MAX - 1);
    directory[strlen(directory)] = 'd';
    directory[PATH_MAX - sizeof WEIR_LOG_EPOCH] = '\0';
    assert_int_equal(weir_log_path(directory, WEIR_LOG_EPOCH, path), WEIR_INVALID);
}

static void
test_sixteen_lower_case_digits_name_a_segment_and_nothing_else_does(void **state)
{
    (void)state;
    static const char *const others[] = {"", "epoch", ".seg", "1.seg", "000000000000001.seg",
        "00000000000000001.seg", "000000000000000A.seg", "000000000000000g.seg",
        "0000000000000001.seg.new", "0000000000000001.SEG", "0000000000000001",
        "0x00000000000001.seg", " 000000000000001.seg", "-000000000000001.seg"};
    uint64_t index = 7;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (weir_log_segment_parse(others[i], &index))
            fail_msg("\"%s\" is taken for a segment", others[i]);
    assert_int_equal(index, 7);
    assert_true(weir_log_segment_parse("00000000000000ff.seg", &index));
    assert_int_equal(index, 255);
    assert_true(weir_log_segment_parse("ffffffffffffffff.seg", &index));
    assert_true(index == UINT64_MAX);
}

static void
test_list_of_segments_ascends_and_leaves_other_names_out(void **state)
{
    (void)state;
    static const char *const names[] = {"0000000000000010.seg", "0000000000000002.seg", "epoch",
        "000000000000000f.seg", "0000000000000003.seg.old"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        FILE *file = fopen(temp_path(names[i]), "w");
        assert_non_null(file);
        fclose(file);
    }
    uint64_t *indexes;
    size_t count;
    assert_int_equal(weir_segment_list(io, temp_dir, &indexes, &count), WEIR_OK);
    assert_int_equal(count, 3);
    assert_int_equal(indexes[0], 2);
    assert_int_equal(indexes[1], 15);
    assert_int_equal(indexes[2], 16);
    free(indexes);
}

/* docs/format/log.md, table by table. */
static void
test_fields_are_where_the_format_says(void **state)
{
    (void)state;
#define AT(type, field, offset) assert_int_equal(offsetof(struct type, field), offset)
    AT(weir_epoch, magic, 0);
    AT(weir_epoch, version, 4);
    AT(weir_epoch, stream, 8);
    AT(weir_epoch, segment_bytes, 16);
    AT(weir_epoch, dataplane_epoch, 24);
    AT(weir_epoch, durable_offset, 32);
    AT(weir_epoch, crc, 44);
    assert_int_equal(sizeof(struct weir_epoch), 48);
    AT(weir_checkpoint, magic, 0);
    AT(weir_checkpoint, version, 4);
    AT(weir_checkpoint, stream, 8);
    AT(weir_checkpoint, previous_known, 12);
    AT(weir_checkpoint, generation, 16);
    AT(weir_checkpoint, segment_bytes, 24);
    AT(weir_checkpoint, first_index, 32);
    AT(weir_checkpoint, dataplane_epoch, 40);
    AT(weir_checkpoint, definitions_through, 48);
    AT(weir_checkpoint, definitions_bytes, 56);
    AT(weir_checkpoint, samples_trimmed, 64);
    AT(weir_checkpoint, time_max_ms, 72);
    AT(weir_checkpoint, previous_crc, 80);
    AT(weir_checkpoint, resume_offset, 88);
    AT(weir_checkpoint, resume_epoch, 96);
    AT(weir_checkpoint, resume_definitions, 104);
    AT(weir_checkpoint, resume_time_max_ms, 112);
    AT(weir_checkpoint, resume_crc, 120);
    AT(weir_checkpoint, resume_known, 124);
    AT(weir_checkpoint, frames_corrupt, 128);
    AT(weir_checkpoint, key_check, 136);
    AT(weir_checkpoint, state_bytes, 152);
    AT(weir_checkpoint, fingerprint_bytes, 160);
    AT(weir_checkpoint, content_crc, 164);
    AT(weir_checkpoint, crc, 172);
    assert_int_equal(sizeof(struct weir_checkpoint), 176);
    AT(weir_checkpoint_v1, version, 4);
    AT(weir_checkpoint_v1, previous_known, 12);
    AT(weir_checkpoint_v1, segment_bytes, 16);
    AT(weir_checkpoint_v1, first_index, 24);
    AT(weir_checkpoint_v1, dataplane_epoch, 32);
    AT(weir_checkpoint_v1, definitions_through, 40);
    AT(weir_checkpoint_v1, definitions_bytes, 48);
    AT(weir_checkpoint_v1, samples_trimmed, 56);
    AT(weir_checkpoint_v1, time_max_ms, 64);
    AT(weir_checkpoint_v1, state_bytes, 72);
    AT(weir_checkpoint_v1, previous_crc, 80);
    AT(weir_checkpoint_v1, state_crc, 84);
    AT(weir_checkpoint_v1, crc, 92);
    assert_int_equal(sizeof(struct weir_checkpoint_v1), 96);
    AT(weir_definitions_chunk, magic, 0);
    AT(weir_definitions_chunk, version, 4);
    AT(weir_definitions_chunk, first, 8);
    AT(weir_definitions_chunk, count, 16);
    AT(weir_definitions_chunk, bytes, 20);
    AT(weir_definitions_chunk, crc, 24);
    AT(weir_definitions_chunk, header_crc, 28);
    assert_int_equal(sizeof(struct weir_definitions_chunk), 32);
    /* of a frame's header the log uses these ("Chain") */
    AT(weir_frame_header, offset, 16);
    AT(weir_frame_header, bytes, 24);
    AT(weir_frame_header, segment_epoch, 32);
    AT(weir_frame_header, dataplane_epoch, 40);
    AT(weir_frame_header, durable_watermark, 48);
    AT(weir_frame_header, definitions_through, 56);
    AT(weir_frame_header, previous_crc, 108);
    AT(weir_frame_header, header_crc, 124);
#undef AT
}

static void
test_epoch_file_is_its_golden_bytes(void **state)
{
    (void)state;
    const struct weir_epoch written = {.stream = WEIR_LOG_STREAM,
        .segment_bytes = WEIR_SEGMENT_BYTES_DEFAULT,
        .dataplane_epoch = 7,
        .durable_offset = 0x7f3000};
    struct weir_epoch epoch;
    assert_int_equal(weir_epoch_write(io, temp_dir, written), WEIR_OK);
    assert_file_is_golden(WEIR_LOG_EPOCH);
    golden_put(WEIR_LOG_EPOCH);
    assert_int_equal(weir_epoch_read(io, temp_dir, WEIR_LOG_STREAM, &epoch), WEIR_OK);
    assert_int_equal(epoch.segment_bytes, written.segment_bytes);
    assert_int_equal(epoch.dataplane_epoch, written.dataplane_epoch);
    assert_int_equal(epoch.durable_offset, written.durable_offset);
}

/* Two lists of state entries, then three fingerprints. */
static void
check_content(const uint8_t *content, size_t state_bytes)
{
    const uint8_t *list;
    size_t at = 0, size;
    for (uint8_t wanted = 16; wanted >= 8; wanted -= 8) {
        assert_int_equal(
            weir_checkpoint_state_next(content, state_bytes, &at, &list, &size), WEIR_OK);
        assert_int_equal(size, wanted);
        for (uint8_t i = 0; i < wanted; i++)
            assert_int_equal(list[i], i);
    }
    assert_int_equal(
        weir_checkpoint_state_next(content, state_bytes, &at, &list, &size), WEIR_END);
}

static void
test_checkpoint_files_are_their_golden_bytes(void **state)
{
    (void)state;
    uint8_t content[40 + 48] = {16, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
        10, 11, 12, 13, 14, 15, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7};
    for (uint8_t i = 0; i < 48; i++)
        content[40 + i] = (uint8_t)(100 + i);
    const struct weir_checkpoint written = {.stream = WEIR_LOG_STREAM,
        .previous_known = 1,
        .generation = 9,
        .segment_bytes = WEIR_SEGMENT_BYTES_DEFAULT,
        .first_index = 6,
        .dataplane_epoch = 5,
        .definitions_through = 3,
        .definitions_bytes = 4096,
        .samples_trimmed = 1234567,
        .time_max_ms = 1700000000000,
        .previous_crc = 0x12345678,
        .resume_offset = 6 * WEIR_SEGMENT_BYTES_DEFAULT + 8192,
        .resume_epoch = 7,
        .resume_definitions = 3,
        .resume_time_max_ms = 1700000009000,
        .resume_crc = 0x9abcdef0,
        .resume_known = 1,
        .frames_corrupt = 2,
        .key_check = {0x1111, 0x2222},
        .state_bytes = 40,
        .fingerprint_bytes = 48};
    struct weir_checkpoint read;
    uint8_t *read_content;
    assert_int_equal(weir_checkpoint_write(io, temp_dir, written, content), WEIR_OK);
    assert_file_is(WEIR_LOG_CHECKPOINT_1, WEIR_LOG_CHECKPOINT_0);
    assert_file_is_golden(WEIR_LOG_CHECKPOINT_0);
    golden_put(WEIR_LOG_CHECKPOINT_0);
    assert_int_equal(
        weir_checkpoint_read(io, temp_dir, WEIR_LOG_STREAM, &read, &read_content), WEIR_OK);
    /* from the generation to what the writer fills in */
    size_t from = offsetof(struct weir_checkpoint, generation);
    assert_memory_equal(&read.generation, &written.generation,
        offsetof(struct weir_checkpoint, content_crc) - from);
    check_content(read_content, 40);
    assert_memory_equal(read_content + 40, content + 40, 48);
    free(read_content);
}

static void
test_checkpoint_of_version_one_is_read_and_removed_by_the_next(void **state)
{
    (void)state;
    struct weir_checkpoint read;
    uint8_t *content;
    golden_put(WEIR_LOG_CHECKPOINT_OLD);
    assert_int_equal(
        weir_checkpoint_read(io, temp_dir, WEIR_LOG_STREAM, &read, &content), WEIR_OK);
    assert_int_equal(read.generation, 0);
    assert_int_equal(read.first_index, 6);
    assert_int_equal(read.samples_trimmed, 1234567);
    assert_int_equal(read.time_max_ms, 1700000000000);
    assert_int_equal(read.previous_crc, 0x12345678);
    assert_int_equal(read.resume_offset, 6 * WEIR_SEGMENT_BYTES_DEFAULT);
    assert_int_equal(read.resume_crc, 0x12345678);
    assert_int_equal(read.resume_definitions, 3);
    assert_int_equal(read.fingerprint_bytes, 0);
    check_content(content, 40);
    read.generation++;
    read.first_index++;
    read.resume_offset += WEIR_SEGMENT_BYTES_DEFAULT;
    assert_int_equal(weir_checkpoint_write(io, temp_dir, read, content), WEIR_OK);
    free(content);
    assert_int_not_equal(access(temp_path(WEIR_LOG_CHECKPOINT_OLD), F_OK), 0);
    golden_put(WEIR_LOG_CHECKPOINT_OLD); /* a crash may bring it back: it counts no more */
    assert_int_equal(weir_checkpoint_read(io, temp_dir, WEIR_LOG_STREAM, &read, NULL), WEIR_OK);
    assert_int_equal(read.first_index, 7);
}

static const char *const series_names[3] = {"first", "second", "third"};

static void
encode(const char *name, uint8_t labels[64], size_t *size)
{
    struct weir_label pair[2] = {
        {(const uint8_t *)WEIR_NAME_LABEL, (const uint8_t *)name, sizeof WEIR_NAME_LABEL - 1,
            (uint16_t)strlen(name)},
        {(const uint8_t *)"host", (const uint8_t *)"a", 4, 1}};
    assert_int_equal(weir_labels_encode(pair, 2, labels, size), WEIR_OK);
}

static enum weir_err
define(void *context, uint64_t number, const uint8_t *labels, size_t size)
{
    uint8_t expected[64];
    size_t expected_size;
    assert_in_range(number, 0, 2);
    encode(series_names[number], expected, &expected_size);
    assert_int_equal(size, expected_size);
    assert_memory_equal(labels, expected, size);
    (*(int *)context)++;
    return WEIR_OK;
}

static void
test_definitions_file_is_its_golden_bytes(void **state)
{
    (void)state;
    struct weir_definitions_writer writer;
    assert_int_equal(weir_definitions_open(&writer, io, temp_dir, 0), WEIR_OK);
    for (uint64_t number = 0; number < 3; number++) {
        uint8_t labels[64];
        size_t size;
        encode(series_names[number], labels, &size);
        assert_int_equal(weir_definitions_add(&writer, number, labels, size), WEIR_OK);
    }
    assert_int_equal(weir_definitions_finish(&writer), WEIR_OK);
    assert_int_equal(writer.bytes, 4096);
    weir_definitions_close(&writer);
    assert_file_is_golden(WEIR_LOG_DEFINITIONS);
    golden_put(WEIR_LOG_DEFINITIONS);
    int defined = 0;
    struct weir_replay replay = {.define = define, .define_context = &defined};
    assert_int_equal(weir_definitions_read(io, temp_dir, golden_size, 3, &replay), WEIR_OK);
    assert_int_equal(defined, 3);
    assert_int_equal(replay.through, 3);
    assert_int_equal(replay.lost, 0);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_of_a_log_have_the_names_of_the_format),
        cmocka_unit_test(test_path_that_is_too_long_is_refused),
        cmocka_unit_test(test_sixteen_lower_case_digits_name_a_segment_and_nothing_else_does),
        T(test_list_of_segments_ascends_and_leaves_other_names_out),
        cmocka_unit_test(test_fields_are_where_the_format_says),
        T(test_epoch_file_is_its_golden_bytes),
        T(test_checkpoint_files_are_their_golden_bytes),
        T(test_checkpoint_of_version_one_is_read_and_removed_by_the_next),
        T(test_definitions_file_is_its_golden_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
