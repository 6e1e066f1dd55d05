/* The log writer, the checkpointer and a reader against each other, over a log that turns over many
 * times: the reader meets no damage, no wrong value, no lost name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/shared.h"
#include "storage/log/upkeep/checkpointer.h"
#include "storage/reader.h"
#include "tests/unit/storage/log/log_fixture.h"

#include <pthread.h>

#define CHECK(condition) ((condition) ? (void)0 : abort()) /* in any thread */
#define BATCHES 3000
#define CAPACITY 4

static struct weir_shared *shared;
static int shared_fd;
static _Atomic bool stop;
static struct weir_checkpointer *checkpointer;
static uint64_t names;   /* told to the reader, dense from 0 */
static uint64_t samples; /* met by scans */

static enum weir_err
on_name(void *context, uint64_t number, const uint8_t *labels, size_t size)
{
    (void)context;
    struct weir_label name;
    char wanted[24];
    snprintf(wanted, sizeof wanted, "m%llu", (unsigned long long)number);
    CHECK(number == names++);
    CHECK(weir_labels_find(labels, size, WEIR_NAME_LABEL, &name));
    CHECK(name.value_size == strlen(wanted) &&
        memcmp(name.value, wanted, name.value_size) == 0);
    return WEIR_OK;
}

static enum weir_err
on_sample(void *context, size_t index, int64_t time_ms, double value)
{
    (void)context;
    CHECK(value == (double)(time_ms * 1000 + (int64_t)index));
    samples++;
    return WEIR_OK;
}

static void *
checkpoint_main(void *argument)
{
    (void)argument;
    while (!atomic_load(&stop))
        if (!weir_checkpointer_run_once(checkpointer))
            usleep(50);
    return NULL;
}

static void *
read_main(void *argument)
{
    struct weir_reader *reader = argument;
    while (!atomic_load(&stop)) {
        CHECK(weir_reader_refresh(reader) == WEIR_OK);
        CHECK(weir_reader_scan(reader, NULL, 0, 0, INT64_MAX, on_sample, NULL) == WEIR_OK);
        CHECK(weir_reader_blocks_corrupt(reader) == 0);
    }
    return NULL;
}

/* What storage/log/writer/writer.c does: readers are told before a file is recycled. */
static void
follow_trim(void)
{
    if (weir_log_follow_trim(fixture.log))
        atomic_store_explicit(&shared->log_first_offset, weir_log_first(fixture.log),
            memory_order_release);
}

static void
poll_log(void)
{
    struct weir_log_done done[WEIR_LOG_INFLIGHT_MAX];
    size_t count;
    follow_trim();
    assert_int_equal(weir_log_poll(fixture.log, 0, done, WEIR_LOG_INFLIGHT_MAX, &count), WEIR_OK);
    atomic_store_explicit(&shared->durable_offset, weir_log_durable(fixture.log),
        memory_order_release);
}

static void
write_log(void)
{
    uint64_t defined = 0;
    for (uint64_t n = 1; n <= BATCHES; n++) {
        fill_batch(n, n % 3 == 0 ? 2500 : 5, defined, n % 2);
        defined += batch.definition_count;
        enum weir_err err;
        while ((err = weir_log_append(fixture.log, &batch)) == WEIR_AGAIN)
            poll_log();
        assert_int_equal(err, WEIR_OK);
        poll_log();
    }
    while (weir_log_durable(fixture.log) != weir_log_end(fixture.log))
        poll_log();
}

static void
test_writer_checkpointer_and_reader_share_a_log_that_turns_over(void **state)
{
    (void)state;
    struct weir_io_table table = quick_table();
    fixture_make(&table);
    fixture.options.size_max = CAPACITY * SEGMENT;
    assert_int_equal(fixture_open(), WEIR_OK);
    struct weir_io *io;
    struct weir_io_options io_options = {.backend = WEIR_IO_SYNC};
    assert_int_equal(weir_io_new_with(&fixture.table, &io_options, &io), WEIR_OK);
    struct weir_checkpointer_options options = {.directory = fixture.directory,
        .io = io,
        .trim = weir_log_trim(fixture.log)};
    assert_int_equal(weir_checkpointer_new(&options, &checkpointer), WEIR_OK);
    assert_int_equal(weir_shared_new(weir_frame_ring_bytes_min(), &shared_fd), WEIR_OK);
    assert_int_equal(weir_shared_map(shared_fd, &shared), WEIR_OK);
    assert_int_equal(weir_frame_ring_init(weir_shared_frame_ring(shared),
                         shared->frame_ring_bytes), WEIR_OK);
    atomic_store(&shared->epoch, fixture.recovery.dataplane_epoch);
    struct weir_reader *reader;
    struct weir_reader_options reader_options = {.directory = fixture.directory,
        .shared = shared,
        .define = on_name};
    assert_int_equal(weir_reader_open_with(&reader_options, &reader),
        WEIR_OK);
    pthread_t threads[2];
    assert_int_equal(pthread_create(&threads[0], NULL, checkpoint_main, NULL), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, read_main, reader), 0);
    write_log();
    atomic_store(&stop, true);
    for (size_t i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(weir_reader_refresh(reader), WEIR_OK);
    assert_int_equal(names, BATCHES / 2);
    assert_true(samples > 0);
    assert_true(fixture.counts.counter[WEIR_COUNTER_log_segments_recycled] > 10 * CAPACITY);
    weir_reader_close(reader);
    weir_checkpointer_free(checkpointer);
    weir_io_free(io);
    weir_shared_unmap(shared);
    close(shared_fd);
    fixture_remove();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writer_checkpointer_and_reader_share_a_log_that_turns_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
