/* Bytes that a later program wrote: they stop the start, and nothing of them is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/sender_state/state.h"
#include "model/shared.h"
#include "storage/frame/crc.h"
#include "storage/log/format.h"
#include "tests/unit/storage/log/recycle_fixture.h"

#include <stdlib.h>
#include <sys/stat.h>

static int
set_up(void **state)
{
    (void)state;
    recycle_make(SEGMENT, 8);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    recycle_remove();
    return 0;
}

static const char *
path_of(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", fixture.directory, name);
    return path;
}

static void
file_read(const char *path, void *data, size_t size, uint64_t at)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, data, size, (off_t)at), size);
    close(fd);
}

static void
file_write(const char *path, const void *data, size_t size, uint64_t at)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, size, (off_t)at), size);
    close(fd);
}

/* Offsets of three frames of a page each; only the first is named durable by anyone. */
static const uint64_t places[3] = {0, PAGE, 2 * PAGE};

static void
make_three(void)
{
    uint8_t epoch[48];
    assert_int_equal(fixture_open(), WEIR_OK);
    file_read(path_of("epoch"), epoch, sizeof epoch, 0);
    fill_batch(1, 5, 0, 5);
    append();
    make_durable();
    for (uint64_t n = 2; n <= 3; n++) {
        fill_batch(n, 5, 0, 0);
        assert_int_equal(weir_log_append(fixture.log, &batch), WEIR_OK);
    }
    make_durable();
    assert_int_equal(weir_log_end(fixture.log), 3 * PAGE);
    fixture_close();
    file_write(path_of("epoch"), epoch, sizeof epoch, 0); /* as if killed */
}

enum later { LATER_VERSION, LATER_TYPE, LATER_SAMPLE_TYPE, LATER_FLAG, LATER_KINDS };

static void
make_later(struct weir_frame_header *header, enum later kind)
{
    if (kind == LATER_VERSION)
        header->version = WEIR_FRAME_VERSION + 1;
    else if (kind == LATER_TYPE)
        header->type = 3;
    else if (kind == LATER_SAMPLE_TYPE)
        header->sample_types |= 2;
    else
        header->flags |= 1;
    header->header_crc = weir_header_crc(header);
}

static void
test_frame_of_a_later_program_refuses_the_start_and_is_not_cut(void **state)
{
    (void)state;
    make_three();
    for (size_t i = 0; i < 3; i++) /* below the watermark, at it, above */
        for (int kind = 0; kind < LATER_KINDS; kind++) {
            struct weir_frame_header good, header;
            file_read(segment_path(0), &good, sizeof good, places[i]);
            header = good;
            make_later(&header, (enum later)kind);
            file_write(segment_path(0), &header, sizeof header, places[i]);
            for (int again = 0; again < 2; again++) {
                assert_int_equal(fixture_open(), WEIR_UNSUPPORTED);
                assert_non_null(strstr(weir_err_detail(), "later program"));
            }
            struct weir_reader *reader = NULL;
            assert_int_equal(
                weir_reader_open(fixture.directory, NULL, &reader), WEIR_UNSUPPORTED);
            struct weir_frame_header there;
            file_read(segment_path(0), &there, sizeof there, places[i]);
            assert_memory_equal(&there, &header, sizeof header);
            file_write(segment_path(0), &good, sizeof good, places[i]);
        }
    assert_int_equal(fixture_open(), WEIR_OK);
    assert_int_equal(fixture.recovery.end_offset, 3 * PAGE);
    assert_int_equal(fixture.recovery.frames, 3);
    fixture_close();
}

/* A bit more of damage, and it is damage: torn above the watermark, corruption below. */
static void
test_damaged_header_with_an_unknown_version_is_damage(void **state)
{
    (void)state;
    make_three();
    struct weir_frame_header good, header;
    file_read(segment_path(0), &good, sizeof good, places[1]);
    header = good;
    header.version++; /* its checksum is that of the version before */
    file_write(segment_path(0), &header, sizeof header, places[1]);
    assert_int_equal(fixture_open(), WEIR_OK);
    assert_int_equal(fixture.recovery.frames, 1);
    assert_int_equal(fixture.recovery.end_offset, PAGE);
    fixture_close();
}

/* A stale one, of an earlier epoch than the epoch file allows there, is none of this log. */
static void
test_stale_frame_of_a_later_program_does_not_count(void **state)
{
    (void)state;
    make_three();
    struct weir_frame_header header;
    file_read(segment_path(0), &header, sizeof header, places[1]);
    header.dataplane_epoch = 0;
    make_later(&header, LATER_SAMPLE_TYPE);
    file_write(segment_path(0), &header, sizeof header, places[1]);
    assert_int_equal(fixture_open(), WEIR_OK);
    assert_int_equal(fixture.recovery.end_offset, PAGE);
    fixture_close();
}

static void
test_epoch_file_of_a_later_version_refuses_the_start_whatever_its_size(void **state)
{
    (void)state;
    make_three();
    struct weir_epoch good;
    file_read(path_of("epoch"), &good, sizeof good, 0);
    for (size_t size = 24; size <= 4096; size += size < 64 ? 4 : 1008) {
        uint8_t file[4096];
        memset(file, 7, sizeof file);
        memcpy(file, &good, size < sizeof good ? size : sizeof good);
        file[4] = WEIR_EPOCH_VERSION + 1;
        uint32_t crc = weir_crc32c(0, file, size - sizeof crc);
        memcpy(file + size - sizeof crc, &crc, sizeof crc);
        assert_int_equal(truncate(path_of("epoch"), 0), 0);
        file_write(path_of("epoch"), file, size, 0);
        assert_int_equal(fixture_open(), WEIR_UNSUPPORTED);
        file[size - 1] ^= 1;
        file_write(path_of("epoch"), file, size, 0);
        assert_int_equal(fixture_open(), WEIR_OK); /* damage: the headers tell */
        assert_int_equal(fixture.recovery.end_offset, 3 * PAGE);
        fixture_close();
    }
}

/* The first opening replaces it: an earlier program refuses the log from then on. */
static void
test_epoch_file_of_version_one_is_read_and_replaced(void **state)
{
    (void)state;
    make_three();
    struct weir_epoch epoch;
    file_read(path_of("epoch"), &epoch, sizeof epoch, 0);
    assert_int_equal(epoch.version, 2);
    epoch.version = 1;
    epoch.dataplane_epoch += 100;
    epoch.crc = weir_crc32c(0, &epoch, offsetof(struct weir_epoch, crc));
    file_write(path_of("epoch"), &epoch, sizeof epoch, 0);
    assert_int_equal(fixture_open(), WEIR_OK);
    assert_int_equal(fixture.recovery.dataplane_epoch, epoch.dataplane_epoch + 1);
    struct weir_epoch now;
    file_read(path_of("epoch"), &now, sizeof now, 0);
    assert_int_equal(now.version, 2);
    assert_int_equal(now.dataplane_epoch, epoch.dataplane_epoch + 1);
    fixture_close();
}

static void
test_state_entries_of_a_later_program_refuse_the_start(void **state)
{
    (void)state;
    static struct weir_state_entry entry = {.type = WEIR_STATE_SEQUENCE, .bytes = sizeof entry};
    assert_int_equal(fixture_open(), WEIR_OK);
    entry.type = 77;
    fill_batch(1, 5, 0, 5);
    batch.sender_state = (uint8_t *)&entry;
    batch.state_bytes = sizeof entry;
    append();
    make_durable();
    fixture_close();
    assert_int_equal(fixture_open(), WEIR_UNSUPPORTED);
}

/* Turns the log over until something is trimmed. */
static void
make_trimmed(void)
{
    assert_int_equal(recycle_open(), WEIR_OK);
    recycle_write(200);
    assert_true(weir_log_first(fixture.log) != 0);
    recycle_close();
}

static void
test_chunk_of_definitions_of_a_later_version_refuses_the_start(void **state)
{
    (void)state;
    make_trimmed();
    struct weir_definitions_chunk header;
    file_read(path_of("definitions"), &header, sizeof header, 0);
    header.version = 2;
    header.header_crc = weir_crc32c(weir_place_crc(WEIR_LOG_STREAM, 0), &header,
        offsetof(struct weir_definitions_chunk, header_crc));
    file_write(path_of("definitions"), &header, sizeof header, 0);
    assert_int_equal(recycle_open(), WEIR_UNSUPPORTED);
}

static void
test_checkpoint_of_a_later_version_refuses_the_start(void **state)
{
    (void)state;
    make_trimmed();
    struct weir_checkpoint head;
    static const char *const names[] = {WEIR_LOG_CHECKPOINT_0, WEIR_LOG_CHECKPOINT_1};
    for (int i = 0; i < 2; i++) { /* in one copy, then in both */
        file_read(path_of(names[i]), &head, sizeof head, 0);
        head.version++;
        head.crc = weir_crc32c(0, &head, offsetof(struct weir_checkpoint, crc));
        file_write(path_of(names[i]), &head, sizeof head, 0);
        assert_int_equal(recycle_open(), WEIR_UNSUPPORTED);
    }
}

/* Nor does a checkpoint step over one: nothing more is trimmed. */
static void
test_checkpointer_stops_at_a_frame_of_a_later_program(void **state)
{
    (void)state;
    make_trimmed();
    assert_int_equal(recycle_open(), WEIR_OK);
    struct weir_trim *trim = weir_log_trim(fixture.log);
    uint64_t first = atomic_load(&trim->first_index);
    assert_true(atomic_load(&trim->whole_index) > first);
    struct weir_frame_header header;
    file_read(segment_path(first), &header, sizeof header, 0);
    make_later(&header, LATER_VERSION);
    file_write(segment_path(first), &header, sizeof header, 0);
    atomic_store(&trim->wanted_index, first + 1);
    assert_false(weir_checkpointer_run_once(recycle.checkpointer));
    assert_int_equal(atomic_load(&trim->first_index), first);
    assert_int_equal(atomic_load(&trim->state), WEIR_TRIM_FAILING);
    recycle_close();
    assert_int_equal(recycle_open(), WEIR_UNSUPPORTED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_frame_of_a_later_program_refuses_the_start_and_is_not_cut),
        TEST(test_damaged_header_with_an_unknown_version_is_damage),
        TEST(test_stale_frame_of_a_later_program_does_not_count),
        TEST(test_epoch_file_of_a_later_version_refuses_the_start_whatever_its_size),
        TEST(test_epoch_file_of_version_one_is_read_and_replaced),
        TEST(test_state_entries_of_a_later_program_refuse_the_start),
        TEST(test_chunk_of_definitions_of_a_later_version_refuses_the_start),
        TEST(test_checkpoint_of_a_later_version_refuses_the_start),
        TEST(test_checkpointer_stops_at_a_frame_of_a_later_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
