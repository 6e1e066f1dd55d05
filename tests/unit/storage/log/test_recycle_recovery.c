/* Recovery of a log that begins at a checkpoint: each field of the checkpoint does what the frames
 * before it would have done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/storage/log/recycle_fixture.h"

#define SMALL (4 * PAGE) /* a segment of four frames */
#define FRAMES 11
#define FRAMES_LEFT 7 /* behind the first segment */

static int
set_up(void **state)
{
    (void)state;
    recycle_make(SMALL, 64);
    fixture.options.define = recycle_name;
    assert_int_equal(recycle_open(), WEIR_OK);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    recycle_remove();
    return 0;
}

/* The log begins at segment 1, and is closed. */
static void
trim_one(void)
{
    struct weir_trim *trim = weir_log_trim(fixture.log);
    assert_true(atomic_load(&trim->whole_index) >= 1);
    atomic_store(&trim->wanted_index, 1);
    assert_true(weir_checkpointer_run_once(recycle.checkpointer));
    recycle_close();
}

static struct weir_checkpoint
checkpoint_there(void)
{
    struct weir_checkpoint checkpoint;
    assert_int_equal(weir_checkpoint_read(recycle.io, fixture.directory, WEIR_LOG_STREAM,
                         &checkpoint, NULL), WEIR_OK);
    return checkpoint;
}

static void
checkpoint_put(struct weir_checkpoint checkpoint)
{
    assert_int_equal(
        weir_checkpoint_write(recycle.io, fixture.directory, checkpoint, NULL), WEIR_OK);
}

static struct weir_frame_header
header_at(uint64_t offset)
{
    struct weir_frame_header header;
    int fd = open(segment_path(offset / SMALL), O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &header, sizeof header, (off_t)(offset % SMALL)), sizeof header);
    close(fd);
    return header;
}

static void
check_recovered(uint64_t frames, uint64_t corrupt)
{
    assert_int_equal(recycle_open(), WEIR_OK);
    assert_int_equal(fixture.recovery.first_offset, SMALL);
    assert_int_equal(fixture.recovery.frames, frames);
    assert_int_equal(fixture.recovery.frames_corrupt, corrupt);
    assert_int_equal(fixture.recovery.bytes_torn, 0);
    recycle_close();
}

/* No proof of it is left: the frames there were given to the device before the ones that are
 * trimmed were known to be durable. */
static void
test_what_lies_before_a_checkpoint_is_durable(void **state)
{
    (void)state;
    recycle_write(2);
    for (int i = 0; i < 16; i++)
        recycle_round(); /* the next segment is made */
    for (int i = 0; i < 6; i++)
        recycle_append();
    recycle_make_durable();
    assert_int_equal(recycle.offsets[8], 2 * SMALL - PAGE);
    assert_int_equal(header_at(2 * SMALL - PAGE).durable_watermark, 2 * PAGE);
    trim_one();
    assert_int_equal(unlink(segment_path(0)), 0);
    assert_int_equal(unlink(recycle_path("epoch")), 0);
    check_recovered(4, 0);
}

static void
test_first_frame_behind_a_checkpoint_continues_its_chain(void **state)
{
    (void)state;
    recycle_write(FRAMES);
    trim_one();
    struct weir_checkpoint checkpoint = checkpoint_there();
    assert_int_equal(checkpoint.previous_known, 1);
    assert_int_equal(checkpoint.previous_crc, header_at(3 * PAGE).header_crc);
    check_recovered(FRAMES_LEFT, 0);
    checkpoint.previous_crc ^= 1;
    checkpoint_put(checkpoint);
    check_recovered(FRAMES_LEFT - 1, 1);
    checkpoint.previous_known = 0; /* behind damage */
    checkpoint_put(checkpoint);
    check_recovered(FRAMES_LEFT, 0);
}

/* Nothing behind the checkpoint is of its epoch or later: the log goes on where it begins. */
static void
test_epoch_of_a_checkpoint_is_none_to_go_back_behind(void **state)
{
    (void)state;
    recycle_write(FRAMES);
    trim_one();
    struct weir_checkpoint checkpoint = checkpoint_there();
    assert_int_equal(checkpoint.dataplane_epoch, 1);
    checkpoint.dataplane_epoch = 9;
    checkpoint_put(checkpoint);
    assert_int_equal(unlink(recycle_path("epoch")), 0);
    assert_int_equal(recycle_open(), WEIR_OK);
    assert_int_equal(fixture.recovery.frames, 0);
    assert_int_equal(fixture.recovery.end_offset, SMALL);
    assert_int_equal(fixture.recovery.dataplane_epoch, 10);
    assert_int_equal(fixture.recovery.definitions, 4);
    recycle.count = 4;
    recycle_write(3);
    assert_int_equal(header_at(SMALL).previous_crc, checkpoint.previous_crc);
    assert_int_equal(header_at(SMALL).dataplane_epoch, 10);
    recycle_close();
    check_recovered(3, 0);
}

static void
test_samples_trimmed_before_a_start_are_not_counted_again(void **state)
{
    (void)state;
    recycle_write(FRAMES);
    trim_one();
    uint64_t before = checkpoint_there().samples_trimmed;
    assert_int_equal(before, 4 * recycle.samples);
    fixture.options.size_max = 6 * SMALL;
    assert_int_equal(recycle_open(), WEIR_OK);
    assert_int_equal(weir_log_samples_recycled(fixture.log), 0);
    recycle_write(60);
    uint64_t below = recycle_below(weir_log_first(fixture.log));
    assert_true(below > 40);
    assert_int_equal(weir_log_samples_recycled(fixture.log), (below - 4) * recycle.samples);
    assert_int_equal(checkpoint_there().samples_trimmed, below * recycle.samples);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_lies_before_a_checkpoint_is_durable),
        TEST(test_first_frame_behind_a_checkpoint_continues_its_chain),
        TEST(test_epoch_of_a_checkpoint_is_none_to_go_back_behind),
        TEST(test_samples_trimmed_before_a_start_are_not_counted_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
