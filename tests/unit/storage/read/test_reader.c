#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/shared.h"
#include "storage/frame/frame.h"
#include "storage/frame/ring.h"
#include "storage/log/format.h"
#include "storage/reader.h"
#include "tests/unit/storage/temp_dir.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PAGE WEIR_FRAME_ALIGN
#define SEGMENT (16 * PAGE)
#define SAMPLES_MAX 20000

/* A log made by hand, frame by frame: what the log writer would have left in files and region. */
static struct {
    uint64_t end;
    uint32_t previous_crc;
    uint64_t defined;
    uint64_t segments;
    uint64_t segment_bytes;
    char directory[600];
    int shared_fd;
    struct weir_shared *shared;
    struct weir_reader *reader;
} instance;

static struct weir_batch *batch;
static struct weir_frame_encoder *encoder;
static uint8_t definitions[1 << 16];

/* What a scan called back with. */
static struct seen {
    size_t index;
    int64_t time_ms;
    double value;
} seen[SAMPLES_MAX];
static size_t seen_count;

static int
set_up(void **state)
{
    (void)state;
    memset(&instance, 0, sizeof instance);
    instance.segment_bytes = SEGMENT;
    temp_dir_make();
    snprintf(instance.directory, sizeof instance.directory, "%s", temp_dir);
    assert_int_equal(weir_shared_new(weir_frame_ring_bytes_min(), &instance.shared_fd), WEIR_OK);
    assert_int_equal(weir_shared_map(instance.shared_fd, &instance.shared), WEIR_OK);
    batch = aligned_alloc(4096, (sizeof *batch + 4095) & ~(size_t)4095);
    memset(batch, 0, sizeof *batch);
    encoder = weir_frame_encoder_init(calloc(1, weir_frame_encoder_footprint()));
    weir_batch_reset(batch);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    if (instance.reader != NULL)
        weir_reader_close(instance.reader);
    weir_shared_unmap(instance.shared);
    close(instance.shared_fd);
    temp_dir_remove();
    free(batch);
    free(encoder);
    return 0;
}

static struct weir_frame_ring *
the_ring(void)
{
    return weir_shared_frame_ring(instance.shared);
}

/* A dataplane starts: the region is emptied, laid out, and given an epoch. */
static void
dataplane_starts(uint64_t epoch)
{
    assert_int_equal(weir_shared_reset(instance.shared_fd, instance.shared), WEIR_OK);
    assert_int_equal(weir_frame_ring_init(the_ring(), instance.shared->frame_ring_bytes), WEIR_OK);
    atomic_store(&instance.shared->durable_offset, instance.end);
    atomic_store(&instance.shared->epoch, epoch);
}

static void
file_write(uint64_t offset, const void *data, size_t size)
{
    char path[700];
    for (; offset / instance.segment_bytes >= instance.segments; instance.segments++) {
        weir_log_segment_path(instance.directory, instance.segments, path, sizeof path);
        int made = open(path, O_CREAT | O_RDWR, 0600);
        assert_true(made >= 0 && ftruncate(made, (off_t)instance.segment_bytes) == 0);
        close(made);
    }
    weir_log_segment_path(instance.directory, offset / instance.segment_bytes, path, sizeof path);
    int file = open(path, O_RDWR);
    assert_true(file >= 0);
    assert_int_equal(pwrite(file, data, size, (off_t)(offset % instance.segment_bytes)), size);
    close(file);
}

static struct weir_frame_place
place_here(void)
{
    return (struct weir_frame_place){.stream = WEIR_LOG_STREAM,
        .offset = instance.end,
        .dataplane_epoch = 1,
        .definitions_through = instance.defined,
        .previous_crc = instance.previous_crc};
}

static void
seal_segment(void)
{
    uint8_t page[PAGE];
    struct weir_frame_place place = place_here();
    uint64_t left = instance.segment_bytes - instance.end % instance.segment_bytes;
    weir_frame_seal(&place, left, page);
    file_write(instance.end, page, sizeof page);
    instance.previous_crc = ((const struct weir_frame_header *)page)->header_crc;
    instance.end += left;
}

/* Adds series `name` with label host to the batch to come. Returns its number. */
static uint64_t
define(const char *name, const char *host)
{
    struct weir_label labels[2] = {
        {(const uint8_t *)WEIR_NAME_LABEL, (const uint8_t *)name, sizeof WEIR_NAME_LABEL - 1,
            (uint16_t)strlen(name)},
        {(const uint8_t *)"host", (const uint8_t *)host, 4, (uint16_t)strlen(host)}};
    uint8_t canonical[256];
    size_t size;
    size_t used = batch->definition_bytes;
    assert_int_equal(
        weir_labels_encode(labels, host[0] == '\0' ? 1 : 2, canonical, &size), WEIR_OK);
    assert_int_equal(
        weir_definition_append(definitions, sizeof definitions, &used, canonical, size), WEIR_OK);
    if (batch->definition_count++ == 0)
        batch->definition_first = instance.defined;
    batch->definitions = definitions;
    batch->definition_bytes = (uint32_t)used;
    return instance.defined++;
}

static void
sample(uint64_t series, int64_t time_ms, int64_t value)
{
    weir_batch_append(
        batch, weir_sample_key(series, WEIR_VALUE_DECIMAL, 0), time_ms, (uint64_t)value);
}

enum where { IN_FILE = 1, IN_RING = 2, IN_BOTH = 3 };

/* Writes the batch as a frame to the places named; durable. Returns its offset. */
static uint64_t
write_frame(enum where where)
{
    size_t bound = weir_frame_bound(batch);
    uint8_t *out = aligned_alloc(PAGE, bound);
    size_t bytes;
    struct weir_frame_place place = place_here();
    weir_frame_encode(encoder, batch, &place, out, &bytes, NULL);
    if (bytes > instance.segment_bytes - instance.end % instance.segment_bytes) {
        seal_segment();
        place = place_here();
        weir_frame_encode(encoder, batch, &place, out, &bytes, NULL);
    }
    if (where & IN_FILE)
        file_write(instance.end, out, bytes);
    if (where & IN_RING) {
        struct weir_frame_descriptor descriptor = {.offset = instance.end,
            .time_min_ms = batch->time_min_ms,
            .time_max_ms = batch->time_max_ms,
            .bytes = (uint32_t)bytes,
            .samples = batch->count,
            .definitions = batch->definition_count,
            .definitions_through = instance.defined};
        uint8_t *at = weir_frame_ring_reserve(the_ring(), bytes, &descriptor.place);
        assert_non_null(at);
        memcpy(at, out, bytes);
        weir_frame_ring_commit(the_ring(), descriptor.place, bytes);
        weir_frame_ring_publish(the_ring(), &descriptor);
    }
    instance.previous_crc = ((const struct weir_frame_header *)out)->header_crc;
    instance.end += bytes;
    if (atomic_load(&instance.shared->epoch) != 0)
        atomic_store(&instance.shared->durable_offset, instance.end);
    free(out);
    weir_batch_reset(batch);
    return place.offset;
}

static void
open_reader(bool live)
{
    assert_int_equal(weir_reader_open(instance.directory, live ? instance.shared : NULL,
                         &instance.reader),
        WEIR_OK);
}

static void
refresh(void)
{
    assert_int_equal(weir_reader_refresh(instance.reader), WEIR_OK);
}

static enum weir_err
note(void *context, size_t index, int64_t time_ms, double value)
{
    (void)context;
    assert_true(seen_count < SAMPLES_MAX);
    seen[seen_count++] = (struct seen){index, time_ms, value};
    return WEIR_OK;
}

/* Scans [from, to) for the numbers; the samples are in seen. */
static size_t
scan(const uint64_t *numbers, size_t count, int64_t from_ms, int64_t to_ms)
{
    seen_count = 0;
    assert_int_equal(
        weir_reader_scan(instance.reader, numbers, count, from_ms, to_ms, note, NULL), WEIR_OK);
    return seen_count;
}

static size_t
scan_all(void)
{
    static uint64_t numbers[SAMPLES_MAX];
    uint64_t count = weir_reader_series_count(instance.reader);
    for (uint64_t i = 0; i < count; i++)
        numbers[i] = i;
    return scan(numbers, count, INT64_MIN, INT64_MAX);
}

static void
test_reader_of_an_empty_log_knows_nothing(void **state)
{
    (void)state;
    open_reader(false);
    assert_int_equal(weir_reader_series_count(instance.reader), 0);
    assert_int_equal(weir_reader_frames(instance.reader), 0);
    refresh();
    assert_int_equal(scan_all(), 0);
}

static void
test_reader_reads_files_across_segments(void **state)
{
    (void)state;
    uint64_t a = define("cpu", "one");
    uint64_t b = define("cpu", "two");
    for (int64_t t = 0; t < 60; t++) {
        sample(b, t * 1000, t * 2 + 1);
        sample(a, t * 1000, t * 2);
        write_frame(IN_FILE);
    }
    assert_true(instance.segments > 2);
    open_reader(false);
    assert_int_equal(weir_reader_series_count(instance.reader), 2);
    assert_int_equal(weir_reader_frames(instance.reader), 60);
    assert_int_equal(weir_reader_durable_offset(instance.reader), instance.end);
    assert_int_equal(scan_all(), 120);
    for (size_t i = 0; i < 120; i++) {
        assert_int_equal(seen[i].index, i % 2);
        assert_int_equal(seen[i].time_ms, (int64_t)(i / 2) * 1000);
        assert_true(seen[i].value == (double)i);
    }
}

static void
test_reader_scan_holds_to_series_and_time(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        char host[8];
        snprintf(host, sizeof host, "h%u", i);
        define("cpu", host);
    }
    for (int64_t t = 0; t < 100; t++)
        for (uint64_t s = 0; s < 10; s++)
            sample(s, t, t * 100 + (int64_t)s);
    write_frame(IN_FILE);
    open_reader(false);
    const uint64_t numbers[] = {2, 7, 9};
    assert_int_equal(scan(numbers, 3, 10, 20), 30);
    for (size_t i = 0; i < 30; i++) {
        assert_true(seen[i].time_ms >= 10 && seen[i].time_ms < 20);
        int64_t value = seen[i].time_ms * 100 + (int64_t)numbers[seen[i].index];
        assert_true(seen[i].value == (double)value);
    }
    assert_int_equal(scan(numbers, 3, 100, 200), 0);
    assert_int_equal(scan(numbers, 0, 0, 100), 0);
}

static enum weir_err
note_definition(void *context, uint64_t number, const uint8_t *labels, size_t size)
{
    uint64_t *reported = context;
    struct weir_label host;
    assert_int_equal(number, *reported);
    assert_true(weir_labels_find(labels, size, "host", &host));
    assert_int_equal(host.value[1], '0' + (int)number);
    ++*reported;
    return number == 9 ? WEIR_LIMIT : WEIR_OK;
}

/* Definitions come once each, in files as in the ring; all series are scanned by their numbers. */
static void
test_reader_reports_definitions_and_scans_all_series(void **state)
{
    (void)state;
    uint64_t reported = 0;
    char host[8];
    dataplane_starts(1);
    for (unsigned i = 0; i < 8; i++) {
        snprintf(host, sizeof host, "h%u", i);
        define("cpu", host);
        sample(i, i, i * 7);
        write_frame(i < 4 ? IN_FILE : IN_BOTH);
    }
    struct weir_reader_options reader_options = {.directory = instance.directory,
        .shared = instance.shared,
        .define = note_definition,
        .define_context = &reported};
    assert_int_equal(weir_reader_open_with(&reader_options, &instance.reader), WEIR_OK);
    refresh();
    refresh();
    assert_int_equal(reported, 8);
    assert_int_equal(weir_reader_series_count(instance.reader), 8);
    assert_int_equal(scan(NULL, 0, 2, 7), 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(seen[i].index, i + 2);
        assert_true(seen[i].value == (double)(i + 2) * 7);
    }
    define("cpu", "h8");
    define("cpu", "h9");
    write_frame(IN_BOTH);
    assert_int_equal(weir_reader_refresh(instance.reader), WEIR_LIMIT);
    assert_int_equal(reported, 10);
}

/* Of large frames only index and wanted blocks are read; the result is the same. */
static void
test_reader_scans_large_frames_block_by_block(void **state)
{
    (void)state;
    instance.segment_bytes = 1 << 20;
    for (unsigned i = 0; i < 10; i++)
        define("cpu", "x");
    for (uint32_t i = 0; i < 40000; i++)
        sample(i % 10, i, (int64_t)(i * UINT64_C(2654435761) % (UINT64_C(1) << 50)));
    write_frame(IN_FILE);
    assert_true(instance.end > WEIR_BLOCK_BYTES_MAX);
    open_reader(false);
    const uint64_t numbers[] = {3, 8};
    assert_int_equal(scan(numbers, 2, 1000, 21000), 4000);
    for (size_t i = 0; i < seen_count; i++) {
        uint64_t n = (uint64_t)seen[i].time_ms;
        assert_int_equal(n % 10, numbers[seen[i].index]);
        assert_true(seen[i].value == (double)(n * 2654435761 % (UINT64_C(1) << 50)));
    }
}

static void
test_reader_calls_duplicates_in_log_order(void **state)
{
    (void)state;
    uint64_t a = define("cpu", "one");
    sample(a, 5, 1);
    sample(a, 5, 2);
    write_frame(IN_FILE);
    sample(a, 5, 3);
    write_frame(IN_FILE);
    open_reader(false);
    assert_int_equal(scan_all(), 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(seen[i].value == (double)(i + 1));
}

/* Damage hid a definition for a while, and its sender gave it anew: one series, the later wins. */
static void
test_reader_answers_numbers_with_equal_labels_as_one_series(void **state)
{
    (void)state;
    uint64_t a = define("cpu", "one");
    uint64_t b = define("cpu", "two");
    sample(a, 5, 1);
    sample(b, 5, 2);
    write_frame(IN_FILE);
    uint64_t a_again = define("cpu", "one");
    sample(a_again, 5, 3);
    sample(a_again, 6, 4);
    sample(b, 6, 5);
    write_frame(IN_FILE);
    sample(a, 6, 6);
    write_frame(IN_FILE);
    assert_int_equal(define("cpu", "one"), 3);
    write_frame(IN_FILE);
    open_reader(false);
    struct weir_match match = {"__name__", "cpu", 3, WEIR_MATCH_EQUAL};
    uint64_t *numbers;
    size_t count;
    assert_int_equal(
        weir_reader_select(instance.reader, &match, 1, &numbers, &count), WEIR_OK);
    assert_int_equal(count, 2);
    assert_int_equal(numbers[0], a);
    assert_int_equal(numbers[1], b);
    static const struct seen expected[] = {
        {0, 5, 1}, {1, 5, 2}, {1, 6, 5}, {0, 5, 3}, {0, 6, 4}, {0, 6, 6}};
    assert_int_equal(scan(numbers, 2, INT64_MIN, INT64_MAX), 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(seen[i].index, expected[i].index);
        assert_int_equal(seen[i].time_ms, expected[i].time_ms);
        assert_true(seen[i].value == expected[i].value);
    }
    assert_int_equal(scan(numbers + 1, 1, INT64_MIN, INT64_MAX), 2);
    assert_int_equal(scan(numbers, 1, INT64_MIN, INT64_MAX), 4);
    free(numbers);
    assert_int_equal(weir_reader_select(instance.reader, NULL, 0, &numbers, &count), WEIR_OK);
    assert_int_equal(count, 2);
    free(numbers);
}

/* Many more series than the table of label sets holds at first. */
static void
test_reader_finds_equal_labels_among_many_series(void **state)
{
    (void)state;
    enum { DISTINCT = 3000, AGAIN = 70 };
    for (int i = 0; i < DISTINCT + AGAIN; i++) {
        char host[16];
        snprintf(host, sizeof host, "h%d", i < DISTINCT ? i : (i - DISTINCT) * 40);
        define("m", host);
        if (i % 500 == 499) {
            sample(0, i, i);
            write_frame(IN_FILE);
        }
    }
    sample(0, 1, 1);
    write_frame(IN_FILE);
    open_reader(false);
    uint64_t *numbers;
    size_t count;
    assert_int_equal(weir_reader_select(instance.reader, NULL, 0, &numbers, &count), WEIR_OK);
    assert_int_equal(count, DISTINCT);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(numbers[i], i);
    free(numbers);
}

static void
test_reader_skips_a_damaged_block_and_counts_it(void **state)
{
    (void)state;
    define("cpu", "one");
    for (int64_t t = 0; t < 3; t++) {
        sample(0, t, t);
        uint64_t offset = write_frame(IN_FILE);
        /* behind header, index and definitions: in the block's last bytes, which the frame before
         * has at the same place */
        if (t == 1) {
            uint8_t bytes[PAGE];
            memset(bytes, 0xee, sizeof bytes);
            file_write(offset + 180, bytes, 20);
        }
    }
    open_reader(false);
    assert_int_equal(weir_reader_frames(instance.reader), 3);
    assert_int_equal(scan_all(), 2);
    assert_true(seen[0].value == 0 && seen[1].value == 2);
    assert_int_equal(weir_reader_blocks_corrupt(instance.reader), 1);
}

static void
test_reader_of_a_stopped_log_ends_at_the_torn_frame(void **state)
{
    (void)state;
    define("cpu", "one");
    uint64_t torn = 0;
    for (int64_t t = 0; t < 5; t++) {
        sample(0, t, t);
        uint64_t offset = write_frame(IN_FILE);
        if (t == 3)
            torn = offset;
    }
    uint8_t zero[128] = {0};
    file_write(torn, zero, sizeof zero);
    open_reader(false);
    assert_int_equal(weir_reader_durable_offset(instance.reader), torn);
    assert_int_equal(scan_all(), 3);
}

/* A frame of an earlier run behind the end is not taken for the next: its chain is another. */
static void
test_reader_of_a_stopped_log_ends_where_the_chain_breaks(void **state)
{
    (void)state;
    define("cpu", "one");
    sample(0, 1, 1);
    write_frame(IN_FILE);
    uint64_t end = instance.end;
    instance.previous_crc ^= 1;
    sample(0, 2, 2);
    write_frame(IN_FILE);
    open_reader(false);
    assert_int_equal(weir_reader_durable_offset(instance.reader), end);
    assert_int_equal(scan_all(), 1);
}

static void
test_reader_of_a_live_log_passes_over_damage_below_the_durable_offset(void **state)
{
    (void)state;
    dataplane_starts(1);
    define("cpu", "one");
    uint64_t offsets[5];
    for (int64_t t = 0; t < 5; t++) {
        sample(0, t, t);
        offsets[t] = write_frame(IN_FILE);
    }
    uint8_t zero[128] = {0};
    file_write(offsets[2], zero, sizeof zero);
    open_reader(true);
    assert_int_equal(weir_reader_durable_offset(instance.reader), instance.end);
    assert_int_equal(scan_all(), 4);
    assert_int_equal(weir_reader_blocks_corrupt(instance.reader), 1);
}

/* Three segments, of which the file in the middle is lost or cut: readers go on behind it. */
static void
test_reader_goes_on_behind_a_lost_or_short_file(void **state)
{
    (void)state;
    char path[700];
    dataplane_starts(1);
    define("cpu", "one");
    for (int64_t t = 0; t < 3; t++) {
        sample(0, t, t);
        write_frame(IN_FILE);
        seal_segment();
    }
    atomic_store(&instance.shared->durable_offset, instance.end);
    weir_log_segment_path(instance.directory, 1, path, sizeof path);
    for (int missing = 0; missing < 2; missing++) {
        assert_int_equal(missing ? unlink(path) : truncate(path, 100), 0);
        open_reader(true);
        assert_int_equal(weir_reader_durable_offset(instance.reader), instance.end);
        assert_int_equal(scan_all(), 2);
        assert_true(seen[0].value == 0 && seen[1].value == 2);
        assert_int_equal(weir_reader_blocks_corrupt(instance.reader), 1);
        weir_reader_close(instance.reader);
        instance.reader = NULL;
    }
}

/* A series whose definition is lost keeps its number and a name that says so. */
static void
test_reader_keeps_numbers_of_lost_definitions(void **state)
{
    (void)state;
    dataplane_starts(1);
    define("first", "");
    sample(0, 1, 1);
    write_frame(IN_FILE);
    define("lost", "");
    sample(1, 1, 2);
    uint64_t lost = write_frame(IN_FILE);
    define("third", "");
    sample(1, 2, 3);
    sample(2, 2, 4);
    write_frame(IN_FILE);
    uint8_t zero[128] = {0};
    file_write(lost, zero, sizeof zero);
    open_reader(true);
    assert_int_equal(weir_reader_series_count(instance.reader), 3);
    const uint8_t *labels;
    size_t size;
    struct weir_label label;
    weir_reader_labels(instance.reader, 1, &labels, &size);
    assert_true(weir_labels_find(labels, size, WEIR_NAME_LABEL, &label));
    assert_int_equal(label.value_size, strlen("weir_lost_definition"));
    weir_reader_labels(instance.reader, 2, &labels, &size);
    assert_true(weir_labels_find(labels, size, WEIR_NAME_LABEL, &label));
    assert_memory_equal(label.value, "third", 5);
    assert_int_equal(scan_all(), 3);
}

/* Numbers that the log cannot have defined must not make the reader take memory for them. */
static void
test_reader_does_not_believe_absurd_series_numbers(void **state)
{
    (void)state;
    dataplane_starts(1);
    define("first", "");
    sample(0, 1, 1);
    write_frame(IN_FILE);
    instance.defined = UINT64_C(1) << 39;
    sample(0, 2, 2);
    write_frame(IN_FILE);
    open_reader(true);
    assert_int_equal(weir_reader_series_count(instance.reader), 1);
    assert_int_equal(scan_all(), 2);
    assert_int_equal(weir_reader_blocks_corrupt(instance.reader), 1);
}

static void
test_reader_sees_published_frames_without_the_files(void **state)
{
    (void)state;
    dataplane_starts(1);
    open_reader(true);
    assert_int_equal(scan_all(), 0);
    for (int64_t t = 0; t < 10; t++) {
        char host[8];
        snprintf(host, sizeof host, "h%d", (int)t);
        uint64_t number = define("cpu", host);
        sample(number, t, t);
        write_frame(IN_RING);
        refresh();
        assert_int_equal(weir_reader_series_count(instance.reader), t + 1);
        assert_int_equal(scan_all(), t + 1);
        assert_int_equal(seen[t].index, number);
    }
    assert_int_equal(weir_reader_blocks_corrupt(instance.reader), 0);
}

/* What lies behind the durable offset may be anything, and is read again once it is durable. */
static void
test_reader_sees_no_frame_before_it_is_durable(void **state)
{
    (void)state;
    dataplane_starts(1);
    define("cpu", "one");
    sample(0, 1, 1);
    write_frame(IN_FILE);
    open_reader(true);
    assert_int_equal(scan_all(), 1);
    uint64_t durable = instance.end;
    for (int64_t t = 2; t < 10; t++) {
        sample(0, t, t);
        write_frame(IN_FILE);
        atomic_store(&instance.shared->durable_offset, durable);
        refresh();
        assert_int_equal(scan_all(), t - 1);
        durable = instance.end;
        atomic_store(&instance.shared->durable_offset, durable);
        refresh();
        assert_int_equal(scan_all(), t);
    }
    assert_int_equal(weir_reader_blocks_corrupt(instance.reader), 0);
}

static void
test_reader_takes_seals_from_files_and_frames_from_the_ring(void **state)
{
    (void)state;
    dataplane_starts(1);
    define("cpu", "one");
    open_reader(true);
    for (int64_t t = 0; t < 50; t++) {
        sample(0, t, t);
        write_frame(IN_BOTH);
        if (t % 7 == 0)
            seal_segment();
        if (t % 3 == 0)
            refresh();
    }
    refresh();
    assert_int_equal(scan_all(), 50);
    assert_int_equal(weir_reader_blocks_corrupt(instance.reader), 0);
}

static void
test_reader_falls_back_to_files_where_the_ring_was_overwritten(void **state)
{
    (void)state;
    instance.segment_bytes = 64 << 20;
    dataplane_starts(1);
    define("cpu", "one");
    sample(0, 0, 0);
    write_frame(IN_BOTH);
    open_reader(true);
    for (int64_t t = 1; t < 60; t++) {
        for (uint32_t i = 0; i < 131072; i++)
            sample(1000, t, INT64_C(1) << 50);
        batch->samples[0].key = 0;
        write_frame(IN_BOTH);
        if (t % 20 == 0)
            refresh();
    }
    refresh();
    assert_int_equal(weir_reader_frames(instance.reader), 60);
    const uint64_t number = 0;
    assert_int_equal(scan(&number, 1, INT64_MIN, INT64_MAX), 60);
    assert_int_equal(weir_reader_blocks_corrupt(instance.reader), 0);
}

static void
test_reader_lives_through_restarts_of_the_dataplane(void **state)
{
    (void)state;
    dataplane_starts(1);
    define("cpu", "one");
    sample(0, 1, 1);
    write_frame(IN_BOTH);
    open_reader(true);
    for (uint64_t epoch = 2; epoch < 6; epoch++) {
        size_t known = (size_t)epoch - 1;
        assert_int_equal(weir_shared_reset(instance.shared_fd, instance.shared), WEIR_OK);
        assert_int_equal(weir_reader_refresh(instance.reader), WEIR_AGAIN);
        assert_int_equal(scan_all(), known);
        dataplane_starts(epoch);
        refresh();
        assert_int_equal(scan_all(), known);
        sample(0, (int64_t)epoch, (int64_t)epoch);
        define("more", "x");
        write_frame(IN_BOTH);
        refresh();
        assert_int_equal(scan_all(), known + 1);
        assert_int_equal(weir_reader_series_count(instance.reader), epoch);
    }
    assert_int_equal(weir_reader_blocks_corrupt(instance.reader), 0);
}

/* A write was lost, and the place shows a whole frame of an earlier life. Simulator, seed 164. */
static void
test_reader_of_a_live_log_takes_no_stale_frame(void **state)
{
    (void)state;
    define("cpu", "one");
    sample(0, 1, 1);
    write_frame(IN_FILE);
    uint32_t crc = instance.previous_crc;
    instance.previous_crc = 1; /* of a frame that was written over since */
    sample(0, 2, 2);
    write_frame(IN_FILE);
    instance.previous_crc = crc + 1; /* of the frame that was lost */
    sample(0, 3, 3);
    write_frame(IN_FILE);
    dataplane_starts(2);
    open_reader(true);
    assert_int_equal(weir_reader_gaps(instance.reader), 1);
    assert_int_equal(scan_all(), 2);
    assert_true(seen[0].value == 1 && seen[1].value == 3);
}

/* The end of the log was damaged: the next dataplane goes on before what was read, and gives
 * numbers again. Simulator, seed 260. */
static void
test_reader_of_a_log_that_goes_on_before_its_end_reads_anew(void **state)
{
    (void)state;
    for (int further = 0; further < 2; further++) {
        const uint8_t *labels;
        struct weir_label name;
        size_t size;
        dataplane_starts(2 * (uint64_t)further + 1);
        uint64_t first = define("kept", "x");
        sample(first, 1, 1);
        write_frame(IN_BOTH);
        uint64_t end = instance.end, defined = instance.defined;
        uint32_t crc = instance.previous_crc;
        uint64_t second = define("gone", "x");
        sample(second, 2, 2);
        write_frame(IN_BOTH);
        if (further == 0)
            open_reader(true);
        else
            refresh();
        assert_int_equal(weir_reader_series_count(instance.reader), second + 1);
        instance.end = end;
        instance.defined = defined;
        instance.previous_crc = crc;
        dataplane_starts(2 * (uint64_t)further + 2);
        /* not as far as it was read, or further already */
        for (int i = 0; i < (further == 0 ? 1 : 3); i++) {
            (void)define("new", "y");
            sample(second, 3 + i, 3);
            write_frame(IN_BOTH);
        }
        refresh();
        weir_reader_labels(instance.reader, second, &labels, &size);
        assert_true(weir_labels_find(labels, size, WEIR_NAME_LABEL, &name));
        assert_memory_equal(name.value, "new", 3);
        assert_int_equal(scan(&second, 1, 0, 10), further == 0 ? 1 : 3);
        assert_true(seen[0].time_ms == 3 && seen[0].value == 3);
    }
}

/* The region is zeroed, or worse, while descriptors of it are known: the files answer. */
static void
test_reader_does_not_trust_the_ring(void **state)
{
    (void)state;
    dataplane_starts(1);
    define("cpu", "one");
    for (int64_t t = 0; t < 5; t++) {
        sample(0, t, t);
        write_frame(IN_BOTH);
    }
    open_reader(true);
    void *memory;
    size_t size;
    weir_frame_ring_memory(the_ring(), &memory, &size);
    memset(memory, 0xff, 10 * PAGE);
    assert_int_equal(scan_all(), 5);
    struct weir_frame_descriptor wild = {.offset = instance.end - 100,
        .place = 11 * PAGE,
        .bytes = UINT32_MAX,
        .samples = 7,
        .definitions = 3};
    for (unsigned i = 0; i < 4; i++) {
        uint64_t place;
        assert_non_null(weir_frame_ring_reserve(the_ring(), PAGE, &place));
        weir_frame_ring_commit(the_ring(), place, PAGE);
        wild.place = place;
        wild.bytes = i == 3 ? PAGE : 0;
        wild.offset = i == 0 ? instance.end : i == 1 ? UINT64_MAX - 4096 : instance.end + i * 100;
        weir_frame_ring_publish(the_ring(), &wild);
        refresh();
        assert_int_equal(weir_reader_frames(instance.reader), 5);
    }
    assert_int_equal(weir_reader_durable_offset(instance.reader), instance.end);
    assert_int_equal(weir_reader_blocks_corrupt(instance.reader), 0);
}

static size_t
select_count(const struct weir_match *matches, size_t count, const uint64_t *wanted)
{
    uint64_t *numbers;
    size_t found;
    assert_int_equal(
        weir_reader_select(instance.reader, matches, count, &numbers, &found), WEIR_OK);
    for (size_t i = 0; i < found; i++)
        assert_int_equal(numbers[i], wanted[i]);
    free(numbers);
    return found;
}

#define EQUAL(name, value) \
    { \
        name, value, sizeof value - 1, WEIR_MATCH_EQUAL \
    }
#define NOT_EQUAL(name, value) \
    { \
        name, value, sizeof value - 1, WEIR_MATCH_NOT_EQUAL \
    }

static void
test_reader_selects_by_matches(void **state)
{
    (void)state;
    define("cpu", "one");
    define("cpu", "two");
    define("mem", "one");
    define("cpu", "");
    write_frame(IN_FILE);
    open_reader(false);
    const struct weir_match cpu[] = {EQUAL("__name__", "cpu")};
    assert_int_equal(select_count(cpu, 1, (uint64_t[]){0, 1, 3}), 3);
    const struct weir_match both[] = {EQUAL("__name__", "cpu"), EQUAL("host", "one")};
    assert_int_equal(select_count(both, 2, (uint64_t[]){0}), 1);
    const struct weir_match without[] = {EQUAL("host", "")};
    assert_int_equal(select_count(without, 1, (uint64_t[]){3}), 1);
    const struct weir_match with[] = {NOT_EQUAL("host", "")};
    assert_int_equal(select_count(with, 1, (uint64_t[]){0, 1, 2}), 3);
    const struct weir_match other[] = {EQUAL("__name__", "cpu"), NOT_EQUAL("host", "one")};
    assert_int_equal(select_count(other, 2, (uint64_t[]){1, 3}), 2);
    const struct weir_match unknown[] = {EQUAL("__name__", "cpu"), EQUAL("rack", "r1")};
    assert_int_equal(select_count(unknown, 2, NULL), 0);
    assert_int_equal(select_count(NULL, 0, (uint64_t[]){0, 1, 2, 3}), 4);
}

static enum weir_err
stop_at_third(void *context, size_t index, int64_t time_ms, double value)
{
    (void)note(context, index, time_ms, value);
    return seen_count == 3 ? WEIR_LIMIT : WEIR_OK;
}

static void
test_reader_scan_ends_with_what_the_caller_says(void **state)
{
    (void)state;
    define("cpu", "one");
    for (int64_t t = 0; t < 10; t++)
        sample(0, t, t);
    write_frame(IN_FILE);
    open_reader(false);
    const uint64_t number = 0;
    seen_count = 0;
    assert_int_equal(
        weir_reader_scan(instance.reader, &number, 1, 0, 100, stop_at_third, NULL), WEIR_LIMIT);
    assert_int_equal(seen_count, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_reader_of_an_empty_log_knows_nothing),
        TEST(test_reader_reads_files_across_segments),
        TEST(test_reader_scan_holds_to_series_and_time),
        TEST(test_reader_reports_definitions_and_scans_all_series),
        TEST(test_reader_scans_large_frames_block_by_block),
        TEST(test_reader_calls_duplicates_in_log_order),
        TEST(test_reader_answers_numbers_with_equal_labels_as_one_series),
        TEST(test_reader_finds_equal_labels_among_many_series),
        TEST(test_reader_skips_a_damaged_block_and_counts_it),
        TEST(test_reader_of_a_stopped_log_ends_at_the_torn_frame),
        TEST(test_reader_of_a_stopped_log_ends_where_the_chain_breaks),
        TEST(test_reader_of_a_live_log_passes_over_damage_below_the_durable_offset),
        TEST(test_reader_goes_on_behind_a_lost_or_short_file),
        TEST(test_reader_keeps_numbers_of_lost_definitions),
        TEST(test_reader_does_not_believe_absurd_series_numbers),
        TEST(test_reader_sees_published_frames_without_the_files),
        TEST(test_reader_sees_no_frame_before_it_is_durable),
        TEST(test_reader_takes_seals_from_files_and_frames_from_the_ring),
        TEST(test_reader_falls_back_to_files_where_the_ring_was_overwritten),
        TEST(test_reader_lives_through_restarts_of_the_dataplane),
        TEST(test_reader_of_a_live_log_takes_no_stale_frame),
        TEST(test_reader_of_a_log_that_goes_on_before_its_end_reads_anew),
        TEST(test_reader_does_not_trust_the_ring),
        TEST(test_reader_selects_by_matches),
        TEST(test_reader_scan_ends_with_what_the_caller_says),
    };
    return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
