#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "storage/log/writer/writer.h"
#include "tests/unit/storage/log/log_fixture.h"

#include "base/clock.h"

#include <errno.h>

#define PRODUCERS 2 /* the registrar and one worker */
#define BATCHES 16

static struct weir_batch *batches[PRODUCERS][BATCHES];
static uint64_t pushed[PRODUCERS];
static struct weir_counts producer_counts[PRODUCERS];
static struct weir_ring *full_rings[PRODUCERS], *empty_rings[PRODUCERS];
static struct weir_shared *shared;
static int shared_fd;
static struct weir_progress progress;
static struct weir_writer *writer;
static uint64_t definitions; /* put into registrar batches so far */

static uint32_t
edge_of(uint32_t producer)
{
    return producer == 0 ? WEIR_EDGE_REGISTRAR_WRITER : WEIR_EDGE_WORKER_WRITER(0);
}

static int
set_up_sized(const struct weir_io_table *table, uint64_t segments)
{
    fixture_make(table);
    fixture.options.size_max = segments * SEGMENT;
    if (fixture_open() != WEIR_OK || weir_shared_new(1 << 16, &shared_fd) != WEIR_OK ||
        weir_shared_map(shared_fd, &shared) != WEIR_OK)
        return -1;
    memset(pushed, 0, sizeof pushed);
    memset(producer_counts, 0, sizeof producer_counts);
    memset(&progress, 0, sizeof progress);
    definitions = 0;
    struct weir_writer_options options = {.log = fixture.log,
        .shared = shared,
        .counts = &fixture.counts,
        .progress = &progress,
        .producer_count = PRODUCERS};
    for (uint32_t p = 0; p < PRODUCERS; p++) {
        full_rings[p] = weir_ring_init(
            aligned_alloc(WEIR_CACHE_LINE, weir_ring_footprint(BATCHES)), BATCHES);
        empty_rings[p] = weir_ring_init(
            aligned_alloc(WEIR_CACHE_LINE, weir_ring_footprint(BATCHES)), BATCHES);
        for (int i = 0; i < BATCHES; i++) {
            batches[p][i] = aligned_alloc(WEIR_CACHE_LINE, sizeof(struct weir_batch));
            batches[p][i]->definitions = malloc(4096);
            weir_ring_push(empty_rings[p], batches[p][i]);
        }
        options.producers[p] =
            (struct weir_writer_producer){full_rings[p], empty_rings[p], edge_of(p)};
    }
    atomic_store(&shared->state, WEIR_INGEST_OPEN);
    atomic_store(&progress.state, WEIR_INGEST_OPEN);
    return weir_writer_new(&options, &writer) == WEIR_OK ? 0 : -1;
}

static int
set_up(void **state)
{
    (void)state;
    struct weir_io_table table = quick_table();
    return set_up_sized(&table, 1024);
}

static int
set_up_small(void **state)
{
    (void)state;
    struct weir_io_table table = quick_table();
    return set_up_sized(&table, 2);
}

static int
set_up_held(void **state)
{
    (void)state;
    struct weir_io_table table = held_table();
    return set_up_sized(&table, 1024);
}

static int
tear_down(void **state)
{
    (void)state;
    weir_writer_free(writer);
    for (uint32_t p = 0; p < PRODUCERS; p++) {
        for (int i = 0; i < BATCHES; i++) {
            free(batches[p][i]->definitions);
            free(batches[p][i]);
        }
        free(full_rings[p]);
        free(empty_rings[p]);
    }
    weir_shared_unmap(shared);
    close(shared_fd);
    fixture_remove();
    return 0;
}

/* Does what a producer does: fills an empty batch with `count` samples of series below
 * `series_through` (and that many new definitions), counts it received, publishes, pushes. */
static void
push(uint32_t producer, uint32_t count, uint64_t series_through, uint32_t define)
{
    struct weir_batch *b = weir_ring_pop(empty_rings[producer]);
    assert_non_null(b);
    weir_batch_reset(b);
    b->number = ++pushed[producer];
    b->producer = producer;
    b->packets = 1;
    b->records = count + 1;
    b->opened_tsc = weir_tsc();
    size_t used = 0;
    b->definition_first = definitions;
    for (uint32_t i = 0; i < define; i++, definitions++) {
        struct weir_label label = {(const uint8_t *)WEIR_NAME_LABEL, (const uint8_t *)"m",
            sizeof WEIR_NAME_LABEL - 1, 1};
        uint8_t labels[64];
        size_t size;
        assert_int_equal(weir_labels_encode(&label, 1, labels, &size), WEIR_OK);
        assert_int_equal(
            weir_definition_append(b->definitions, 4096, &used, labels, size), WEIR_OK);
    }
    b->definition_count = define;
    b->definition_bytes = (uint32_t)used;
    for (uint32_t i = 0; i < count; i++)
        weir_batch_append(b, weir_sample_key(series_through - 1, WEIR_VALUE_DECIMAL, 0),
            (int64_t)b->number, i);
    struct weir_counts *counts = &producer_counts[producer];
    counts->unit[WEIR_UNIT_PACKETS].received += b->packets;
    counts->unit[WEIR_UNIT_RECORDS].received += b->records;
    counts->unit[WEIR_UNIT_SAMPLES].received += b->count;
    counts->pushed[edge_of(producer)] = b->number;
    weir_edge_put(&shared->ledger.edges[edge_of(producer)], b->number, b->packets, b->records,
        b->count);
    weir_ledger_publish(&shared->ledger.blocks[producer == 0 ? WEIR_BLOCK_REGISTRAR
                                                             : WEIR_BLOCK_WORKER],
        counts);
    assert_true(weir_ring_push(full_rings[producer], b));
}

/* The ledger closes, and its in_flight, stored and dropped{reason} of samples are these. */
static void
check_ledger(uint64_t in_flight, uint64_t stored, enum weir_reason reason, uint64_t dropped)
{
    static struct weir_ledger_sum sum;
    assert_int_equal(weir_ledger_read(&shared->ledger, &sum), WEIR_OK);
    for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
        assert_int_equal(sum.residual[unit], 0);
    assert_int_equal(sum.in_flight[WEIR_UNIT_SAMPLES], in_flight);
    assert_int_equal(sum.total.unit[WEIR_UNIT_SAMPLES].stored, stored);
    assert_int_equal(sum.total.unit[WEIR_UNIT_SAMPLES].dropped[reason], dropped);
}

static void
run_until_idle(void)
{
    for (int tries = 0; !weir_writer_idle(writer); tries++) {
        assert_true(tries < 10000);
        if (weir_writer_run_once(writer) == 0)
            usleep(100);
    }
}

static void
test_writer_stores_batches_and_gives_them_back(void **state)
{
    (void)state;
    push(0, 3, 3, 3);
    push(1, 10, 3, 0);
    check_ledger(13, 0, WEIR_REASON_shutdown, 0);
    run_until_idle();
    check_ledger(0, 13, WEIR_REASON_shutdown, 0);
    assert_true(weir_progress_durable(&progress, 0, 1));
    assert_true(weir_progress_durable(&progress, 1, 1));
    assert_int_equal(atomic_load(&progress.durable_offset), weir_log_end(fixture.log));
    assert_int_equal(atomic_load(&shared->durable_offset), weir_log_end(fixture.log));
    assert_int_equal(weir_ring_count(empty_rings[0]), BATCHES);
    assert_int_equal(weir_ring_count(empty_rings[1]), BATCHES);
    assert_int_equal(weir_frame_ring_published(fixture.ring), 2);
    uint64_t observed = 0;
    for (int i = 0; i < WEIR_LATENCY_BUCKETS; i++)
        observed += atomic_load(&shared->latency_buckets[i]);
    assert_int_equal(observed, 13);
}

static void
test_writer_holds_a_batch_back_until_its_series_are_defined(void **state)
{
    (void)state;
    push(1, 5, 4, 0); /* uses series 3, which nobody has defined */
    for (int i = 0; i < 20; i++)
        weir_writer_run_once(writer);
    assert_int_equal(atomic_load(&progress.definitions_wanted), 4);
    assert_int_equal(weir_ring_count(full_rings[1]), 1);
    check_ledger(5, 0, WEIR_REASON_shutdown, 0);
    push(0, 1, 2, 2);
    for (int i = 0; i < 20; i++)
        weir_writer_run_once(writer);
    assert_int_equal(weir_ring_count(full_rings[1]), 1); /* still one short */
    push(0, 1, 4, 2);
    run_until_idle();
    check_ledger(0, 7, WEIR_REASON_shutdown, 0);
    /* in the log the definitions are first */
    struct weir_frame_descriptor descriptor;
    assert_int_equal(weir_frame_ring_descriptor(fixture.ring, 2, &descriptor), WEIR_OK);
    assert_int_equal(descriptor.samples, 5);
    assert_int_equal(descriptor.definitions_through, 4);
}

static void
test_writer_stores_an_empty_batch_behind_those_before_it(void **state)
{
    (void)state;
    push(0, 1, 1, 1);
    push(1, 0, 0, 0); /* packets and records, no sample */
    for (int i = 0; i < 20; i++) {
        weir_writer_run_once(writer);
        /* the first segment's making; once a frame is appended everything is held back */
        while (weir_log_end(fixture.log) == 0 && held.count != 0)
            held_complete(0);
    }
    assert_true(weir_log_end(fixture.log) != 0);
    assert_int_equal(weir_ring_count(full_rings[1]), 0); /* taken */
    assert_false(weir_progress_durable(&progress, 1, 1)); /* but not ahead of the frame */
    check_ledger(1, 0, WEIR_REASON_shutdown, 0);
    for (int i = 0; i < 4; i++) {
        while (held.count != 0)
            held_complete(0);
        weir_writer_run_once(writer);
    }
    assert_true(weir_progress_durable(&progress, 0, 1));
    assert_true(weir_progress_durable(&progress, 1, 1));
    check_ledger(0, 1, WEIR_REASON_shutdown, 0);
    push(1, 0, 0, 0); /* alone: at once */
    weir_writer_run_once(writer);
    assert_true(weir_progress_durable(&progress, 1, 2));
    assert_true(weir_writer_idle(writer));
}

/* Fault: the named operation gives *result from now on. */
struct fault {
    const char *operation;
    int result;
};

static int
fault_hook(void *context, const char *operation, uint64_t offset, size_t size)
{
    const struct fault *fault = context;
    (void)offset;
    (void)size;
    return strcmp(operation, fault->operation) == 0 ? fault->result : 0;
}

static void
test_writer_keeps_batches_while_the_log_has_no_room_and_goes_on_by_itself(void **state)
{
    struct fault fault = {"allocate", -*(const int *)*state};
    weir_io_set_fault(fixture.io, fault_hook, &fault);
    push(0, 1, 1, 1);
    push(1, 4, 1, 0);
    for (int i = 0; i < 10; i++)
        weir_writer_run_once(writer);
    assert_int_equal(atomic_load(&shared->state), WEIR_INGEST_DISK_FULL);
    assert_int_equal(atomic_load(&progress.state), WEIR_INGEST_DISK_FULL);
    check_ledger(5, 0, WEIR_REASON_disk_full, 0);
    assert_false(weir_writer_idle(writer));
    weir_io_set_fault(fixture.io, NULL, NULL);
    run_until_idle();
    assert_int_equal(atomic_load(&shared->state), WEIR_INGEST_OPEN);
    assert_int_equal(atomic_load(&progress.state), WEIR_INGEST_OPEN);
    check_ledger(0, 5, WEIR_REASON_disk_full, 0);
}

static void
check_drops(const char *operation)
{
    push(0, 1, 1, 1);
    run_until_idle();
    struct fault fault = {operation, -EIO};
    weir_io_set_fault(fixture.io, fault_hook, &fault);
    push(1, 4, 1, 0);
    push(1, 5, 1, 0);
    push(1, 6, 9, 0); /* waits for definitions that never come */
    for (int i = 0; i < 10; i++)
        weir_writer_run_once(writer);
    assert_int_equal(atomic_load(&shared->state), WEIR_INGEST_IO_ERROR);
    check_ledger(0, 1, WEIR_REASON_io_error, 15);
    weir_io_set_fault(fixture.io, NULL, NULL);
    push(1, 7, 1, 0); /* a worker that had not seen the state yet */
    weir_writer_run_once(writer);
    check_ledger(0, 1, WEIR_REASON_io_error, 22);
    assert_true(weir_writer_idle(writer));
    assert_false(weir_progress_durable(&progress, 1, 1)); /* nobody is told ok */
    assert_int_equal(weir_ring_count(empty_rings[1]), BATCHES);
}

static void
test_writer_drops_by_name_when_a_write_fails(void **state)
{
    (void)state;
    check_drops("write");
}

static void
test_writer_drops_by_name_when_a_sync_fails(void **state)
{
    (void)state;
    check_drops("sync");
}

static void
test_writer_leaves_the_stopping_state_alone(void **state)
{
    (void)state;
    atomic_store(&shared->state, WEIR_INGEST_STOPPING);
    struct fault fault = {"allocate", -ENOSPC};
    weir_io_set_fault(fixture.io, fault_hook, &fault);
    push(0, 1, 1, 1);
    weir_writer_run_once(writer);
    assert_int_equal(atomic_load(&shared->state), WEIR_INGEST_STOPPING);
    weir_io_set_fault(fixture.io, NULL, NULL);
    run_until_idle();
    assert_int_equal(atomic_load(&shared->state), WEIR_INGEST_STOPPING);
}

static void
test_writer_counts_what_is_left_at_the_end_as_shutdown(void **state)
{
    (void)state;
    push(0, 1, 1, 1);
    run_until_idle();
    push(1, 4, 9, 0);
    weir_writer_run_once(writer);
    weir_writer_free(writer);
    writer = NULL;
    check_ledger(0, 1, WEIR_REASON_shutdown, 4);
}

static void
test_writer_ledger_closes_at_every_step_of_a_long_run(void **state)
{
    (void)state;
    static struct weir_ledger_sum sum;
    uint32_t seed = 12345;
    for (int step = 0; step < 3000; step++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t producer = seed >> 31, count = seed >> 20 & 31;
        if (weir_ring_count(empty_rings[producer]) != 0 && (seed >> 16 & 7) < 3)
            push(producer, count, definitions + (producer == 1 && count % 3 == 0 ? 2 : 1),
                producer == 0 ? 1 : 0);
        if ((seed >> 12 & 3) != 0)
            weir_writer_run_once(writer);
        assert_int_equal(weir_ledger_read(&shared->ledger, &sum), WEIR_OK);
        for (int unit = 0; unit < WEIR_UNIT_COUNT; unit++)
            assert_int_equal(sum.residual[unit], 0);
    }
    for (int tries = 0; weir_ring_count(empty_rings[0]) == 0; tries++) {
        assert_true(tries < 1000);
        weir_writer_run_once(writer);
    }
    push(0, 1, definitions + 1, 2); /* defines what the last ones may wait for */
    run_until_idle();
    assert_int_equal(weir_ledger_read(&shared->ledger, &sum), WEIR_OK);
    assert_int_equal(sum.in_flight[WEIR_UNIT_SAMPLES], 0);
    assert_int_equal(sum.total.unit[WEIR_UNIT_SAMPLES].stored,
        sum.total.unit[WEIR_UNIT_SAMPLES].received);
    assert_true(sum.total.unit[WEIR_UNIT_SAMPLES].stored > 1000);
    for (uint32_t p = 0; p < PRODUCERS; p++)
        assert_int_equal(atomic_load(&progress.durable_batch[p]), pushed[p]);
}

static int
look_at_rename(void *context, const char *operation, uint64_t offset, size_t size)
{
    (void)offset, (void)size;
    if (strcmp(operation, "rename") == 0) {
        uint64_t *renames = context;
        ++*renames;
        assert_int_equal(atomic_load(&shared->log_first_offset), SEGMENT);
    }
    return 0;
}

static void
test_writer_reports_to_readers_what_is_trimmed_before_its_file_is_recycled(void **state)
{
    (void)state;
    static struct weir_ledger_sum sum;
    uint64_t renames = 0;
    weir_io_set_fault(fixture.io, look_at_rename, &renames);
    struct weir_trim *trim = weir_log_trim(fixture.log);
    atomic_store(&trim->state, WEIR_TRIM_ON);
    push(0, 1, 1, 1);
    while (weir_log_end(fixture.log) < 2 * SEGMENT) {
        push(1, 5, 1, 0);
        for (int tries = 0; weir_ring_count(full_rings[1]) != 0; tries++) {
            assert_true(tries < 1000);
            weir_writer_run_once(writer);
        }
    }
    assert_int_equal(atomic_load(&trim->wanted_index), 1);
    push(1, 5, 1, 0);
    for (int i = 0; i < 20; i++)
        weir_writer_run_once(writer);
    assert_int_equal(weir_ring_count(full_rings[1]), 1); /* it waits, and is not refused */
    assert_int_equal(atomic_load(&shared->state), WEIR_INGEST_OPEN);
    assert_int_equal(renames, 0);
    atomic_store(&trim->samples, 80);
    atomic_store(&trim->first_index, 1);
    run_until_idle();
    assert_int_equal(renames, 1);
    assert_int_equal(atomic_load(&shared->log_first_offset), SEGMENT);
    assert_int_equal(weir_ledger_read(&shared->ledger, &sum), WEIR_OK);
    assert_int_equal(sum.total.counter[WEIR_COUNTER_log_samples_recycled], 80);
    assert_int_equal(sum.total.counter[WEIR_COUNTER_log_segments_recycled], 1);
    assert_int_equal(sum.residual[WEIR_UNIT_SAMPLES], 0);
}

/* The epoch file of this opening found no room: what is there is read, nothing is taken until there
 * is room, and then it goes on by itself, whether or not anybody sends. */
static void
test_writer_of_a_log_that_opened_without_room_is_full_and_goes_on_by_itself(void **state)
{
    (void)state;
    push(0, 5, 1, 1);
    run_until_idle();
    weir_writer_free(writer);
    fixture_close();
    struct fault fault = {"pwrite", -ENOSPC};
    weir_io_set_fault(fixture.io, fault_hook, &fault);
    assert_int_equal(fixture_open(), WEIR_OK);
    assert_int_equal(fixture.recovery.frames, 1);
    assert_true(weir_log_waits_for_room(fixture.log));
    fill_batch(1, 5, 1, 0);
    assert_int_equal(weir_log_append(fixture.log, &batch), WEIR_FULL);
    struct weir_writer_options options = {.log = fixture.log,
        .shared = shared,
        .counts = &fixture.counts,
        .progress = &progress,
        .producer_count = PRODUCERS};
    for (uint32_t p = 0; p < PRODUCERS; p++)
        options.producers[p] =
            (struct weir_writer_producer){full_rings[p], empty_rings[p], edge_of(p)};
    assert_int_equal(weir_writer_new(&options, &writer), WEIR_OK);
    assert_int_equal(weir_writer_state(writer), WEIR_INGEST_DISK_FULL);
    assert_int_equal(atomic_load(&shared->state), WEIR_INGEST_DISK_FULL);
    weir_writer_run_once(writer);
    assert_int_equal(atomic_load(&progress.state), WEIR_INGEST_DISK_FULL);
    weir_io_set_fault(fixture.io, NULL, NULL);
    for (int tries = 0; weir_writer_state(writer) != WEIR_INGEST_OPEN; tries++) {
        assert_true(tries < 10000);
        weir_writer_run_once(writer);
        usleep(1000);
    }
    assert_int_equal(atomic_load(&shared->state), WEIR_INGEST_OPEN);
    assert_false(weir_log_waits_for_room(fixture.log));
    push(1, 5, 1, 0);
    run_until_idle();
    assert_int_equal(weir_log_durable(fixture.log), weir_log_end(fixture.log));
    assert_true(weir_log_end(fixture.log) > fixture.recovery.end_offset);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define SHORT(errnum) \
    {"test_writer_keeps_batches_while_the_log_has_no_room_and_goes_on_by_itself_" #errnum, \
        test_writer_keeps_batches_while_the_log_has_no_room_and_goes_on_by_itself, set_up, \
        tear_down, &(int){errnum}}
    const struct CMUnitTest tests[] = {
        TEST(test_writer_stores_batches_and_gives_them_back),
        TEST(test_writer_holds_a_batch_back_until_its_series_are_defined),
        cmocka_unit_test_setup_teardown(
            test_writer_stores_an_empty_batch_behind_those_before_it, set_up_held, tear_down),
        SHORT(ENOSPC),
        SHORT(EMFILE),
        SHORT(ENFILE),
        SHORT(ENOMEM),
        TEST(test_writer_of_a_log_that_opened_without_room_is_full_and_goes_on_by_itself),
        TEST(test_writer_drops_by_name_when_a_write_fails),
        TEST(test_writer_drops_by_name_when_a_sync_fails),
        TEST(test_writer_leaves_the_stopping_state_alone),
        TEST(test_writer_counts_what_is_left_at_the_end_as_shutdown),
        TEST(test_writer_ledger_closes_at_every_step_of_a_long_run),
        cmocka_unit_test_setup_teardown(
            test_writer_reports_to_readers_what_is_trimmed_before_its_file_is_recycled,
            set_up_small, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
