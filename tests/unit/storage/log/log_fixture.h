/* log_fixture: a small log in a directory of its own, and back ends that a test controls.
 *
 * held_table holds every write and sync back until the test completes it, in any order.
 * quick_table is the sync back end without its fsyncs and past no cache: recovery is opened a
 * thousand times.
 */
#ifndef WEIR_TESTS_UNIT_STORAGE_LOG_LOG_FIXTURE_H
#define WEIR_TESTS_UNIT_STORAGE_LOG_LOG_FIXTURE_H

#include "model/labels.h"
#include "model/shared.h"
#include "storage/io/posix.h"
#include "storage/log/format.h"
#include "storage/log/writer/log.h"
#include "tests/unit/storage/temp_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define PAGE WEIR_FRAME_ALIGN
#define SEGMENT (16 * PAGE)

/* ---- held_table ---- */

struct held_operation {
    bool is_sync;
    weir_io_file file;
    const void *data;
    size_t size;
    uint64_t offset;
    uint64_t user;
};
static struct {
    struct held_operation waiting[WEIR_IO_INFLIGHT_MAX];
    size_t count;
    struct weir_io_completion done[WEIR_IO_INFLIGHT_MAX];
    size_t done_count;
} held;

static inline void
held_write(struct weir_io *io, weir_io_file file, const void *data, size_t size, uint64_t offset,
    uint64_t user)
{
    (void)io;
    held.waiting[held.count++] = (struct held_operation){false, file, data, size, offset, user};
}

static inline void
held_sync(struct weir_io *io, weir_io_file file, uint64_t user)
{
    (void)io;
    held.waiting[held.count++] = (struct held_operation){true, file, NULL, 0, 0, user};
}

/* Does operation n of those that wait, and lets it complete. */
static inline void
held_complete(size_t n)
{
    struct held_operation operation = held.waiting[n];
    held.count--;
    memmove(held.waiting + n, held.waiting + n + 1, (held.count - n) * sizeof held.waiting[0]);
    int result = 0;
    if (!operation.is_sync &&
        pwrite(operation.file, operation.data, operation.size, (off_t)operation.offset) !=
            (ssize_t)operation.size)
        result = -5;
    held.done[held.done_count++] = (struct weir_io_completion){operation.user, result};
}

static inline size_t
held_reap(struct weir_io *io, struct weir_io_completion *out, size_t max, int64_t wait_ns)
{
    (void)io;
    /* who waits for long (weir_log_close) gets everything */
    while (wait_ns >= 1000000000 && held.count != 0)
        held_complete(0);
    size_t count = held.done_count < max ? held.done_count : max;
    memcpy(out, held.done, count * sizeof *out);
    held.done_count -= count;
    memmove(held.done, held.done + count, held.done_count * sizeof *out);
    return count;
}

static inline size_t
held_syncs(void)
{
    size_t syncs = 0;
    for (size_t i = 0; i < held.count; i++)
        syncs += held.waiting[i].is_sync;
    return syncs;
}

/* ---- quick_table ---- */

static inline int
quick_open(struct weir_io *io, const char *path, unsigned flags, weir_io_file *out)
{
    return weir_io_posix_open(io, path, flags & ~(unsigned)WEIR_IO_DIRECT, out);
}

static inline int
quick_fsync(struct weir_io *io, weir_io_file file)
{
    (void)io, (void)file;
    return 0;
}

static inline int
quick_fsync_directory(struct weir_io *io, const char *path)
{
    (void)io, (void)path;
    return 0;
}

static inline int
quick_allocate(struct weir_io *io, weir_io_file file, uint64_t size, bool keep_size)
{
    return keep_size ? 0 : weir_io_posix_truncate(io, file, size);
}

static inline void
quick_sync(struct weir_io *io, weir_io_file file, uint64_t user)
{
    weir_io_sync_table.write(io, file, "", 0, 0, user); /* completes, and does nothing */
}

static inline struct weir_io_table
held_table(void)
{
    struct weir_io_table table = weir_io_sync_table;
    table.name = "held";
    table.write = held_write;
    table.sync = held_sync;
    table.reap = held_reap;
    return table;
}

/* Not in place of a file: ext4 writes out what takes a file's place. */
static inline int
quick_rename(struct weir_io *io, const char *from, const char *to)
{
    (void)unlink(to);
    return weir_io_sync_table.rename(io, from, to);
}

static inline struct weir_io_table
quick_table(void)
{
    struct weir_io_table table = weir_io_sync_table;
    table.name = "quick";
    table.open = quick_open;
    table.rename = quick_rename;
    table.fsync = quick_fsync;
    table.fdatasync = quick_fsync;
    table.fsync_directory = quick_fsync_directory;
    table.allocate = quick_allocate;
    table.sync = quick_sync;
    return table;
}

/* ---- the log ---- */

static struct {
    struct weir_io_table table;
    struct weir_io *io;
    void *ring;
    uint64_t ring_bytes;
    struct weir_counts counts;
    struct weir_log_options options;
    struct weir_log *log;
    struct weir_log_recovery recovery;
    uint64_t defined;   /* numbers handed over by recovery, dense from 0 */
    uint64_t lost;      /* of those, placeholders */
    bool out_of_order;
    char directory[600];
} fixture;

static struct weir_batch batch; /* for one append */

static inline enum weir_err
fixture_define(void *context, uint64_t number, const uint8_t *labels, size_t size)
{
    (void)context;
    struct weir_label name;
    fixture.out_of_order |= number != fixture.defined;
    if (weir_labels_find(labels, size, WEIR_NAME_LABEL, &name) && name.value_size > 10 &&
        memcmp(name.value, "weir_lost_", 10) == 0)
        fixture.lost++;
    fixture.defined++;
    return WEIR_OK;
}

static inline void
fixture_io(const struct weir_io_table *table)
{
    fixture.table = *table;
    struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    assert_int_equal(weir_io_new_with(&fixture.table, &options, &fixture.io), WEIR_OK);
}

static inline void
fixture_make(const struct weir_io_table *table)
{
    memset(&fixture, 0, sizeof fixture);
    memset(&held, 0, sizeof held);
    temp_dir_make();
    snprintf(fixture.directory, sizeof fixture.directory, "%s/log/0", temp_dir);
    fixture.ring_bytes = weir_frame_ring_bytes_min();
    fixture.ring = mmap(NULL, fixture.ring_bytes, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(fixture.ring != MAP_FAILED);
    fixture_io(table);
    fixture.options = (struct weir_log_options){.directory = fixture.directory,
        .segment_bytes = SEGMENT,
        .size_max = 64 * SEGMENT,
        .io = fixture.io,
        .ring = fixture.ring,
        .counts = &fixture.counts,
        .define = fixture_define};
}

static inline enum weir_err
fixture_open(void)
{
    fixture.defined = fixture.lost = 0;
    fixture.out_of_order = false;
    assert_int_equal(madvise(fixture.ring, fixture.ring_bytes, MADV_DONTNEED), 0);
    assert_int_equal(weir_frame_ring_init(fixture.ring, fixture.ring_bytes), WEIR_OK);
    fixture.options.io = fixture.io;
    return weir_log_open(&fixture.options, &fixture.log, &fixture.recovery);
}

static inline void
fixture_close(void)
{
    weir_log_close(fixture.log);
    fixture.log = NULL;
}

static inline void
fixture_remove(void)
{
    fixture_close();
    weir_io_free(fixture.io);
    munmap(fixture.ring, fixture.ring_bytes);
    temp_dir_remove();
}

/* Fills `batch` number n: count samples of series 0 and up, at time n, value n * 1000 + i. With
 * definitions, it brings those of [first, first + definitions). */
static inline void
fill_batch(uint64_t n, uint32_t count, uint64_t first, uint32_t definitions)
{
    static uint8_t list[1 << 16];
    weir_batch_reset(&batch);
    batch.number = n;
    batch.producer = 0;
    batch.packets = 1;
    batch.records = count;
    batch.definitions = list;
    batch.definition_first = first;
    size_t used = 0;
    for (uint32_t i = 0; i < definitions; i++) {
        char value[24];
        int size = snprintf(value, sizeof value, "m%llu", (unsigned long long)(first + i));
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
    for (uint32_t i = 0; i < count; i++)
        weir_batch_append(&batch, weir_sample_key(i, WEIR_VALUE_DECIMAL, 0), (int64_t)n,
            n * 1000 + i);
}

/* Polls once without sleeping; frames done. */
static inline size_t
poll_once(struct weir_log_done *done, size_t max)
{
    size_t count;
    assert_int_equal(weir_log_poll(fixture.log, 0, done, max, &count), WEIR_OK);
    return count;
}

/* The same for loops that wait for the device. */
static inline void
poll_patiently(void)
{
    struct weir_log_done done[WEIR_LOG_INFLIGHT_MAX];
    size_t count;
    assert_int_equal(
        weir_log_poll(fixture.log, 1000000, done, WEIR_LOG_INFLIGHT_MAX, &count), WEIR_OK);
    if (count == 0)
        usleep(100);
}

/* Appends `batch`, polling as long as the log says so. */
static inline void
append(void)
{
    enum weir_err err;
    for (int tries = 0; (err = weir_log_append(fixture.log, &batch)) == WEIR_AGAIN; tries++) {
        assert_true(tries < 10000);
        poll_patiently();
    }
    assert_int_equal(err, WEIR_OK);
}

static inline void
make_durable(void)
{
    for (int tries = 0; weir_log_durable(fixture.log) != weir_log_end(fixture.log); tries++) {
        assert_true(tries < 10000);
        poll_patiently();
    }
}

static inline const char *
segment_path(uint64_t index)
{
    static char path[1024];
    weir_log_segment_path(fixture.directory, index, path, sizeof path);
    return path;
}

#endif
