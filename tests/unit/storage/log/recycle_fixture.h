/* recycle_fixture: a log that turns over, its checkpointer, and the region that its readers see.
 *
 * Frames come from fill_batch, each brings one definition (m0, m1, ...), and none is in the ring of
 * the region: readers take all from files. What is durable is published at once.
 */
#ifndef WEIR_TESTS_UNIT_STORAGE_LOG_RECYCLE_FIXTURE_H
#define WEIR_TESTS_UNIT_STORAGE_LOG_RECYCLE_FIXTURE_H

#include "storage/log/checkpoint.h"
#include "storage/log/upkeep/checkpointer.h"
#include "storage/reader.h"
#include "tests/unit/storage/log/log_fixture.h"

#define RECYCLE_BATCHES_MAX 16384

static struct {
    struct weir_io *io; /* of the checkpointer */
    struct weir_checkpointer *checkpointer;
    struct weir_shared *shared; /* NULL without readers of a running instance */
    int shared_fd;
    uint64_t offsets[RECYCLE_BATCHES_MAX]; /* by batch, from 1 on */
    uint64_t count;
    uint32_t samples; /* of each batch */
    uint64_t scanned; /* batch that a scan is at */
    uint64_t scanned_samples; /* of it */
} recycle;

static inline enum weir_err
recycle_open(void)
{
    enum weir_err err = fixture_open();
    if (err != WEIR_OK)
        return err;
    struct weir_checkpointer_options options = {.directory = fixture.directory,
        .io = recycle.io,
        .trim = weir_log_trim(fixture.log)};
    assert_int_equal(weir_checkpointer_new(&options, &recycle.checkpointer), WEIR_OK);
    return WEIR_OK;
}

static inline void
recycle_close(void)
{
    if (recycle.checkpointer != NULL)
        weir_checkpointer_free(recycle.checkpointer); /* before the log, whose memory it shares */
    recycle.checkpointer = NULL;
    fixture_close();
}

static inline void
recycle_make(uint64_t segment_bytes, uint64_t capacity)
{
    struct weir_io_table table = quick_table();
    fixture_make(&table);
    fixture.options.segment_bytes = segment_bytes;
    fixture.options.size_max = capacity * segment_bytes;
    memset(&recycle, 0, sizeof recycle);
    recycle.samples = 5;
    struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    assert_int_equal(weir_io_new_with(&fixture.table, &options, &recycle.io), WEIR_OK);
}

static inline void
recycle_remove(void)
{
    recycle_close();
    weir_io_free(recycle.io);
    if (recycle.shared != NULL) {
        weir_shared_unmap(recycle.shared);
        close(recycle.shared_fd);
    }
    fixture_remove();
}

/* Readers are told of what was trimmed before the next append or poll may recycle it. */
static inline void
recycle_publish(void)
{
    (void)weir_log_follow_trim(fixture.log);
    if (recycle.shared == NULL)
        return;
    atomic_store(&recycle.shared->log_first_offset, weir_log_first(fixture.log));
    atomic_store(&recycle.shared->durable_offset, weir_log_durable(fixture.log));
}

static inline void
recycle_round(void)
{
    struct weir_log_done done[WEIR_LOG_INFLIGHT_MAX];
    size_t count;
    assert_int_equal(
        weir_log_poll(fixture.log, 0, done, WEIR_LOG_INFLIGHT_MAX, &count), WEIR_OK);
    for (size_t i = 0; i < count; i++)
        recycle.offsets[done[i].batch] = done[i].offset;
    (void)weir_checkpointer_run_once(recycle.checkpointer);
    recycle_publish();
}

/* Appends one batch; durable after recycle_make_durable. */
static inline void
recycle_append(void)
{
    uint64_t n = recycle.count + 1;
    enum weir_err err;
    assert_true(n < RECYCLE_BATCHES_MAX);
    fill_batch(n, recycle.samples, n - 1, 1);
    for (int tries = 0; (err = weir_log_append(fixture.log, &batch)) == WEIR_AGAIN; tries++) {
        assert_true(tries < 1000);
        recycle_round();
    }
    assert_int_equal(err, WEIR_OK);
    recycle.count = n;
}

static inline void
recycle_make_durable(void)
{
    while (weir_log_durable(fixture.log) != weir_log_end(fixture.log))
        recycle_round();
}

static inline void
recycle_write(uint64_t batches)
{
    for (uint64_t i = 0; i < batches; i++) {
        recycle_append();
        recycle_round();
    }
    recycle_make_durable();
}

/* Batches below the offset. */
static inline uint64_t
recycle_below(uint64_t offset)
{
    uint64_t below = 0;
    while (below < recycle.count && recycle.offsets[below + 1] < offset)
        below++;
    return below;
}

/* A region of an instance whose dataplane runs. */
static inline void
recycle_share(void)
{
    assert_int_equal(weir_shared_new(weir_frame_ring_bytes_min(), &recycle.shared_fd), WEIR_OK);
    assert_int_equal(weir_shared_map(recycle.shared_fd, &recycle.shared), WEIR_OK);
}

/* As the dataplane does at its start. */
static inline void
recycle_announce(void)
{
    assert_int_equal(weir_frame_ring_init(weir_shared_frame_ring(recycle.shared),
                         recycle.shared->frame_ring_bytes), WEIR_OK);
    recycle_publish();
    atomic_store(&recycle.shared->epoch, fixture.recovery.dataplane_epoch);
}

/* A series has its own name under its number, or the one of those that are lost. */
static inline enum weir_err
recycle_name(void *context, uint64_t number, const uint8_t *labels, size_t size)
{
    (void)context;
    struct weir_label name;
    char wanted[24];
    assert_int_equal(number, fixture.defined++);
    if (labels == NULL) {
        fixture.lost++;
        return WEIR_OK;
    }
    snprintf(wanted, sizeof wanted, "m%llu", (unsigned long long)number);
    assert_true(weir_labels_find(labels, size, WEIR_NAME_LABEL, &name));
    if (name.value_size != strlen(wanted) || memcmp(name.value, wanted, name.value_size) != 0) {
        assert_true(name.value_size == 20 && memcmp(name.value, "weir_lost_definition", 20) == 0);
        fixture.lost++;
    }
    return WEIR_OK;
}

/* With the region where there is one. */
static inline struct weir_reader *
recycle_reader(void)
{
    struct weir_reader *reader;
    fixture.defined = fixture.lost = 0;
    struct weir_reader_options reader_options = {.directory = fixture.directory,
        .shared = recycle.shared,
        .define = recycle_name};
    assert_int_equal(weir_reader_open_with(&reader_options, &reader), WEIR_OK);
    return reader;
}

static inline enum weir_err
recycle_sample(void *context, size_t index, int64_t time_ms, double value)
{
    (void)context;
    if (recycle.scanned_samples == recycle.samples) {
        recycle.scanned++;
        recycle.scanned_samples = 0;
    }
    assert_int_equal(time_ms, recycle.scanned);
    assert_int_equal(index, recycle.scanned_samples);
    assert_true(value == (double)(time_ms * 1000 + (int64_t)index));
    recycle.scanned_samples++;
    return WEIR_OK;
}

/* The reader knows all series and has every sample from batch `first` to `last`, and no other. */
static inline void
recycle_check(struct weir_reader *reader, uint64_t first, uint64_t last)
{
    recycle.scanned = first;
    recycle.scanned_samples = 0;
    assert_int_equal(weir_reader_frames(reader), last + 1 - first);
    assert_int_equal(
        weir_reader_scan(reader, NULL, 0, 0, INT64_MAX, recycle_sample, NULL), WEIR_OK);
    assert_int_equal(recycle.scanned, last);
    assert_int_equal(recycle.scanned_samples, recycle.samples);
    assert_int_equal(weir_reader_series_count(reader), recycle.count);
    assert_int_equal(fixture.defined, recycle.count);
}

static inline const char *
recycle_path(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", fixture.directory, name);
    return path;
}

#endif
