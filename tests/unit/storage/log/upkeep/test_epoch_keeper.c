#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage/log/epoch.h"
#include "storage/log/upkeep/epoch_keeper.h"
#include "tests/unit/storage/log/log_fixture.h"

#include <sys/stat.h>

#define SECOND WEIR_EPOCH_REST_NS

static _Atomic uint64_t durable;
static struct weir_epoch_keeper keeper;

static int
set_up(void **state)
{
    (void)state;
    struct weir_io_table table = quick_table();
    fixture_make(&table);
    struct weir_epoch epoch;
    if (fixture_open() != WEIR_OK ||
        weir_epoch_read(fixture.io, fixture.directory, WEIR_LOG_STREAM, &epoch) != WEIR_OK)
        return -1;
    atomic_store(&durable, epoch.durable_offset);
    weir_epoch_keeper_init(&keeper, fixture.directory, fixture.io, &durable, &epoch);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    fixture_remove();
    return 0;
}

static void
expect_file(uint64_t offset)
{
    struct weir_epoch epoch;
    assert_int_equal(
        weir_epoch_read(fixture.io, fixture.directory, WEIR_LOG_STREAM, &epoch), WEIR_OK);
    assert_int_equal(epoch.durable_offset, offset);
    assert_int_equal(epoch.dataplane_epoch, fixture.recovery.dataplane_epoch);
    assert_int_equal(epoch.segment_bytes, SEGMENT);
}

static void
test_epoch_file_is_written_once_when_a_log_has_rested_for_a_second(void **state)
{
    (void)state;
    assert_false(weir_epoch_keeper_run_once(&keeper, SECOND)); /* nothing was written at all */
    assert_false(weir_epoch_keeper_run_once(&keeper, 9 * SECOND));
    atomic_store(&durable, 3 * PAGE);
    assert_false(weir_epoch_keeper_run_once(&keeper, 10 * SECOND));
    assert_false(weir_epoch_keeper_run_once(&keeper, 11 * SECOND - 1));
    expect_file(0);
    assert_true(weir_epoch_keeper_run_once(&keeper, 11 * SECOND));
    expect_file(3 * PAGE);
    for (int64_t i = 12; i < 100; i++)
        assert_false(weir_epoch_keeper_run_once(&keeper, i * SECOND));
    atomic_store(&durable, 4 * PAGE);
    assert_false(weir_epoch_keeper_run_once(&keeper, 100 * SECOND));
    assert_true(weir_epoch_keeper_run_once(&keeper, 101 * SECOND));
    expect_file(4 * PAGE);
}

static void
test_epoch_file_is_not_written_under_load(void **state)
{
    (void)state;
    for (int64_t i = 1; i < 1000; i++) {
        atomic_store(&durable, (uint64_t)i * PAGE);
        assert_false(weir_epoch_keeper_run_once(&keeper, i * SECOND));
    }
    expect_file(0);
}

static int
replace_fault(void *context, const char *operation, uint64_t offset, size_t size)
{
    (void)offset;
    (void)size;
    return strcmp(operation, "pwrite") == 0 ? -*(int *)context : 0;
}

static void
test_epoch_file_without_room_is_tried_again_and_later_each_time(void **state)
{
    (void)state;
    int errnum = ENOSPC;
    weir_io_set_fault(fixture.io, replace_fault, &errnum);
    atomic_store(&durable, PAGE);
    assert_false(weir_epoch_keeper_run_once(&keeper, SECOND));
    for (int64_t i = 2; i < 60; i++)
        assert_false(weir_epoch_keeper_run_once(&keeper, i * SECOND));
    assert_true(keeper.failures > 2 && keeper.failures < 10);
    weir_io_set_fault(fixture.io, NULL, NULL);
    int64_t at = 60;
    while (!weir_epoch_keeper_run_once(&keeper, at * SECOND))
        assert_true(++at < 100);
    expect_file(PAGE);
    errnum = EIO; /* a device error: never again */
    weir_io_set_fault(fixture.io, replace_fault, &errnum);
    atomic_store(&durable, 2 * PAGE);
    assert_false(weir_epoch_keeper_run_once(&keeper, 200 * SECOND));
    assert_false(weir_epoch_keeper_run_once(&keeper, 201 * SECOND));
    weir_io_set_fault(fixture.io, NULL, NULL);
    assert_false(weir_epoch_keeper_run_once(&keeper, 300 * SECOND));
    expect_file(PAGE);
}

/* The last frame of a log that rests was acknowledged: that it is gone is told. */
static void
test_damage_to_the_last_frame_of_a_log_at_rest_is_corruption_after_a_kill(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 3; n++) {
        fill_batch(n, 5, n == 1 ? 0 : 5, n == 1 ? 5 : 0);
        append();
        make_durable();
    }
    atomic_store(&durable, weir_log_durable(fixture.log));
    (void)weir_epoch_keeper_run_once(&keeper, SECOND);
    assert_true(weir_epoch_keeper_run_once(&keeper, 2 * SECOND));
    struct weir_epoch epoch;
    assert_int_equal(
        weir_epoch_read(fixture.io, fixture.directory, WEIR_LOG_STREAM, &epoch), WEIR_OK);
    uint64_t end = weir_log_end(fixture.log);
    fixture_close();
    /* the close has written it again: as the kill would have left it */
    assert_int_equal(weir_epoch_write(fixture.io, fixture.directory, epoch), WEIR_OK);
    int fd = open(segment_path(0), O_RDWR);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, 2 * PAGE + 40), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 2 * PAGE + 40), 1);
    close(fd);
    assert_int_equal(fixture_open(), WEIR_OK);
    assert_int_equal(fixture.recovery.frames, 2);
    assert_int_equal(fixture.recovery.frames_corrupt, 1);
    assert_int_equal(fixture.recovery.end_offset, end);
    assert_int_equal(fixture.recovery.bytes_torn, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_epoch_file_is_written_once_when_a_log_has_rested_for_a_second),
        TEST(test_epoch_file_is_not_written_under_load),
        TEST(test_epoch_file_without_room_is_tried_again_and_later_each_time),
        TEST(test_damage_to_the_last_frame_of_a_log_at_rest_is_corruption_after_a_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
