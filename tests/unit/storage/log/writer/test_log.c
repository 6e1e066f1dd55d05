#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/storage/log/log_fixture.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>

static struct weir_log_done done[WEIR_LOG_INFLIGHT_MAX];

static int
set_up(void **state)
{
    const struct weir_io_table *table = *state;
    fixture_make(table);
    return fixture_open() == WEIR_OK ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    fixture_remove();
    return 0;
}

/* Log of held operations; made ready so that only frames are under way. */
static int
set_up_held(void **state)
{
    (void)state;
    struct weir_io_table table = held_table();
    fixture_make(&table);
    fixture.options.segment_bytes = 64 * PAGE;
    if (fixture_open() != WEIR_OK)
        return -1;
    fill_batch(1, 1, 0, 1);
    while (weir_log_append(fixture.log, &batch) == WEIR_AGAIN) {
        poll_once(done, WEIR_LOG_INFLIGHT_MAX);
        while (held.count != 0)
            held_complete(0);
    }
    while (weir_log_durable(fixture.log) != weir_log_end(fixture.log)) {
        poll_once(done, WEIR_LOG_INFLIGHT_MAX);
        while (held.count != 0)
            held_complete(0);
    }
    return 0;
}

/* Reads the log from its files as a stranger would, and checks that batches 1..count of one
 * sample count each stand there in order. Returns frames, seals apart. */
static uint64_t
read_back(uint64_t until)
{
    static uint8_t segment[64 * PAGE];
    static struct weir_sample samples[WEIR_BLOCK_SAMPLES];
    uint64_t frames = 0;
    uint32_t previous_crc = 0;
    for (uint64_t offset = 0; offset < until;) {
        int fd = open(segment_path(offset / fixture.options.segment_bytes), O_RDONLY);
        assert_int_equal(read(fd, segment, fixture.options.segment_bytes),
            fixture.options.segment_bytes);
        close(fd);
        const uint8_t *frame = segment + offset % fixture.options.segment_bytes;
        const struct weir_frame_header *header = (const struct weir_frame_header *)frame;
        assert_int_equal(weir_frame_check_header(header, 0, offset), WEIR_OK);
        assert_int_equal(header->previous_crc, previous_crc);
        assert_true(header->durable_watermark <= offset);
        previous_crc = header->header_crc;
        offset += header->bytes;
        if (header->type == WEIR_FRAME_SEAL) {
            assert_int_equal(offset % fixture.options.segment_bytes, 0);
            continue;
        }
        frames++;
        const struct weir_frame_block *blocks;
        size_t block_count, count;
        assert_int_equal(
            weir_frame_index(frame, header->bytes, &blocks, &block_count), WEIR_OK);
        assert_int_equal(block_count, 1);
        assert_int_equal(
            weir_frame_decode_block(frame, header->bytes, blocks, samples, &count), WEIR_OK);
        assert_int_equal(count, header->sample_count);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(weir_sample_series(&samples[i]), i);
            assert_int_equal(samples[i].time_ms, frames);
            assert_true(weir_sample_double(&samples[i]) == (double)(frames * 1000 + i));
        }
    }
    return frames;
}

static void
test_log_frame_is_durable_published_and_read_back(void **state)
{
    (void)state;
    fill_batch(1, 100, 0, 100);
    append();
    assert_int_equal(weir_frame_ring_published(fixture.ring), 0);
    assert_int_equal(weir_log_durable(fixture.log), 0);
    make_durable();
    assert_int_equal(weir_frame_ring_published(fixture.ring), 1);
    assert_int_equal(weir_log_inflight(fixture.log), 0);
    struct weir_frame_descriptor descriptor;
    assert_int_equal(weir_frame_ring_descriptor(fixture.ring, 0, &descriptor), WEIR_OK);
    assert_int_equal(descriptor.offset, 0);
    assert_int_equal(descriptor.samples, 100);
    assert_int_equal(descriptor.definitions_through, 100);
    static uint8_t copy[SEGMENT];
    assert_int_equal(weir_frame_ring_copy(fixture.ring, fixture.ring_bytes, descriptor.place, copy,
                         descriptor.bytes),
        WEIR_OK);
    assert_int_equal(weir_frame_check(copy, descriptor.bytes, 0, 0), WEIR_OK);
    assert_int_equal(read_back(weir_log_durable(fixture.log)), 1);
    assert_int_equal(fixture.counts.counter[WEIR_COUNTER_frames_written], 1);
    assert_int_equal(fixture.counts.counter[WEIR_COUNTER_bytes_written], descriptor.bytes);
}

static void
test_log_goes_on_over_segments_and_reopening(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 60; n++) {
        fill_batch(n, n % 7 == 0 ? 1200 : 10, 0, 0);
        if (n == 1)
            fill_batch(n, 10, 0, 1200);
        append();
        if (n % 10 == 0) {
            make_durable();
            fixture_close();
            assert_int_equal(fixture_open(), WEIR_OK);
            assert_int_equal(fixture.recovery.frames, n);
            assert_int_equal(fixture.recovery.bytes_torn, 0);
            assert_int_equal(fixture.recovery.frames_corrupt, 0);
            assert_int_equal(fixture.recovery.definitions, 1200);
            assert_int_equal(fixture.recovery.time_max_ms, n);
            assert_int_equal(fixture.recovery.dataplane_epoch, 1 + n / 10);
            assert_int_equal(fixture.defined, 1200);
            assert_false(fixture.out_of_order);
        }
    }
    assert_true(weir_log_end(fixture.log) > 4 * SEGMENT);
    assert_int_equal(read_back(weir_log_durable(fixture.log)), 60);
}

static void
test_log_fills_a_segment_to_its_last_byte(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2 * SEGMENT / PAGE; n++) {
        fill_batch(n, 1, 0, n == 1);
        append();
    }
    make_durable();
    uint64_t end = weir_log_end(fixture.log);
    assert_int_equal(read_back(end), 2 * SEGMENT / PAGE);
    fixture_close();
    assert_int_equal(fixture_open(), WEIR_OK);
    assert_int_equal(fixture.recovery.end_offset, end);
}

static void
test_log_takes_no_frame_larger_than_a_segment(void **state)
{
    (void)state;
    fill_batch(1, 20000, 0, 1);
    assert_int_equal(weir_log_append(fixture.log, &batch), WEIR_LIMIT);
}

static void
test_log_publishes_in_prefix_order_whatever_completes_first(void **state)
{
    (void)state;
    for (uint64_t n = 2; n <= 11; n++) {
        fill_batch(n, 1, 0, 0);
        append();
    }
    assert_int_equal(held.count, 10); /* ten frames in flight */
    uint64_t before = weir_log_durable(fixture.log);
    for (int i = 9; i >= 1; i--)
        held_complete((size_t)i); /* all but the oldest, from the last on */
    assert_int_equal(poll_once(done, WEIR_LOG_INFLIGHT_MAX), 0);
    assert_int_equal(held_syncs(), 0); /* would make nothing durable yet */
    held_complete(0);
    assert_int_equal(poll_once(done, WEIR_LOG_INFLIGHT_MAX), 0);
    assert_int_equal(weir_log_durable(fixture.log), before); /* written is not durable */
    assert_int_equal(weir_frame_ring_published(fixture.ring), 1);
    assert_int_equal(held.count, 1);
    assert_int_equal(held_syncs(), 1); /* one for all of them */
    held_complete(0);
    assert_int_equal(poll_once(done, 4), 4);
    assert_int_equal(weir_frame_ring_published(fixture.ring), 5);
    assert_int_equal(poll_once(done + 4, WEIR_LOG_INFLIGHT_MAX - 4), 6);
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(done[i].batch, i + 2);
        assert_int_equal(done[i].end, before + (i + 1) * PAGE);
    }
    assert_int_equal(weir_log_durable(fixture.log), weir_log_end(fixture.log));
}

static void
test_log_sync_covers_only_writes_done_before_it(void **state)
{
    (void)state;
    fill_batch(2, 1, 0, 0);
    append();
    held_complete(0);
    poll_once(done, 1); /* submits the sync of frame 2 */
    assert_int_equal(held_syncs(), 1);
    fill_batch(3, 1, 0, 0);
    append();
    held_complete(1); /* write of frame 3 ends while that sync is under way */
    poll_once(done, 1);
    assert_int_equal(held_syncs(), 1);
    held_complete(0);
    assert_int_equal(poll_once(done, 8), 1);
    assert_int_equal(done[0].batch, 2);
    assert_int_equal(weir_log_inflight(fixture.log), 1);
    assert_int_equal(held_syncs(), 1); /* the second group's */
    held_complete(0);
    assert_int_equal(poll_once(done, 8), 1);
    assert_int_equal(done[0].batch, 3);

    for (uint64_t n = 4; n <= 5; n++) { /* a write under way when the sync begins */
        fill_batch(n, 1, 0, 0);
        append();
    }
    held_complete(0);
    poll_once(done, 1);
    held_complete(1); /* the sync, ahead of the write of frame 5 */
    assert_int_equal(poll_once(done, 8), 1);
    assert_int_equal(done[0].batch, 4);
    assert_int_equal(weir_log_inflight(fixture.log), 1);
}

static void
test_log_header_carries_the_watermark_of_its_making(void **state)
{
    (void)state;
    uint64_t durable = weir_log_durable(fixture.log);
    for (uint64_t n = 2; n <= 3; n++) {
        fill_batch(n, 1, 0, 0);
        append();
        const struct weir_frame_header *header = held.waiting[held.count - 1].data;
        assert_int_equal(header->durable_watermark, durable);
        assert_int_equal(header->offset, durable + (n - 2) * PAGE);
        assert_int_equal(header->dataplane_epoch, 1);
    }
}

static void
test_log_refuses_for_now_when_flights_or_ring_are_used_up(void **state)
{
    (void)state;
    uint64_t n = 2;
    do
        fill_batch(n++, 1, 0, 0);
    while (weir_log_append(fixture.log, &batch) == WEIR_OK);
    assert_int_equal(weir_log_append(fixture.log, &batch), WEIR_AGAIN);
    assert_true(weir_log_inflight(fixture.log) >= 8);
    while (held.count != 0)
        held_complete(0);
    poll_once(done, WEIR_LOG_INFLIGHT_MAX);
    while (held.count != 0)
        held_complete(0);
    assert_true(poll_once(done, WEIR_LOG_INFLIGHT_MAX) >= 8);
    assert_int_equal(weir_log_append(fixture.log, &batch), WEIR_OK);
}

static void
test_log_waits_for_ring_bytes_that_are_in_flight(void **state)
{
    (void)state;
    fixture_close();
    fixture.options.segment_bytes = UINT64_C(64) << 20;
    fixture.options.size_max = UINT64_C(256) << 20;
    snprintf(fixture.directory, sizeof fixture.directory, "%s/large", temp_dir);
    assert_int_equal(fixture_open(), WEIR_OK);
    fill_batch(1, WEIR_BATCH_SAMPLES_MAX, 0, 0);
    for (uint32_t i = 0; i < batch.count; i++) /* values that do not compress */
        batch.samples[i].value = i * UINT64_C(0x9e3779b97f4a7c15) >> 12;
    enum weir_err err;
    size_t appended = 0;
    for (;;) {
        err = weir_log_append(fixture.log, &batch);
        appended += err == WEIR_OK;
        if (err == WEIR_AGAIN && appended != 0)
            break;
        poll_once(done, 1);
        while (appended == 0 && held.count != 0)
            held_complete(0);
    }
    assert_true(appended < 30); /* not the flights were the limit */
    while (weir_log_durable(fixture.log) != weir_log_end(fixture.log)) {
        while (held.count != 0)
            held_complete(0);
        poll_once(done, WEIR_LOG_INFLIGHT_MAX);
    }
    assert_int_equal(weir_log_append(fixture.log, &batch), WEIR_OK);
}

/* Fault: answers an operation with *result once `after` of its kind have passed. */
struct fault {
    const char *operation;
    int result;
    int after;
    int seen;
};

static int
fault_hook(void *context, const char *operation, uint64_t offset, size_t size)
{
    struct fault *fault = context;
    (void)offset;
    (void)size;
    if (strcmp(operation, fault->operation) != 0)
        return 0;
    return fault->seen++ >= fault->after ? fault->result : 0;
}

/* Runs appends against a fault of write or sync; the log must close at a prefix. */
static void
check_closes(const char *operation)
{
    fill_batch(1, 1, 0, 1);
    append();
    make_durable();
    struct fault fault = {operation, -EIO, 3, 0};
    weir_io_set_fault(fixture.io, fault_hook, &fault);
    enum weir_err err = WEIR_OK;
    uint64_t reported = 1, n = 2;
    for (int i = 0; i < 60000 && err != WEIR_IO; i++) {
        fill_batch(n, 1, 0, 0);
        enum weir_err appended = weir_log_append(fixture.log, &batch);
        n += appended == WEIR_OK;
        size_t count;
        err = weir_log_poll(fixture.log, 1000000, done, WEIR_LOG_INFLIGHT_MAX, &count);
        for (size_t k = 0; k < count; k++)
            assert_int_equal(done[k].batch, ++reported);
    }
    assert_int_equal(err, WEIR_IO);
    uint64_t durable = weir_log_durable(fixture.log);
    int seen = fault.seen;
    fault.after = 1000000; /* the device is well again; the log stays closed */
    for (int i = 0; i < 10; i++) {
        size_t count;
        assert_int_equal(weir_log_poll(fixture.log, 0, done, 1, &count), WEIR_IO);
        assert_int_equal(count, 0);
        assert_int_equal(weir_log_append(fixture.log, &batch), WEIR_IO);
    }
    assert_int_equal(fault.seen, seen); /* not tried again */
    assert_int_equal(weir_log_durable(fixture.log), durable);
    assert_int_equal(weir_frame_ring_published(fixture.ring), reported);
    weir_io_set_fault(fixture.io, NULL, NULL);
    fixture_close();
    assert_int_equal(fixture_open(), WEIR_OK);
    assert_true(fixture.recovery.end_offset >= durable);
    assert_true(fixture.recovery.frames >= reported);
    assert_true(read_back(fixture.recovery.end_offset) >= reported);
}

static void
test_log_closes_for_good_when_a_write_fails(void **state)
{
    (void)state;
    check_closes("write");
}

static void
test_log_closes_for_good_when_a_sync_fails(void **state)
{
    (void)state;
    check_closes("sync");
}

/* Appends until the log says it is full. Returns batches appended. */
static uint64_t
fill_up(uint64_t n)
{
    enum weir_err err = WEIR_OK;
    uint64_t first = n;
    for (int tries = 0; err != WEIR_FULL; tries++) {
        assert_true(tries < 10000);
        poll_patiently();
        fill_batch(n, 1, 0, n == 1);
        err = weir_log_append(fixture.log, &batch);
        assert_true(err == WEIR_OK || err == WEIR_AGAIN || err == WEIR_FULL);
        n += err == WEIR_OK;
    }
    return n - first;
}

/* Appends one batch, waiting out the time between two tries to make a segment. */
static void
append_patiently(void)
{
    enum weir_err err;
    for (int tries = 0; (err = weir_log_append(fixture.log, &batch)) != WEIR_OK; tries++) {
        assert_true(err == WEIR_FULL || err == WEIR_AGAIN);
        assert_true(tries < 5000);
        poll_once(done, WEIR_LOG_INFLIGHT_MAX);
        usleep(1000);
    }
}

static void
test_log_is_full_at_size_max_and_resumes_when_a_segment_goes(void **state)
{
    (void)state;
    fixture_close();
    fixture.options.size_max = 3 * SEGMENT + PAGE;
    assert_int_equal(fixture_open(), WEIR_OK);
    assert_int_equal(fill_up(1), 3 * SEGMENT / PAGE);
    assert_int_equal(weir_log_bytes(fixture.log), 3 * SEGMENT);
    make_durable();
    assert_int_equal(unlink(segment_path(0)), 0);
    append_patiently();
    make_durable();
    assert_int_equal(weir_log_bytes(fixture.log), 3 * SEGMENT);
}

/* What is short for a while: space, descriptors of the process or of the machine, memory. */
static const int shortages[] = {ENOSPC, EMFILE, ENFILE, ENOMEM};
#define SHORTAGES (sizeof shortages / sizeof shortages[0])

/* The log is full by name with the fault, and goes on by itself without. */
static void
check_resumes(const char *operation, int errnum, uint64_t *n)
{
    struct fault fault = {operation, -errnum, 0, 0};
    weir_io_set_fault(fixture.io, fault_hook, &fault);
    *n += fill_up(*n);
    assert_true(fault.seen > 0);
    assert_non_null(strstr(weir_err_detail(), strerror(errnum)));
    struct stat status;
    assert_int_equal((*n - 1) % (SEGMENT / PAGE), 0);
    uint64_t index = (*n - 1) / (SEGMENT / PAGE);
    assert_int_not_equal(stat(segment_path(index), &status), 0); /* nothing half-made stays */
    weir_io_set_fault(fixture.io, NULL, NULL);
    fill_batch(*n, 1, 0, *n == 1);
    append_patiently();
    ++*n;
    make_durable();
    assert_int_equal(read_back(weir_log_durable(fixture.log)), *n - 1);
}

static void
test_log_is_full_while_a_segment_cannot_be_made_and_resumes_by_itself(void **state)
{
    static const char *const operations[] = {"open", "allocate"};
    uint64_t n = 1;
    (void)state;
    for (size_t i = 0; i < SHORTAGES; i++)
        for (size_t k = 0; k < 2; k++)
            check_resumes(operations[k], shortages[i], &n);
}

/* Nothing is in the log: what is written and synced is the segment. */
static void
test_log_is_full_while_a_segment_cannot_be_prepared_and_resumes_by_itself(void **state)
{
    static const char *const operations[] = {"write", "sync"};
    (void)state;
    for (size_t i = 0; i < SHORTAGES; i++) {
        for (size_t k = 0; k < 2; k++) {
            uint64_t n = 1;
            check_resumes(operations[k], shortages[i], &n);
            tear_down(state);
            set_up(state);
        }
    }
}

/* The kernel's own refusal, at each call that needs a descriptor in turn. */
static void
test_log_without_descriptors_is_full_and_resumes_by_itself(void **state)
{
    uint64_t n = 1;
    struct rlimit before, few;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (rlim_t left = 0; left < 2; left++) { /* with one the file opens, and its folder does not */
        fill_batch(n, 1, 0, n == 1);
        append();
        n++;
        make_durable();
        int fd = open("/dev/null", O_RDONLY);
        assert_true(fd >= 0);
        close(fd);
        few = (struct rlimit){(rlim_t)fd + left, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        n += fill_up(n);
        assert_non_null(strstr(weir_err_detail(), strerror(EMFILE)));
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        fill_batch(n, 1, 0, 0);
        append_patiently();
        n++;
        make_durable();
        assert_int_equal(read_back(weir_log_durable(fixture.log)), n - 1);
    }
}

/* The epoch file of this opening waits for a descriptor or memory, as it does for space. */
static void
test_log_opens_without_its_epoch_file_and_takes_frames_once_it_is_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHORTAGES; i++) {
        fixture_close();
        struct fault fault = {"pwrite", -shortages[i], 0, 0};
        weir_io_set_fault(fixture.io, fault_hook, &fault);
        assert_int_equal(fixture_open(), WEIR_OK);
        assert_true(weir_log_waits_for_room(fixture.log));
        fill_batch(1 + i, 1, 0, i == 0);
        assert_int_equal(weir_log_append(fixture.log, &batch), WEIR_FULL);
        weir_io_set_fault(fixture.io, NULL, NULL);
        append_patiently();
        make_durable();
    }
}

int
main(void)
{
    static const struct weir_io_table *sync_ = &weir_io_sync_table, *uring = &weir_io_uring_table;
    struct weir_io *io;
    struct weir_io_options options = {.backend = WEIR_IO_URING};
    if (weir_io_new(&options, &io) == WEIR_OK)
        weir_io_free(io);
    else
        uring = sync_; /* the kernel forbids io_uring */
#define BOTH(f) \
    {#f "_sync", f, set_up, tear_down, (void *)(uintptr_t)sync_}, \
    { \
        #f "_uring", f, set_up, tear_down, (void *)(uintptr_t)uring \
    }
#define HELD(f) {#f, f, set_up_held, tear_down, NULL}
    struct CMUnitTest tests[] = {
        BOTH(test_log_frame_is_durable_published_and_read_back),
        BOTH(test_log_goes_on_over_segments_and_reopening),
        BOTH(test_log_fills_a_segment_to_its_last_byte),
        BOTH(test_log_takes_no_frame_larger_than_a_segment),
        HELD(test_log_publishes_in_prefix_order_whatever_completes_first),
        HELD(test_log_sync_covers_only_writes_done_before_it),
        HELD(test_log_header_carries_the_watermark_of_its_making),
        HELD(test_log_refuses_for_now_when_flights_or_ring_are_used_up),
        HELD(test_log_waits_for_ring_bytes_that_are_in_flight),
        BOTH(test_log_closes_for_good_when_a_write_fails),
        BOTH(test_log_closes_for_good_when_a_sync_fails),
        BOTH(test_log_is_full_at_size_max_and_resumes_when_a_segment_goes),
        BOTH(test_log_is_full_while_a_segment_cannot_be_made_and_resumes_by_itself),
        BOTH(test_log_is_full_while_a_segment_cannot_be_prepared_and_resumes_by_itself),
        BOTH(test_log_without_descriptors_is_full_and_resumes_by_itself),
        BOTH(test_log_opens_without_its_epoch_file_and_takes_frames_once_it_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
