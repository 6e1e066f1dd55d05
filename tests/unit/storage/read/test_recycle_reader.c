/* Readers of a log that is recycled under them: nothing of it is damage to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "storage/log/segment_reader.h"
#include "tests/unit/storage/log/recycle_fixture.h"

#define CAPACITY 6
#define SMALL (4 * PAGE) /* a segment of four frames */

/* The linker puts these before what the catalog calls: in between the log may turn over. */
enum weir_err __real_weir_segment_reader_page(
    struct weir_segment_reader *reader, uint64_t offset, uint64_t step, const uint8_t **page);
enum weir_err __real_weir_segment_reader_read(
    struct weir_segment_reader *reader, uint64_t offset, uint8_t *data, size_t bytes);
enum weir_err __wrap_weir_segment_reader_page(
    struct weir_segment_reader *reader, uint64_t offset, uint64_t step, const uint8_t **page);
enum weir_err __wrap_weir_segment_reader_read(
    struct weir_segment_reader *reader, uint64_t offset, uint8_t *data, size_t bytes);

static struct {
    bool of_pages;  /* else of other reads */
    uint64_t until; /* reads of the kind before the log turns over; 0: it does not */
    bool tear;      /* the next read of a large list meets the middle of another frame */
} turn;

static void
count_read(bool of_pages)
{
    if (turn.until == 0 || turn.of_pages != of_pages || --turn.until != 0)
        return;
    recycle_write(8 * CAPACITY);
}

enum weir_err
__wrap_weir_segment_reader_page(
    struct weir_segment_reader *reader, uint64_t offset, uint64_t step, const uint8_t **page)
{
    count_read(true);
    return __real_weir_segment_reader_page(reader, offset, step, page);
}

enum weir_err
__wrap_weir_segment_reader_read(
    struct weir_segment_reader *reader, uint64_t offset, uint8_t *data, size_t bytes)
{
    count_read(false);
    enum weir_err err = __real_weir_segment_reader_read(reader, offset, data, bytes);
    if (turn.tear && bytes > 3 * 65536) {
        data[bytes / 2] ^= 1; /* a page that the file's next frame has written over already */
        atomic_store(&recycle.shared->log_first_offset, UINT64_MAX / 2);
    }
    return err;
}

static int
set_up(void **state)
{
    (void)state;
    memset(&turn, 0, sizeof turn);
    recycle_make(SMALL, CAPACITY);
    assert_int_equal(recycle_open(), WEIR_OK);
    recycle_share();
    recycle_announce();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    recycle_remove();
    return 0;
}

static void
check_live(struct weir_reader *reader)
{
    assert_int_equal(fixture.lost, 0);
    recycle_check(reader, recycle_below(weir_log_first(fixture.log)) + 1, recycle.count);
    assert_int_equal(weir_reader_blocks_corrupt(reader), 0);
}

static void
test_reader_keeps_up_past_all_segments_that_may_be_missing(void **state)
{
    (void)state;
    struct weir_reader *reader = recycle_reader();
    while (weir_log_first(fixture.log) / SMALL <= WEIR_SEGMENTS_MISSING_MAX + 2 * CAPACITY) {
        recycle_write(3);
        assert_int_equal(weir_reader_refresh(reader), WEIR_OK);
        assert_int_equal(weir_reader_series_count(reader), recycle.count);
    }
    check_live(reader);
    weir_reader_close(reader);
    /* on a stopped instance without its epoch file the checkpoint tells the same */
    uint64_t first = recycle_below(weir_log_first(fixture.log)) + 1;
    recycle_close();
    assert_int_equal(unlink(recycle_path("epoch")), 0);
    weir_shared_unmap(recycle.shared);
    close(recycle.shared_fd);
    recycle.shared = NULL;
    reader = recycle_reader();
    recycle_check(reader, first, recycle.count);
    assert_int_equal(weir_reader_blocks_corrupt(reader), 0);
    weir_reader_close(reader);
}

static void
test_trimmed_frames_are_no_damage_while_a_dataplane_starts(void **state)
{
    (void)state;
    recycle_write(50);
    struct weir_reader *reader = recycle_reader();
    check_live(reader);
    recycle_write(9);
    uint64_t first = recycle_below(weir_log_first(fixture.log)) + 1, known = 50;
    assert_true(first <= known); /* some of what it knows was trimmed, and some not */
    recycle_close();
    assert_int_equal(weir_shared_reset(recycle.shared_fd, recycle.shared), WEIR_OK);
    assert_int_equal(atomic_load(&recycle.shared->durable_offset), 0);
    recycle.count = known;
    assert_int_equal(weir_reader_refresh(reader), WEIR_AGAIN);
    recycle_check(reader, first, known);
    assert_int_equal(weir_reader_blocks_corrupt(reader), 0);
    recycle.count = known + 9;
    fixture.defined = known;
    assert_int_equal(recycle_open(), WEIR_OK);
    recycle_announce();
    recycle_write(20);
    fixture.defined = known; /* told to the reader; recovery has counted its own */
    assert_int_equal(weir_reader_refresh(reader), WEIR_OK);
    check_live(reader);
    weir_reader_close(reader);
}

/* Whatever page or definitions a refresh is about to read: they are another frame's by then. */
static void
test_frames_recycled_under_a_refresh_are_no_damage(void **state)
{
    (void)state;
    struct weir_reader *reader = recycle_reader();
    for (int of_pages = 0; of_pages < 2; of_pages++)
        for (uint64_t reads = 1; reads <= 8; reads++) {
            recycle_write(12);
            turn.of_pages = of_pages != 0;
            turn.until = reads;
            assert_int_equal(weir_reader_refresh(reader), WEIR_OK);
            assert_int_equal(turn.until, 0); /* it did turn over */
            assert_int_equal(weir_reader_refresh(reader), WEIR_OK);
            check_live(reader);
        }
    weir_reader_close(reader);
}

/* A batch whose definitions take more than three pieces of a list. */
static void
append_large_list(uint32_t definitions)
{
    static uint8_t list[1 << 19];
    fill_batch(1, 1, 0, 1);
    batch.definitions = list;
    size_t used = 0;
    for (uint32_t i = 0; i < definitions; i++) {
        char value[24];
        int size = snprintf(value, sizeof value, "m%u", i);
        struct weir_label label = {(const uint8_t *)WEIR_NAME_LABEL, (uint8_t *)value,
            sizeof WEIR_NAME_LABEL - 1, (uint16_t)size};
        uint8_t labels[64];
        size_t labels_size;
        assert_int_equal(weir_labels_encode(&label, 1, labels, &labels_size), WEIR_OK);
        assert_int_equal(
            weir_definition_append(list, sizeof list, &used, labels, labels_size), WEIR_OK);
    }
    batch.definition_count = definitions;
    batch.definition_bytes = (uint32_t)used;
    append();
    recycle.count = 1;
    recycle_make_durable();
}

/* Pieces that still check out are no reason to call those between them lost. */
static void
test_list_recycled_under_its_read_loses_no_name(void **state)
{
    (void)state;
    recycle_remove();
    recycle_make(256 * PAGE, CAPACITY);
    assert_int_equal(recycle_open(), WEIR_OK);
    recycle_share();
    recycle_announce();
    struct weir_reader *reader = recycle_reader();
    append_large_list(12000);
    turn.tear = true;
    assert_int_not_equal(weir_reader_refresh(reader), WEIR_OK); /* no checkpoint says so */
    assert_true(atomic_load(&recycle.shared->log_first_offset) > 0); /* it was torn */
    assert_int_equal(fixture.lost, 0);
    turn.tear = false;
    atomic_store(&recycle.shared->log_first_offset, 0);
    assert_int_equal(weir_reader_refresh(reader), WEIR_OK);
    assert_int_equal(weir_reader_series_count(reader), 12000);
    assert_int_equal(fixture.lost, 0);
    assert_int_equal(weir_reader_gaps(reader), 0);
    weir_reader_close(reader);
}

static void
test_lost_definitions_of_trimmed_frames_are_counted(void **state)
{
    (void)state;
    struct weir_reader *reader = recycle_reader();
    recycle_write(60);
    int fd = open(recycle_path("definitions"), O_RDWR);
    uint8_t byte;
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, 40), 1); /* in the list of the first chunk */
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 40), 1);
    close(fd);
    assert_int_equal(weir_reader_refresh(reader), WEIR_OK);
    assert_true(fixture.lost > 0);
    recycle_check(reader, recycle_below(weir_log_first(fixture.log)) + 1, recycle.count);
    assert_int_equal(weir_reader_gaps(reader), 1);
    weir_reader_close(reader);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_reader_keeps_up_past_all_segments_that_may_be_missing),
        TEST(test_trimmed_frames_are_no_damage_while_a_dataplane_starts),
        TEST(test_frames_recycled_under_a_refresh_are_no_damage),
        TEST(test_list_recycled_under_its_read_loses_no_name),
        TEST(test_lost_definitions_of_trimmed_frames_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
