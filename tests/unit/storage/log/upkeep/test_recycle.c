#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "model/sender_state/state.h"
#include "storage/log/checkpoint.h"
#include "storage/log/definitions.h"
#include "storage/log/upkeep/checkpointer.h"
#include "storage/log/writer/segment.h"
#include "storage/reader.h"
#include "tests/unit/storage/log/log_fixture.h"

#include <errno.h>
#include <sys/stat.h>

#define CAPACITY 4 /* segments of the log */
#define BATCHES_MAX 1024
#define CHANNELS 5
#define NOT_DURABLE UINT64_MAX
#define NEVER UINT64_MAX

/* What was given to the log, and what of it was told to be durable. */
static struct {
    struct {
        uint64_t offset; /* NOT_DURABLE until it is */
        uint32_t samples;
        uint32_t definitions;
    } batches[BATCHES_MAX]; /* by number, from 1 on */
    uint64_t count;
    uint64_t defined;
} model;

/* State of senders, by channel. */
struct senders {
    uint64_t sequence[CHANNELS];
    uint64_t series[CHANNELS]; /* of template 1 */
};
static struct senders senders;

static struct weir_io *checkpointer_io;
static struct weir_checkpointer *checkpointer;

#define OPERATIONS_MAX 4096

/* Operations of the checkpointer of this name fail, without an end to the machine. */
static struct {
    const char *operation;
    int errnum;
    uint64_t count;
} refusal;

/* The machine stops at operation `at` of both, or never. */
static struct {
    uint64_t at, done;
    bool of_recycling[OPERATIONS_MAX]; /* by operation: the checkpointer's, and renames */
    bool unsynced; /* definitions were written and not synced */
    uint64_t renames, checkpoints;
    const char *operation; /* at which it stopped */
} crash;

static int
count_operation(const char *operation, bool of_recycling)
{
    assert_true(crash.done + 1 < OPERATIONS_MAX);
    crash.of_recycling[++crash.done] = of_recycling;
    if (crash.done < crash.at)
        return 0;
    if (crash.done == crash.at)
        crash.operation = operation;
    return -EIO;
}

static int
log_fault(void *context, const char *operation, uint64_t offset, size_t size)
{
    (void)context, (void)offset, (void)size;
    bool is_rename = strcmp(operation, "rename") == 0;
    crash.renames += is_rename;
    return count_operation(operation, is_rename);
}

static int
checkpointer_fault(void *context, const char *operation, uint64_t offset, size_t size)
{
    (void)context, (void)offset, (void)size;
    if (refusal.operation != NULL && strcmp(operation, refusal.operation) == 0) {
        refusal.count++;
        return -refusal.errnum;
    }
    if (strcmp(operation, "write") == 0)
        crash.unsynced = true;
    if (strcmp(operation, "fdatasync") == 0)
        crash.unsynced = false;
    if (strcmp(operation, "pwrite") == 0) { /* definitions go by "write", a checkpoint by this */
        assert_false(crash.unsynced); /* what the checkpoint names is durable before it */
        crash.checkpoints++;
    }
    return count_operation(operation, true);
}

static void
put_entry(uint64_t n)
{
    uint16_t channel = n % CHANNELS;
    struct weir_state_entry *entry =
        (struct weir_state_entry *)(batch.sender_state + batch.state_bytes);
    *entry = (struct weir_state_entry){.type = WEIR_STATE_SEQUENCE,
        .channel = channel,
        .bytes = sizeof *entry,
        .sender = channel,
        .epoch = 1,
        .sequence = n};
    batch.state_bytes += entry->bytes;
    if (n % 3 != 0)
        return;
    entry++;
    *entry = (struct weir_state_entry){.type = WEIR_STATE_TEMPLATE,
        .channel = channel,
        .bytes = sizeof *entry + 16,
        .sender = channel,
        .epoch = 1,
        .template_hash = 77,
        .sequence = n};
    *(struct weir_state_template *)(entry + 1) =
        (struct weir_state_template){.id = 1, .total = 1, .count = 1};
    *(struct weir_state_range *)((uint8_t *)(entry + 1) + 8) =
        (struct weir_state_range){.number = model.defined - 1, .count = 1};
    batch.state_bytes += entry->bytes;
}

static void (*twist_sender_state)(uint64_t n); /* what a test does to them */

static void
replay_sender_state(void *context, const uint8_t *list, size_t size)
{
    struct senders *state = context;
    const struct weir_state_entry *entry;
    size_t at = 0;
    assert_int_equal((uintptr_t)list % 8, 0);
    while (weir_state_next(list, size, &at, &entry) == WEIR_OK) {
        assert_true(entry->channel < CHANNELS && entry->sender == entry->channel);
        if (entry->type == WEIR_STATE_SEQUENCE)
            state->sequence[entry->channel] = entry->sequence;
        else if (entry->type == WEIR_STATE_TEMPLATE &&
            ((const struct weir_state_template *)(entry + 1))->count != 0)
            state->series[entry->channel] =
                ((const struct weir_state_range *)((const uint8_t *)(entry + 1) + 8))->number;
    }
}

/* A series keeps its name under its number. */
static enum weir_err
check_name(void *context, uint64_t number, const uint8_t *labels, size_t size)
{
    (void)context;
    struct weir_label name;
    char wanted[24];
    assert_int_equal(number, fixture.defined++);
    snprintf(wanted, sizeof wanted, "m%llu", (unsigned long long)number);
    assert_true(weir_labels_find(labels, size, WEIR_NAME_LABEL, &name));
    if (name.value_size == strlen(wanted) && memcmp(name.value, wanted, name.value_size) == 0)
        return WEIR_OK;
    assert_true(name.value_size == 20 && memcmp(name.value, "weir_lost_definition", 20) == 0);
    fixture.lost++;
    return WEIR_OK;
}

static enum weir_err
open_recycling(void)
{
    memset(&senders, 0, sizeof senders);
    enum weir_err err = fixture_open();
    if (err != WEIR_OK)
        return err;
    struct weir_checkpointer_options options = {.directory = fixture.directory,
        .io = checkpointer_io,
        .trim = weir_log_trim(fixture.log)};
    assert_int_equal(weir_checkpointer_new(&options, &checkpointer), WEIR_OK);
    return WEIR_OK;
}

static void
close_recycling(void)
{
    weir_checkpointer_free(checkpointer); /* before the log, whose memory it shares */
    checkpointer = NULL;
    fixture_close();
}

static void
make_ios(void)
{
    struct weir_io_table table = quick_table();
    fixture_io(&table);
    struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    assert_int_equal(weir_io_new_with(&fixture.table, &options, &checkpointer_io), WEIR_OK);
    memset(&model, 0, sizeof model);
    memset(&crash, 0, sizeof crash);
    memset(&refusal, 0, sizeof refusal);
    twist_sender_state = NULL;
    crash.at = NEVER;
}

/* A machine without a log. */
static void
begin_anew(void)
{
    char **names;
    size_t count;
    close_recycling();
    weir_io_free(checkpointer_io);
    weir_io_free(fixture.io);
    make_ios();
    if (weir_io_list(fixture.io, fixture.directory, &names, &count) == WEIR_NOT_FOUND)
        return;
    for (size_t i = 0; i < count; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", fixture.directory, names[i]);
        assert_int_equal(unlink(path), 0);
    }
    weir_io_list_free(names, count);
}

static int
set_up(void **state)
{
    (void)state;
    struct weir_io_table table = quick_table();
    fixture_make(&table);
    weir_io_free(fixture.io);
    fixture.options.size_max = CAPACITY * SEGMENT;
    fixture.options.define = check_name;
    fixture.options.sender_state = replay_sender_state;
    fixture.options.sender_state_context = &senders;
    make_ios();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    close_recycling();
    weir_io_free(checkpointer_io);
    fixture_remove();
    return 0;
}

static void
restart_machine(uint64_t at)
{
    crash.at = at;
    crash.done = 0;
    crash.unsynced = false;
    weir_io_set_fault(fixture.io, at == NEVER ? NULL : log_fault, NULL);
    weir_io_set_fault(checkpointer_io, at == NEVER ? NULL : checkpointer_fault, NULL);
}

/* One round of the log writer and one of the checkpointer. */
static enum weir_err
round_of_both(void)
{
    struct weir_log_done done[WEIR_LOG_INFLIGHT_MAX];
    size_t count;
    (void)weir_log_follow_trim(fixture.log);
    enum weir_err err = weir_log_poll(fixture.log, 0, done, WEIR_LOG_INFLIGHT_MAX, &count);
    for (size_t i = 0; i < count; i++)
        model.batches[done[i].batch].offset = done[i].offset;
    weir_checkpointer_run_once(checkpointer);
    return err;
}

/* Appends batches up to number `until` and waits for them; ends early where the machine stops. */
static enum weir_err
write_batches(uint64_t until)
{
    static uint8_t sender_state[4096] __attribute__((aligned(8)));
    enum weir_err err = WEIR_OK;
    while (model.count < until && err == WEIR_OK) {
        uint64_t n = model.count + 1;
        fill_batch(n, n % 3 == 0 ? 2500 : 5, model.defined, n % 2 == 1 ? 3 : 0);
        model.defined += batch.definition_count;
        batch.sender_state = sender_state;
        put_entry(n);
        if (twist_sender_state != NULL)
            twist_sender_state(n);
        model.batches[n].offset = NOT_DURABLE;
        model.batches[n].samples = batch.count;
        model.batches[n].definitions = batch.definition_count;
        for (int tries = 0; (err = weir_log_append(fixture.log, &batch)) == WEIR_AGAIN; tries++) {
            assert_true(tries < 1000);
            if ((err = round_of_both()) != WEIR_OK)
                return err;
        }
        if (err == WEIR_OK) {
            model.count = n;
            err = round_of_both();
        }
    }
    while (err == WEIR_OK && weir_log_durable(fixture.log) != weir_log_end(fixture.log))
        err = round_of_both();
    return err;
}

struct scan {
    uint64_t batch;
    uint32_t sample;
};

static enum weir_err
check_sample(void *context, size_t index, int64_t time_ms, double value)
{
    struct scan *scan = context;
    while (scan->batch <= model.count && scan->sample == model.batches[scan->batch].samples) {
        scan->batch++;
        scan->sample = 0;
    }
    assert_true(scan->batch <= model.count);
    assert_int_equal(index, scan->sample);
    assert_int_equal(time_ms, scan->batch);
    assert_true(value == (double)(scan->batch * 1000 + scan->sample));
    scan->sample++;
    return WEIR_OK;
}

/* All samples from batch `first` to the last of the model, and all definitions, for tools on a
 * stopped instance. */
static void
check_reader(uint64_t first)
{
    struct weir_reader *reader;
    struct scan scan = {.batch = first};
    fixture.defined = fixture.lost = 0;
    struct weir_reader_options reader_options = {.directory = fixture.directory,
        .define = check_name};
    assert_int_equal(weir_reader_open_with(&reader_options, &reader),
        WEIR_OK);
    assert_int_equal(weir_reader_series_count(reader), model.defined);
    assert_int_equal(fixture.defined, model.defined);
    assert_int_equal(fixture.lost, 0);
    assert_int_equal(
        weir_reader_scan(reader, NULL, 0, 0, INT64_MAX, check_sample, &scan), WEIR_OK);
    assert_int_equal(scan.batch, model.count);
    assert_int_equal(scan.sample, model.batches[model.count].samples);
    assert_int_equal(weir_reader_blocks_corrupt(reader), 0);
    weir_reader_close(reader);
}

/* What was not told durable and came back is durable now: where its frames are. */
static void
learn_offsets(uint64_t n)
{
    uint64_t offset = fixture.recovery.first_offset, segment_epoch = 1;
    while (offset < fixture.recovery.end_offset) {
        struct weir_frame_header header;
        int fd = open(segment_path(offset / SEGMENT), O_RDONLY);
        assert_true(fd >= 0);
        assert_int_equal(pread(fd, &header, sizeof header, (off_t)(offset % SEGMENT)),
            sizeof header);
        close(fd);
        assert_true(header.segment_epoch >= segment_epoch);
        segment_epoch = header.segment_epoch;
        if (header.type == WEIR_FRAME_SAMPLES)
            model.batches[n++].offset = offset;
        offset += header.bytes;
    }
}

/* After recovery: the model is cut to what came back, which is all that was durable and maybe some
 * more; what is compared with it is exact. Returns the first batch that the log still holds. */
static uint64_t
check_recovered(void)
{
    const struct weir_log_recovery *found = &fixture.recovery;
    uint64_t frames = 0, samples = 0, first = 1;
    assert_int_equal(found->first_offset % SEGMENT, 0);
    assert_int_equal(found->frames_corrupt, 0);
    assert_int_equal(found->definitions_lost, 0);
    /* batches that were durable are where they were; the first of those at or above the offset */
    while (first <= model.count && model.batches[first].offset < found->first_offset)
        samples += model.batches[first++].samples;
    uint64_t last = first - 1 + found->frames;
    for (uint64_t n = first; n <= model.count; n++)
        if (model.batches[n].offset != NOT_DURABLE)
            assert_true(n <= last);
    assert_true(last <= model.count + 1); /* one more: the append that was refused its answer */
    struct senders wanted = {0};
    uint64_t defined = 0;
    for (uint64_t n = 1; n <= last; n++) {
        defined += model.batches[n].definitions;
        wanted.sequence[n % CHANNELS] = n;
        if (n % 3 == 0)
            wanted.series[n % CHANNELS] = defined - 1;
        frames++;
    }
    learn_offsets(first);
    model.count = last;
    model.defined = defined;
    assert_int_equal(fixture.defined, defined);
    assert_int_equal(found->definitions, defined);
    assert_int_equal(frames, last);
    assert_memory_equal(&senders, &wanted, sizeof senders);
    return first;
}

static uint64_t
files_there(void)
{
    uint64_t files = 0;
    struct stat status;
    for (uint64_t i = 0; i < BATCHES_MAX; i++)
        files += stat(segment_path(i), &status) == 0;
    return files;
}

static void
test_recycle_turns_over_a_log_that_keeps_its_size(void **state)
{
    (void)state;
    assert_int_equal(open_recycling(), WEIR_OK);
    assert_int_equal(write_batches(200), WEIR_OK);
    assert_true(weir_log_end(fixture.log) > 3 * CAPACITY * SEGMENT);
    assert_int_equal(files_there(), CAPACITY);
    assert_int_equal(weir_log_bytes(fixture.log), CAPACITY * SEGMENT);
    uint64_t first = weir_log_first(fixture.log), samples = 0;
    /* the segment that is written, a next one, and the one that is recycled into it */
    assert_true(weir_log_end(fixture.log) - first >= (CAPACITY - 2) * SEGMENT);
    for (uint64_t n = 1; n <= 200; n++)
        samples += model.batches[n].offset < first ? model.batches[n].samples : 0;
    assert_int_equal(weir_log_samples_recycled(fixture.log), samples);
    assert_int_equal(fixture.counts.counter[WEIR_COUNTER_log_samples_recycled], samples);
    struct weir_checkpoint checkpoint;
    assert_int_equal(
        weir_checkpoint_read(fixture.io, fixture.directory, 0, &checkpoint, NULL), WEIR_OK);
    assert_int_equal(checkpoint.first_index * SEGMENT, first);
    assert_int_equal(checkpoint.samples_trimmed, samples);
    assert_int_equal(checkpoint.dataplane_epoch, 1);
    assert_int_equal(model.batches[checkpoint.time_max_ms + 1].offset, first);
    assert_true(fixture.counts.counter[WEIR_COUNTER_log_segments_recycled] >=
        weir_log_end(fixture.log) / SEGMENT - CAPACITY);
    close_recycling();
    assert_int_equal(open_recycling(), WEIR_OK);
    assert_int_equal(fixture.recovery.first_offset, first);
    assert_int_equal(fixture.recovery.bytes_torn, 0);
    assert_int_equal(fixture.recovery.time_max_ms, 200);
    uint64_t batch_first = check_recovered();
    close_recycling();
    check_reader(batch_first);
}

/* Stops at operation `at`, recovers, goes on for a turn over the log, recovers. */
static void
stop_at(uint64_t at)
{
    begin_anew();
    assert_int_equal(open_recycling(), WEIR_OK);
    restart_machine(at);
    assert_int_not_equal(write_batches(60), WEIR_AGAIN);
    assert_non_null(crash.operation);
    close_recycling();
    restart_machine(NEVER);
    assert_int_equal(open_recycling(), WEIR_OK);
    check_recovered();
    assert_int_equal(write_batches(model.count + 30), WEIR_OK);
    close_recycling();
    assert_int_equal(open_recycling(), WEIR_OK);
    uint64_t first = check_recovered();
    close_recycling();
    check_reader(first);
}

/* Operations of the log alone, of which test_recovery.c has more to say, are stopped at now and
 * then. */
static void
test_recycle_survives_a_stop_at_any_operation(void **state)
{
    (void)state;
    static bool of_recycling[OPERATIONS_MAX];
    assert_int_equal(open_recycling(), WEIR_OK);
    restart_machine(OPERATIONS_MAX);
    assert_int_equal(write_batches(60), WEIR_OK);
    uint64_t operations = crash.done;
    assert_true(crash.renames >= 3 && crash.checkpoints >= 3);
    memcpy(of_recycling, crash.of_recycling, sizeof of_recycling);
    for (uint64_t at = 1; at <= operations; at++)
        if (of_recycling[at] || at % 16 == 0)
            stop_at(at);
}

/* Appends until the log refuses; the checkpointer has its rounds. */
static void
write_until_full(void)
{
    enum weir_err err = WEIR_OK;
    while (err == WEIR_OK) {
        assert_true(model.count + 1 < BATCHES_MAX);
        err = write_batches(model.count + 1);
    }
    assert_int_equal(err, WEIR_FULL);
    model.defined -= model.batches[model.count + 1].definitions;
}

static void
test_checkpointer_without_space_trims_nothing_and_tries_again(void **state)
{
    (void)state;
    static const struct {
        const char *operation;
        int errnum;
    } cases[] = {{"write", ENOSPC}, {"pwrite", EDQUOT}, {"open", EMFILE}, {"list", ENFILE}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin_anew();
        assert_int_equal(open_recycling(), WEIR_OK);
        weir_io_set_fault(checkpointer_io, checkpointer_fault, NULL);
        crash.at = OPERATIONS_MAX;
        refusal.operation = cases[i].operation;
        refusal.errnum = cases[i].errnum;
        int64_t began_ns = weir_mono_ns();
        write_until_full();
        struct weir_trim *trim = weir_log_trim(fixture.log);
        assert_int_equal(atomic_load(&trim->state), WEIR_TRIM_FAILING);
        /* each try reads a lot: there are none in between */
        (void)round_of_both();
        uint64_t tries = refusal.count;
        if (weir_mono_ns() - began_ns < weir_checkpointer_retry_ns(1))
            assert_int_equal(tries, 1);
        assert_int_equal(weir_log_first(fixture.log), 0);
        assert_int_equal(files_there(), CAPACITY);
        refusal.operation = NULL;
        uint64_t count = model.count;
        while (weir_log_first(fixture.log) == 0)
            (void)round_of_both();
        assert_int_equal(atomic_load(&trim->state), WEIR_TRIM_ON);
        while (write_batches(count + 60) == WEIR_FULL)
            model.defined -= model.batches[model.count + 1].definitions;
        close_recycling();
        assert_int_equal(open_recycling(), WEIR_OK);
        uint64_t first = check_recovered();
        assert_int_equal(model.count, count + 60);
        close_recycling();
        check_reader(first);
    }
}

static void
test_checkpointer_waits_longer_after_each_failure(void **state)
{
    (void)state;
    static const int64_t seconds[] = {1, 2, 4, 8, 16, 30, 30};
    for (uint32_t i = 0; i < 7; i++)
        assert_int_equal(weir_checkpointer_retry_ns(i + 1), seconds[i] * 1000000000);
    assert_int_equal(weir_checkpointer_retry_ns(UINT32_MAX), INT64_C(30000000000));
}

/* The log could not make its next segment, and took the file back. */
static bool phantom;

static int
list_with_phantom(struct weir_io *io, const char *path, char ***names, size_t *count)
{
    int result = weir_io_posix_list(io, path, names, count);
    if (!phantom || result != 0)
        return result;
    uint64_t last = 0;
    char name[32];
    for (size_t i = 0; i < *count; i++)
        if (strstr((*names)[i], ".seg") != NULL && strtoull((*names)[i], NULL, 16) > last)
            last = strtoull((*names)[i], NULL, 16);
    snprintf(name, sizeof name, "%016llx.seg", (unsigned long long)last + 1);
    char **grown = realloc(*names, (*count + 1) * sizeof *grown);
    assert_non_null(grown);
    *names = grown;
    grown[(*count)++] = strdup(name);
    return 0;
}

/* The checkpointer's files, by functions of a test's own. */
static void
use_checkpointer_table(const struct weir_io_table *table)
{
    static struct weir_io_table kept;
    kept = *table;
    weir_io_free(checkpointer_io);
    struct weir_io_options options = {.backend = WEIR_IO_SYNC};
    assert_int_equal(weir_io_new_with(&kept, &options, &checkpointer_io), WEIR_OK);
}

static void
test_file_that_is_gone_since_it_was_listed_stops_no_checkpoint(void **state)
{
    (void)state;
    struct weir_io_table table = quick_table();
    table.list = list_with_phantom;
    use_checkpointer_table(&table);
    phantom = true;
    assert_int_equal(open_recycling(), WEIR_OK);
    assert_int_equal(write_batches(100), WEIR_OK);
    assert_true(weir_log_first(fixture.log) > CAPACITY * SEGMENT);
    phantom = false;
}

static void
test_checkpointer_stops_for_good_after_a_device_error(void **state)
{
    (void)state;
    assert_int_equal(open_recycling(), WEIR_OK);
    weir_io_set_fault(checkpointer_io, checkpointer_fault, NULL);
    crash.at = OPERATIONS_MAX;
    refusal.operation = "fdatasync";
    refusal.errnum = EIO;
    write_until_full();
    refusal.operation = NULL; /* a second sync would say "ok" */
    uint64_t done = crash.done;
    usleep((useconds_t)(weir_checkpointer_retry_ns(1) / 1000 + 1000));
    for (int i = 0; i < 10; i++)
        assert_int_equal(round_of_both(), WEIR_OK);
    assert_int_equal(crash.done, done);
    assert_int_equal(weir_log_first(fixture.log), 0);
    close_recycling();
    assert_int_equal(open_recycling(), WEIR_OK);
    assert_int_equal(check_recovered(), 1);
    assert_int_equal(write_batches(model.count + 30), WEIR_OK);
}

static void
test_recycling_log_waits_for_a_checkpoint_and_refuses_without(void **state)
{
    (void)state;
    assert_int_equal(open_recycling(), WEIR_OK);
    struct weir_trim *trim = weir_log_trim(fixture.log);
    struct weir_log_done done[WEIR_LOG_INFLIGHT_MAX];
    size_t count;
    enum weir_err err = WEIR_OK;
    for (uint64_t n = 1; err == WEIR_OK; n++) {
        fill_batch(n, 5, 0, 0);
        for (int i = 0; i < 100 && (err = weir_log_append(fixture.log, &batch)) == WEIR_AGAIN; i++)
            assert_int_equal(weir_log_poll(fixture.log, 0, done, 1, &count), WEIR_OK);
    }
    assert_int_equal(err, WEIR_AGAIN);
    assert_int_equal(weir_log_end(fixture.log), CAPACITY * SEGMENT);
    assert_int_equal(atomic_load(&trim->wanted_index), 1);
    /* never the last whole segment */
    assert_int_equal(atomic_load(&trim->whole_index), CAPACITY - 1);
    atomic_store(&trim->state, WEIR_TRIM_FAILING);
    assert_int_equal(weir_log_append(fixture.log, &batch), WEIR_FULL);
    atomic_store(&trim->state, WEIR_TRIM_ON);
    assert_true(weir_checkpointer_run_once(checkpointer));
    assert_false(weir_checkpointer_run_once(checkpointer)); /* the log has not taken it yet */
    assert_int_equal(weir_log_first(fixture.log), 0);
    assert_true(weir_log_follow_trim(fixture.log));
    assert_int_equal(weir_log_first(fixture.log), SEGMENT);
    usleep(WEIR_SEGMENT_RETRY_NS / 1000 + 1000);
    append();
    make_durable();
    assert_int_equal(files_there(), CAPACITY);
}

/* Refuses the named operation of the log for the moment. */
static int
log_refusal(void *context, const char *operation, uint64_t offset, size_t size)
{
    (void)context, (void)offset, (void)size;
    if (refusal.operation != NULL && strcmp(operation, refusal.operation) == 0)
        return -refusal.errnum;
    crash.renames += strcmp(operation, "rename") == 0;
    return 0;
}

/* Appends batches, with the checkpointer beside it, until an append has the wanted answer. */
static void
append_in_turn(enum weir_err wanted)
{
    enum weir_err err = WEIR_AGAIN;
    fill_batch(1, 5, 0, 0);
    for (int tries = 0; err != wanted; tries++) {
        assert_true(tries < 100000);
        err = weir_log_append(fixture.log, &batch);
        assert_true(err == wanted || err == WEIR_AGAIN || err == WEIR_OK);
        assert_int_equal(round_of_both(), WEIR_OK);
    }
}

static void
test_log_that_can_take_no_trimmed_file_for_now_is_full_and_goes_on_by_itself(void **state)
{
    static const char *const operations[] = {"open", "size", "rename"};
    static const int errnums[] = {ENOSPC, EMFILE, ENFILE, ENOMEM};
    (void)state;
    assert_int_equal(open_recycling(), WEIR_OK);
    weir_io_set_fault(fixture.io, log_refusal, NULL);
    uint64_t renames = 0;
    for (size_t i = 0; i < sizeof errnums / sizeof errnums[0]; i++) {
        for (size_t k = 0; k < sizeof operations / sizeof operations[0]; k++) {
            refusal.operation = NULL;
            while (crash.renames == renames) /* it has had its size, and recycles */
                append_in_turn(WEIR_OK);
            refusal.operation = operations[k];
            refusal.errnum = errnums[i];
            append_in_turn(WEIR_FULL);
            assert_non_null(strstr(weir_err_detail(), strerror(errnums[i])));
            refusal.operation = NULL;
            usleep(WEIR_SEGMENT_RETRY_NS / 1000 + 1000);
            renames = crash.renames;
        }
    }
    while (crash.renames == renames)
        append_in_turn(WEIR_OK);
    assert_int_equal(files_there(), CAPACITY);
    assert_int_equal(weir_log_bytes(fixture.log), CAPACITY * SEGMENT);
}

static void
test_checkpoint_is_given_up_where_the_instance_stops(void **state)
{
    (void)state;
    static _Atomic bool stop;
    assert_int_equal(open_recycling(), WEIR_OK);
    weir_checkpointer_free(checkpointer);
    struct weir_checkpointer_options options = {.directory = fixture.directory,
        .io = checkpointer_io,
        .trim = weir_log_trim(fixture.log),
        .stop = &stop};
    assert_int_equal(weir_checkpointer_new(&options, &checkpointer), WEIR_OK);
    assert_int_equal(write_batches(10), WEIR_OK);
    assert_true(atomic_load(&options.trim->whole_index) >= 1);
    assert_int_equal(atomic_load(&options.trim->first_index), 0);
    atomic_store(&options.trim->wanted_index, 1);
    atomic_store(&stop, true);
    assert_false(weir_checkpointer_run_once(checkpointer));
    assert_int_equal(atomic_load(&options.trim->first_index), 0);
    assert_int_equal(atomic_load(&options.trim->state), WEIR_TRIM_ON);
    atomic_store(&stop, false);
    assert_true(weir_checkpointer_run_once(checkpointer));
    assert_int_equal(atomic_load(&options.trim->first_index), 1);
}

static void
refused_with(enum weir_err wanted, const char *word)
{
    assert_int_equal(fixture_open(), wanted);
    assert_non_null(strstr(weir_err_detail(), word));
    fixture.log = NULL;
}

/* Segments keep their size: what the configuration says of them does not count. */
static void
test_log_too_small_to_be_recycled_is_refused_by_name(void **state)
{
    (void)state;
    assert_int_equal(fixture_open(), WEIR_OK);
    fixture_close();
    fixture.options.segment_bytes = SEGMENT / 2;
    for (uint64_t capacity = 1; capacity <= 5; capacity++) {
        fixture.options.size_max = capacity * SEGMENT;
        assert_int_equal(fixture_open(), WEIR_OK);
        fill_batch(1, 5, 0, 0);
        append();
        make_durable();
        struct weir_checkpointer_options options = {.directory = fixture.directory,
            .io = checkpointer_io,
            .trim = weir_log_trim(fixture.log)};
        enum weir_err err = weir_checkpointer_new(&options, &checkpointer);
        assert_int_equal(err, capacity < 4 ? WEIR_INVALID : WEIR_OK);
        if (err != WEIR_OK) {
            assert_non_null(strstr(weir_err_detail(), "log.size_max of 4 segments"));
            assert_int_equal(atomic_load(&options.trim->state), WEIR_TRIM_OFF);
        }
        close_recycling();
    }
}

/* A machine that stops may lose all that was not durable. */
static void
test_log_that_loses_what_is_not_durable_does_not_end_where_it_begins(void **state)
{
    (void)state;
    for (uint64_t n = 20; n < 60; n++) {
        begin_anew();
        assert_int_equal(open_recycling(), WEIR_OK);
        assert_int_equal(write_batches(n), WEIR_OK);
        struct weir_trim *trim = weir_log_trim(fixture.log);
        uint64_t durable = weir_log_durable(fixture.log);
        uint64_t whole = atomic_load(&trim->whole_index);
        assert_true(whole * SEGMENT + SEGMENT <= durable);
        /* all that may be trimmed is, and readers never hear of it */
        atomic_store(&trim->wanted_index, whole);
        weir_checkpointer_run_once(checkpointer);
        assert_int_equal(atomic_load(&trim->first_index), whole);
        restart_machine(0);
        close_recycling();
        restart_machine(NEVER);
        assert_int_equal(open_recycling(), WEIR_OK);
        assert_int_equal(fixture.recovery.first_offset, whole * SEGMENT);
        assert_int_equal(fixture.recovery.end_offset, durable);
        close_recycling();
    }
}

static void
truncate_behind(uint64_t first)
{
    for (uint64_t i = first; i < BATCHES_MAX; i++) {
        struct stat status;
        if (stat(segment_path(i), &status) != 0)
            continue;
        assert_int_equal(truncate(segment_path(i), 0), 0);
        assert_int_equal(truncate(segment_path(i), SEGMENT), 0);
    }
}

/* As a log of two segments could be left by a power cut, before so small a one was refused. */
static void
test_log_that_ends_where_it_begins_opens_again_and_again(void **state)
{
    (void)state;
    assert_int_equal(open_recycling(), WEIR_OK);
    assert_int_equal(write_batches(100), WEIR_OK);
    uint64_t begin = weir_log_first(fixture.log), series = model.defined;
    restart_machine(0);
    close_recycling(); /* the epoch file stays as it is */
    restart_machine(NEVER);
    truncate_behind(begin / SEGMENT);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(open_recycling(), WEIR_OK);
        assert_int_equal(fixture.recovery.first_offset, begin);
        assert_int_equal(fixture.recovery.end_offset, begin);
        assert_int_equal(fixture.lost, 0);
        assert_true(fixture.defined > 0 && fixture.defined <= series);
        close_recycling();
        struct weir_reader *reader;
        assert_int_equal(weir_reader_open(fixture.directory, NULL, &reader), WEIR_OK);
        assert_int_equal(weir_reader_frames(reader), 0);
        weir_reader_close(reader);
    }
    assert_int_equal(open_recycling(), WEIR_OK);
    model.defined = fixture.defined;
    assert_int_equal(write_batches(model.count + 30), WEIR_OK);
    restart_machine(0);
    close_recycling();
    restart_machine(NEVER);
    /* where it was opened elsewhere, segments are missed */
    for (uint64_t i = 0; i < BATCHES_MAX; i++)
        unlink(segment_path(i));
    refused_with(WEIR_CORRUPT, "begins at segment");
}

static void
test_log_names_whole_only_what_is_durable(void **state)
{
    (void)state;
    weir_io_free(fixture.io);
    struct weir_io_table table = held_table();
    fixture_io(&table);
    assert_int_equal(open_recycling(), WEIR_OK);
    const struct weir_trim *trim = weir_log_trim(fixture.log);
    struct weir_log_done done[WEIR_LOG_INFLIGHT_MAX];
    size_t count, synced = 0;
    for (uint64_t n = 1; n < BATCHES_MAX && weir_log_end(fixture.log) < 3 * SEGMENT; n++) {
        uint64_t index = weir_log_end(fixture.log) / SEGMENT;
        fill_batch(n, 2500, 0, 0);
        while (weir_log_append(fixture.log, &batch) == WEIR_AGAIN) {
            /* segments are made; of the frames none is written */
            for (size_t i = 0; i < held.count; i++)
                if (held.waiting[i].user == UINT64_MAX)
                    held_complete(i--);
            assert_int_equal(weir_log_poll(fixture.log, 0, done, 1, &count), WEIR_OK);
        }
        if (weir_log_end(fixture.log) / SEGMENT == index)
            continue;
        while (weir_log_durable(fixture.log) < weir_log_end(fixture.log)) {
            uint64_t whole = atomic_load(&trim->whole_index);
            assert_true(whole == 0 || (whole + 1) * SEGMENT <= weir_log_durable(fixture.log));
            synced += held_syncs();
            held_complete(0);
            assert_int_equal(weir_log_poll(fixture.log, 0, done, WEIR_LOG_INFLIGHT_MAX, &count),
                WEIR_OK);
        }
    }
    assert_true(synced > 0);
    assert_int_equal(weir_log_poll(fixture.log, 0, done, 1, &count), WEIR_OK);
    assert_int_equal(atomic_load(&trim->whole_index), 2);
}

/* A log that was turned over, closed. */
static void
make_recycled(void)
{
    assert_int_equal(open_recycling(), WEIR_OK);
    assert_int_equal(write_batches(100), WEIR_OK);
    close_recycling();
}

static const char *
log_path(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", fixture.directory, name);
    return path;
}

static void
flip(const char *path, uint64_t at)
{
    uint8_t byte;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 16;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static void
test_recycled_bytes_do_not_check_out_at_their_new_place(void **state)
{
    (void)state;
    assert_int_equal(open_recycling(), WEIR_OK);
    assert_int_equal(write_batches(100), WEIR_OK);
    uint64_t end = weir_log_end(fixture.log), stale = 0;
    /* the segment that is written was another one before */
    assert_int_not_equal(end % SEGMENT, 0);
    int fd = open(segment_path(end / SEGMENT), O_RDONLY);
    assert_true(fd >= 0);
    for (uint64_t offset = end; offset % SEGMENT != 0; offset += PAGE) {
        struct weir_frame_header header;
        assert_int_equal(pread(fd, &header, sizeof header, (off_t)(offset % SEGMENT)),
            sizeof header);
        assert_int_not_equal(weir_frame_check_header(&header, 0, offset), WEIR_OK);
        stale += weir_frame_check_header(&header, 0, header.offset) == WEIR_OK;
    }
    close(fd);
    assert_true(stale > 0);
    struct weir_frame_header last;
    fd = open(segment_path((end - PAGE) / SEGMENT), O_RDONLY);
    assert_int_equal(pread(fd, &last, sizeof last,
                         (off_t)(model.batches[100].offset % SEGMENT)), sizeof last);
    close(fd);
    assert_true(last.segment_epoch > 1);
    assert_true(last.segment_epoch <= 1 + weir_log_first(fixture.log) / SEGMENT);
    close_recycling();
    /* nor do they pass for a torn tail; a frame that does not count still does */
    assert_int_equal(open_recycling(), WEIR_OK);
    assert_int_equal(fixture.recovery.bytes_torn, 0);
    assert_int_equal(write_batches(102), WEIR_OK);
    end = model.batches[102].offset;
    weir_io_set_fault(fixture.io, log_fault, NULL);
    crash.at = 0; /* the epoch file stays as it is */
    close_recycling();
    weir_io_set_fault(fixture.io, NULL, NULL);
    flip(segment_path(end / SEGMENT), end % SEGMENT + PAGE);
    assert_int_equal(open_recycling(), WEIR_OK);
    assert_int_equal(fixture.recovery.frames_corrupt, 0);
    assert_int_equal(fixture.recovery.end_offset, end);
    assert_true(fixture.recovery.bytes_torn > PAGE);
}

static void
test_damaged_chunk_of_definitions_costs_its_numbers_alone(void **state)
{
    (void)state;
    make_recycled();
    uint64_t place = 0;
    struct stat status;
    assert_int_equal(stat(log_path("definitions"), &status), 0);
    assert_true(status.st_size >= 3 * PAGE);
    for (; place < (uint64_t)status.st_size; place += PAGE) {
        struct weir_definitions_chunk header;
        int fd = open(log_path("definitions"), O_RDONLY);
        assert_int_equal(pread(fd, &header, sizeof header, (off_t)place), sizeof header);
        close(fd);
        const uint64_t places[] = {place, place + 8, place + sizeof header + 5};
        for (size_t i = 0; i < 3; i++) {
            flip(log_path("definitions"), places[i]);
            assert_int_equal(open_recycling(), WEIR_OK);
            assert_int_equal(fixture.defined, model.defined);
            assert_int_equal(fixture.lost, header.count);
            assert_int_equal(fixture.recovery.definitions_lost, header.count);
            close_recycling();
            flip(log_path("definitions"), places[i]);
        }
    }
    assert_int_equal(open_recycling(), WEIR_OK);
    check_recovered();
}

static void
test_log_whose_beginning_is_lost_is_refused_by_name(void **state)
{
    (void)state;
    make_recycled();
    struct stat status;
    static const char *const copies[] = {WEIR_LOG_CHECKPOINT_0, WEIR_LOG_CHECKPOINT_1};
    assert_int_equal(stat(log_path(copies[0]), &status), 0);
    for (uint64_t at = 0; at < (uint64_t)status.st_size; at++) {
        flip(log_path(copies[0]), at);
        flip(log_path(copies[1]), status.st_size - 1 - at);
        refused_with(WEIR_CORRUPT, "checkpoint");
        flip(log_path(copies[0]), at);
        flip(log_path(copies[1]), status.st_size - 1 - at);
    }
    char away[1024], also[1024];
    snprintf(away, sizeof away, "%s/away", temp_dir);
    snprintf(also, sizeof also, "%s/also", temp_dir);
    assert_int_equal(rename(log_path(copies[0]), away), 0);
    assert_int_equal(rename(log_path(copies[1]), also), 0);
    refused_with(WEIR_CORRUPT, "checkpoint");
    assert_int_equal(rename(away, log_path(copies[0])), 0);
    assert_int_equal(rename(also, log_path(copies[1])), 0);
    assert_int_equal(rename(log_path("definitions"), away), 0);
    refused_with(WEIR_CORRUPT, "definitions");
    assert_int_equal(rename(away, log_path("definitions")), 0);
    assert_int_equal(stat(log_path("definitions"), &status), 0);
    assert_int_equal(truncate(log_path("definitions"), status.st_size - PAGE), 0);
    refused_with(WEIR_CORRUPT, "definitions");
}

static void
trim_through(uint64_t index)
{
    while (weir_log_first(fixture.log) <= index * SEGMENT) {
        struct weir_checkpoint checkpoint;
        assert_int_equal(write_batches(model.count + 1), WEIR_OK);
        if (weir_log_first(fixture.log) == 0)
            continue;
        assert_int_equal(
            weir_checkpoint_read(fixture.io, fixture.directory, 0, &checkpoint, NULL), WEIR_OK);
        assert_int_not_equal(checkpoint.dataplane_epoch, 0); /* nor behind damage alone */
    }
}

/* Any byte of either, or the whole file. */
static void
test_damage_to_one_copy_of_the_checkpoint_costs_nothing(void **state)
{
    (void)state;
    struct weir_io_table table = quick_table();
    use_checkpointer_table(&table);
    make_recycled();
    static const char *const copies[] = {WEIR_LOG_CHECKPOINT_0, WEIR_LOG_CHECKPOINT_1};
    struct stat status;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(stat(log_path(copies[i]), &status), 0);
        for (uint64_t at = 0; at < (uint64_t)status.st_size; at += 61) {
            flip(log_path(copies[i]), at);
            assert_int_equal(open_recycling(), WEIR_OK);
            check_recovered();
            close_recycling();
            flip(log_path(copies[i]), at);
        }
        assert_int_equal(unlink(log_path(copies[i])), 0);
        assert_int_equal(open_recycling(), WEIR_OK);
        check_recovered();
        trim_through(weir_log_first(fixture.log) / SEGMENT + 2); /* both are there again */
        close_recycling();
    }
}

static void
test_segments_behind_the_checkpoint_that_are_all_gone_are_missed(void **state)
{
    (void)state;
    make_recycled();
    for (uint64_t i = 0; i < BATCHES_MAX; i++)
        unlink(segment_path(i));
    refused_with(WEIR_CORRUPT, "begins at segment");
}

static void
test_trimmed_file_that_was_cut_is_not_recycled(void **state)
{
    (void)state;
    make_recycled();
    uint64_t oldest = 0;
    struct stat status;
    while (stat(segment_path(oldest), &status) != 0)
        oldest++;
    /* two files before the first are left over, one of them cut */
    assert_true(oldest > 2);
    int fd = open(segment_path(oldest - 1), O_CREAT | O_WRONLY, 0600);
    assert_int_equal(ftruncate(fd, SEGMENT), 0);
    close(fd);
    fd = open(segment_path(oldest - 2), O_CREAT | O_WRONLY, 0600);
    assert_int_equal(ftruncate(fd, SEGMENT / 2), 0);
    close(fd);
    assert_int_equal(open_recycling(), WEIR_OK);
    check_recovered();
    assert_int_equal(write_batches(200), WEIR_OK);
    close_recycling();
    assert_int_equal(open_recycling(), WEIR_OK);
    assert_int_equal(files_there(), CAPACITY + 1); /* a log does not shrink */
    uint64_t first = check_recovered();
    close_recycling();
    check_reader(first);
}

/* The log's machine stops for good at the n-th operation of a name; the names are counted. */
static struct {
    const char *operation;
    uint64_t left;
    bool stopped;
    uint64_t lists;
    const char *no_room; /* operation that a new segment fails at */
} halt;

static int
halt_fault(void *context, const char *operation, uint64_t offset, size_t size)
{
    (void)context, (void)offset;
    if (halt.no_room != NULL && strcmp(operation, halt.no_room) == 0 && size == SEGMENT)
        return -ENOSPC;
    halt.lists += strcmp(operation, "list") == 0;
    if (halt.operation != NULL && !halt.stopped && strcmp(operation, halt.operation) == 0)
        halt.stopped = --halt.left == 0;
    return halt.stopped ? -EIO : 0;
}

static uint64_t
oldest_file(void)
{
    uint64_t index = 0;
    struct stat status;
    while (stat(segment_path(index), &status) != 0)
        assert_true(++index < BATCHES_MAX);
    return index;
}

/* A segment's bytes, or the first half of them, under a trimmed name. */
static void
leave_trimmed(uint64_t index, uint64_t size)
{
    static uint8_t bytes[SEGMENT];
    int fd = open(segment_path(oldest_file()), O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, bytes, SEGMENT, 0), SEGMENT);
    close(fd);
    fd = open(segment_path(index), O_CREAT | O_EXCL | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, 0), (ssize_t)size);
    close(fd);
}

static void
test_stop_while_a_cut_trimmed_file_is_removed_leaves_a_log_that_opens(void **state)
{
    (void)state;
    static const struct {
        const char *operation;
        uint64_t nth;
    } stops[] = {{"unlink", 1}, {"rename", 1}, {"rename", 2}, {"list", 1}, {"size", 1}};
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        begin_anew();
        make_recycled();
        leave_trimmed(oldest_file() - 1, SEGMENT / 2);
        assert_int_equal(open_recycling(), WEIR_OK);
        memset(&halt, 0, sizeof halt);
        halt.operation = stops[i].operation;
        halt.left = stops[i].nth;
        weir_io_set_fault(fixture.io, halt_fault, NULL);
        assert_int_not_equal(write_batches(160), WEIR_OK);
        assert_true(halt.stopped);
        close_recycling();
        weir_io_set_fault(fixture.io, NULL, NULL);
        assert_int_equal(open_recycling(), WEIR_OK);
        check_recovered();
        assert_int_equal(write_batches(model.count + 30), WEIR_OK);
        close_recycling();
    }
}

/* As a last file that was renamed before its size was looked at. */
static void
test_short_last_file_with_frames_of_another_place_was_never_used(void **state)
{
    (void)state;
    assert_int_equal(open_recycling(), WEIR_OK);
    assert_int_equal(write_batches(100), WEIR_OK);
    uint64_t end = weir_log_end(fixture.log);
    close_recycling();
    uint64_t next = (end + SEGMENT - 1) / SEGMENT;
    unlink(segment_path(next));
    leave_trimmed(next, SEGMENT / 2);
    assert_int_equal(open_recycling(), WEIR_OK);
    assert_int_equal(fixture.recovery.end_offset, end);
    check_recovered();
}

static void
test_trimmed_files_are_taken_where_there_is_no_room_for_new_ones(void **state)
{
    (void)state;
    static const char *const operations[] = {"allocate", "write"}; /* of the zeros */
    for (size_t i = 0; i < 2; i++) {
        begin_anew();
        fixture.options.size_max = CAPACITY * SEGMENT;
        make_recycled();
        uint64_t oldest = oldest_file();
        for (uint64_t n = 1; n <= 3; n++)
            leave_trimmed(oldest - n, SEGMENT);
        uint64_t files = files_there();
        fixture.options.size_max = 16 * SEGMENT;
        assert_int_equal(open_recycling(), WEIR_OK);
        uint64_t end = weir_log_end(fixture.log);
        memset(&halt, 0, sizeof halt);
        halt.no_room = operations[i];
        weir_io_set_fault(fixture.io, halt_fault, NULL);
        while (weir_log_end(fixture.log) < end + 2 * SEGMENT) {
            enum weir_err err = write_batches(model.count + 1);
            if (err == WEIR_FULL) /* while it waits to try again */
                model.defined -= model.batches[model.count + 1].definitions;
            assert_true(err == WEIR_OK || (err == WEIR_FULL && i == 1));
        }
        assert_int_equal(files_there(), files);
        halt.no_room = NULL;
        while (weir_log_end(fixture.log) < end + 20 * SEGMENT)
            assert_int_equal(write_batches(model.count + 1), WEIR_OK);
        assert_int_equal(files_there(), 16);
        close_recycling();
    }
}

/* A stray file far below, and one that somebody removes. */
static void
test_trimmed_files_that_are_not_there_cost_one_list_and_are_made_up_for(void **state)
{
    (void)state;
    fixture.options.size_max = 16 * SEGMENT;
    assert_int_equal(open_recycling(), WEIR_OK);
    while (weir_log_first(fixture.log) < 20 * SEGMENT)
        assert_int_equal(write_batches(model.count + 1), WEIR_OK);
    close_recycling();
    assert_int_equal(files_there(), 16);
    uint64_t oldest = oldest_file();
    assert_true(oldest > 10);
    leave_trimmed(0, SEGMENT);
    leave_trimmed(5, SEGMENT);
    leave_trimmed(6, SEGMENT);
    assert_int_equal(open_recycling(), WEIR_OK);
    uint64_t end = weir_log_end(fixture.log);
    memset(&halt, 0, sizeof halt);
    weir_io_set_fault(fixture.io, halt_fault, NULL);
    unlink(segment_path(5));
    while (weir_log_end(fixture.log) < end + 6 * SEGMENT)
        assert_int_equal(write_batches(model.count + 1), WEIR_OK);
    assert_true(halt.lists >= 1 && halt.lists <= 2);
    assert_int_equal(files_there(), 18);
    /* now one less than size_max holds */
    oldest = oldest_file();
    for (uint64_t i = 0; i < 3; i++)
        unlink(segment_path(oldest + i));
    while (weir_log_end(fixture.log) < end + 20 * SEGMENT)
        assert_int_equal(write_batches(model.count + 1), WEIR_OK);
    assert_int_equal(files_there(), 16);
}

static struct weir_frame_header
header_of(uint64_t offset)
{
    struct weir_frame_header header;
    int fd = open(segment_path(offset / SEGMENT), O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &header, sizeof header, (off_t)(offset % SEGMENT)), sizeof header);
    close(fd);
    return header;
}

static uint64_t
last_header(uint64_t index)
{
    uint64_t offset = index * SEGMENT;
    for (;;) {
        uint64_t bytes = header_of(offset).bytes;
        if (offset + bytes == (index + 1) * SEGMENT)
            return offset;
        offset += bytes;
    }
}

static uint64_t
counted(enum weir_counter counter)
{
    return fixture.counts.counter[counter];
}

/* Batches of [from, until) in offsets. */
static uint64_t
batches_in(uint64_t from, uint64_t until, uint64_t *samples, uint64_t *definitions)
{
    uint64_t batches = 0;
    *samples = *definitions = 0;
    for (uint64_t n = 1; n <= model.count; n++) {
        if (model.batches[n].offset < from || model.batches[n].offset >= until)
            continue;
        *samples += model.batches[n].samples;
        *definitions += model.batches[n].definitions;
        batches++;
    }
    return batches;
}

/* Four kinds of damage to a log of 16 segments, which trims one at a time; each met by a
 * checkpoint alone, or found at a start before. */
static void
test_damage_met_by_a_checkpoint_is_counted_once_and_costs_no_other_frame(void **state)
{
    (void)state;
    enum { HEADERS, ENDS, BODY, FILE_LOST, KINDS };
    for (int kind = 0; kind < 2 * KINDS; kind++) {
        begin_anew();
        fixture.counts = (struct weir_counts){0};
        fixture.options.size_max = 16 * SEGMENT;
        assert_int_equal(open_recycling(), WEIR_OK);
        while (weir_log_end(fixture.log) < 8 * SEGMENT)
            assert_int_equal(write_batches(model.count + 1), WEIR_OK);
        uint64_t damaged[2] = {0}, ends[2] = {0}, frames_corrupt = 1;
        uint64_t n = 1; /* with definitions, the first of no segment */
        while (model.batches[n].offset < 3 * SEGMENT || model.batches[n].definitions == 0 ||
            model.batches[n].offset % SEGMENT == 0)
            n++;
        uint64_t offset = model.batches[n].offset;
        if (kind % KINDS == HEADERS) {
            flip(segment_path(offset / SEGMENT), offset % SEGMENT + 30);
            damaged[0] = offset;
            ends[0] = offset + PAGE;
        } else if (kind % KINDS == ENDS) { /* across two checkpoints */
            damaged[0] = last_header(3);
            ends[0] = damaged[0] + PAGE;
            damaged[1] = 4 * SEGMENT;
            ends[1] = damaged[1] + PAGE;
            flip(segment_path(3), damaged[0] % SEGMENT + 30);
            flip(segment_path(4), 30);
        } else if (kind % KINDS == BODY) {
            struct weir_frame_header header = header_of(offset);
            flip(segment_path(offset / SEGMENT), offset % SEGMENT + sizeof header +
                header.block_count * sizeof(struct weir_frame_block) + header.state_bytes + 8);
            frames_corrupt = 0;
        } else {
            damaged[0] = 3 * SEGMENT;
            ends[0] = 4 * SEGMENT;
            assert_int_equal(truncate(segment_path(3), 0), 0);
        }
        uint64_t samples = 0, definitions = 0;
        for (int i = 0; i < 2; i++) {
            uint64_t some_samples, some_definitions;
            batches_in(damaged[i], ends[i], &some_samples, &some_definitions);
            samples += some_samples;
            definitions += some_definitions;
        }
        if (kind % KINDS == BODY)
            definitions = model.batches[n].definitions;
        if (kind >= KINDS) {
            close_recycling();
            assert_int_equal(open_recycling(), WEIR_OK);
            assert_int_equal(counted(WEIR_COUNTER_log_frames_corrupt), frames_corrupt);
            assert_int_equal(counted(WEIR_COUNTER_definitions_lost), definitions);
        }
        trim_through(9);
        assert_int_equal(counted(WEIR_COUNTER_log_frames_corrupt), frames_corrupt);
        assert_int_equal(counted(WEIR_COUNTER_definitions_lost), definitions);
        uint64_t trimmed, ignored;
        batches_in(0, weir_log_first(fixture.log), &trimmed, &ignored);
        assert_int_equal(weir_log_samples_recycled(fixture.log), trimmed - samples);
        /* lost names stay lost, frames are gone with their segments */
        close_recycling();
        assert_int_equal(open_recycling(), WEIR_OK);
        assert_int_equal(fixture.recovery.frames_corrupt, 0);
        assert_int_equal(fixture.recovery.definitions_lost, definitions);
        assert_int_equal(fixture.recovery.definitions, model.defined - definitions);
        assert_int_equal(fixture.lost, definitions);
        trim_through(20);
        assert_int_equal(counted(WEIR_COUNTER_log_frames_corrupt), 0);
        assert_int_equal(counted(WEIR_COUNTER_definitions_lost), definitions);
    }
}

/* A seal is one page: behind it frames of a run that was cut off stay, and show where it is
 * damaged. */
static void
test_frames_of_a_run_that_was_cut_off_are_not_trimmed_as_durable(void **state)
{
    (void)state;
    fixture.options.size_max = 16 * SEGMENT;
    assert_int_equal(open_recycling(), WEIR_OK);
    fill_batch(0, 2500, 0, 0);
    uint64_t bound = weir_frame_bound(&batch), left;
    do {
        assert_int_equal(write_batches(model.count + 1), WEIR_OK);
        left = SEGMENT - weir_log_end(fixture.log) % SEGMENT;
    } while (model.count % 3 != 2 || left >= bound || left < 4 * PAGE);
    uint64_t end = weir_log_end(fixture.log);
    for (int i = 0; i < 2; i++) {
        fill_batch(0, 5, 0, 0);
        append();
    }
    make_durable();
    assert_int_equal(weir_log_end(fixture.log), end + 2 * PAGE);
    restart_machine(0);
    close_recycling();
    restart_machine(NEVER);
    flip(segment_path(end / SEGMENT), end % SEGMENT + sizeof(struct weir_frame_header) + 8);
    assert_int_equal(open_recycling(), WEIR_OK);
    assert_int_equal(fixture.recovery.end_offset, end);
    assert_int_equal(write_batches(model.count + 1), WEIR_OK);
    assert_int_equal(header_of(end).bytes, left);
    assert_int_equal(header_of(end + PAGE).sample_count, 5);
    flip(segment_path(end / SEGMENT), end % SEGMENT + 30);
    trim_through(end / SEGMENT);
    uint64_t samples, definitions;
    batches_in(0, weir_log_first(fixture.log), &samples, &definitions);
    assert_int_equal(weir_log_samples_recycled(fixture.log), samples);
    assert_int_equal(counted(WEIR_COUNTER_log_frames_corrupt), 1);
}

/* What the checkpointer reads comes with a flipped bit, the first time. */
static struct {
    uint64_t offset;
    uint64_t left;
} flipped;

static int64_t
read_flipped(struct weir_io *io, weir_io_file file, void *data, size_t size, uint64_t offset)
{
    int64_t got = weir_io_posix_pread(io, file, data, size, offset);
    if (got == (int64_t)size && flipped.left != 0 && flipped.offset >= offset &&
        flipped.offset < offset + size && size >= PAGE) { /* of a segment */
        ((uint8_t *)data)[flipped.offset - offset] ^= 16;
        flipped.left--;
    }
    return got;
}

static void
test_frame_that_reads_well_a_second_time_keeps_its_names(void **state)
{
    (void)state;
    for (int in_body = 0; in_body < 2; in_body++) {
        begin_anew();
        fixture.counts = (struct weir_counts){0};
        struct weir_io_table table = quick_table();
        table.pread = read_flipped;
        use_checkpointer_table(&table);
        assert_int_equal(open_recycling(), WEIR_OK);
        assert_int_equal(write_batches(4), WEIR_OK);
        struct weir_frame_header header = header_of(model.batches[1].offset);
        assert_true(header.definition_count != 0);
        /* the window comes first: the front of the frame then, on its own */
        flipped.left = in_body ? 2 : 1;
        flipped.offset = in_body ? sizeof header +
                header.block_count * sizeof(struct weir_frame_block) + header.state_bytes + 8 : 30;
        trim_through(2);
        assert_int_equal(flipped.left, 0);
        assert_int_equal(counted(WEIR_COUNTER_log_frames_corrupt), 0);
        assert_int_equal(counted(WEIR_COUNTER_definitions_lost), 0);
        close_recycling();
        assert_int_equal(open_recycling(), WEIR_OK);
        check_recovered();
    }
}

static void
put_bytes_behind(uint64_t n)
{
    if (n % 4 != 0)
        return;
    memset(batch.sender_state + batch.state_bytes, 0xff, sizeof(struct weir_state_entry));
    batch.state_bytes += sizeof(struct weir_state_entry);
}

static void
test_state_entries_before_damage_in_their_list_are_folded(void **state)
{
    (void)state;
    twist_sender_state = put_bytes_behind;
    assert_int_equal(open_recycling(), WEIR_OK);
    assert_int_equal(write_batches(100), WEIR_OK);
    assert_true(weir_log_first(fixture.log) > CAPACITY * SEGMENT);
    close_recycling();
    assert_int_equal(open_recycling(), WEIR_OK);
    check_recovered();
}

static struct weir_state_range *
last_run(void)
{
    return (struct weir_state_range *)(batch.sender_state + batch.state_bytes) - 1;
}

static void
name_later_series(uint64_t n)
{
    if (n % 3 == 0)
        last_run()->number = model.defined + 5;
}

/* As at a replay, which has no such series at that place. */
static void
test_numbers_that_are_not_yet_defined_are_not_folded(void **state)
{
    (void)state;
    assert_int_equal(open_recycling(), WEIR_OK);
    twist_sender_state = name_later_series;
    assert_int_equal(write_batches(3), WEIR_OK);
    twist_sender_state = NULL;
    /* no other template until it is trimmed */
    for (uint64_t n = 4; weir_log_first(fixture.log) == 0; n++) {
        fill_batch(n, 2500, model.defined, 3);
        model.defined += 3;
        append();
        (void)round_of_both();
    }
    make_durable();
    close_recycling();
    assert_int_equal(open_recycling(), WEIR_OK);
    assert_int_equal(senders.sequence[3], 3);
    assert_int_equal(senders.series[3], 0);
}

/* The region of a running instance, without frames in its ring: readers take all from files. */
static struct weir_shared *shared;
static int shared_fd;

static void
publish(void)
{
    atomic_store(&shared->log_first_offset, weir_log_first(fixture.log));
    atomic_store(&shared->durable_offset, weir_log_durable(fixture.log));
    atomic_store(&shared->epoch, fixture.recovery.dataplane_epoch);
}

static struct weir_reader *
open_live_reader(void)
{
    struct weir_reader *reader;
    assert_int_equal(weir_shared_new(weir_frame_ring_bytes_min(), &shared_fd), WEIR_OK);
    assert_int_equal(weir_shared_map(shared_fd, &shared), WEIR_OK);
    assert_int_equal(weir_frame_ring_init(weir_shared_frame_ring(shared),
                         shared->frame_ring_bytes), WEIR_OK);
    publish();
    fixture.defined = fixture.lost = 0;
    struct weir_reader_options reader_options = {.directory = fixture.directory,
        .shared = shared,
        .define = check_name};
    assert_int_equal(weir_reader_open_with(&reader_options, &reader),
        WEIR_OK);
    return reader;
}

static void
close_live_reader(struct weir_reader *reader)
{
    weir_reader_close(reader);
    weir_shared_unmap(shared);
    close(shared_fd);
}

static uint64_t
first_batch(void)
{
    uint64_t first = 1;
    while (model.batches[first].offset < weir_log_first(fixture.log))
        first++;
    return first;
}

static void
test_reader_that_was_overtaken_goes_on_where_the_log_begins(void **state)
{
    (void)state;
    assert_int_equal(open_recycling(), WEIR_OK);
    assert_int_equal(write_batches(10), WEIR_OK);
    struct weir_reader *reader = open_live_reader();
    assert_int_equal(weir_reader_series_count(reader), model.defined);
    /* the first time nearly all of it, then a segment or two */
    static const uint64_t until[] = {80, 95, 97, 120, 121, 200};
    for (size_t i = 0; i < sizeof until / sizeof until[0]; i++) {
        assert_int_equal(write_batches(until[i]), WEIR_OK);
        publish();
        assert_int_equal(weir_reader_refresh(reader), WEIR_OK);
        assert_int_equal(weir_reader_series_count(reader), model.defined);
        assert_int_equal(fixture.lost, 0);
        assert_int_equal(weir_reader_blocks_corrupt(reader), 0);
        struct scan scan = {.batch = first_batch()};
        assert_int_equal(weir_reader_frames(reader), model.count + 1 - scan.batch);
        assert_int_equal(
            weir_reader_scan(reader, NULL, 0, 0, INT64_MAX, check_sample, &scan), WEIR_OK);
        assert_int_equal(scan.batch, model.count);
        assert_int_equal(scan.sample, model.batches[model.count].samples);
    }
    close_live_reader(reader);
}

static void
test_larger_log_is_trimmed_by_several_segments_at_a_time(void **state)
{
    (void)state;
    fixture.options.size_max = 32 * SEGMENT;
    assert_int_equal(open_recycling(), WEIR_OK);
    assert_int_equal(write_batches(BATCHES_MAX - 1), WEIR_OK);
    uint64_t end = weir_log_end(fixture.log), first = weir_log_first(fixture.log);
    assert_true(end > 40 * SEGMENT);
    assert_int_equal(first / SEGMENT % 2, 0); /* a sixteenth of it */
    assert_true(end - first >= 28 * SEGMENT);
    assert_int_equal(files_there(), 32);
    close_recycling();
    assert_int_equal(open_recycling(), WEIR_OK);
    uint64_t batch_first = check_recovered();
    close_recycling();
    check_reader(batch_first);
}

static void
test_checkpoint_is_asked_for_while_a_thirty_second_is_left(void **state)
{
    (void)state;
    fixture.options.size_max = 64 * SEGMENT;
    assert_int_equal(open_recycling(), WEIR_OK);
    const struct weir_trim *trim = weir_log_trim(fixture.log);
    for (uint64_t n = 0; atomic_load(&trim->first_index) == 0; n++) {
        assert_int_equal(atomic_load(&trim->wanted_index), 0);
        assert_true(weir_log_bytes(fixture.log) <= 62 * SEGMENT);
        fill_batch(n % 1000 + 1, 2500, 0, 0);
        enum weir_err err;
        while ((err = weir_log_append(fixture.log, &batch)) == WEIR_AGAIN)
            assert_int_equal(round_of_both(), WEIR_OK);
        assert_int_equal(err, WEIR_OK);
    }
    assert_int_equal(weir_log_bytes(fixture.log), 62 * SEGMENT);
    assert_int_equal(atomic_load(&trim->first_index), 4);
}

static void
test_newest_time_of_a_trimmed_frame_is_remembered(void **state)
{
    (void)state;
    assert_int_equal(open_recycling(), WEIR_OK);
    fill_batch(0, 0, 0, 0);
    weir_batch_append(&batch, weir_sample_key(0, WEIR_VALUE_DECIMAL, 0), 1000000, 1);
    append();
    make_durable();
    assert_int_equal(write_batches(100), WEIR_OK);
    assert_true(weir_log_first(fixture.log) > 0);
    close_recycling();
    assert_int_equal(open_recycling(), WEIR_OK);
    assert_int_equal(fixture.recovery.time_max_ms, 1000000);
}

/* Large frames are read block by block: what a scan has begun to read is written over. */
#define LARGE_SAMPLES 30000

static uint64_t large; /* batches written */

static void
write_large(uint64_t until)
{
    while (large < until) {
        fill_batch(++large, LARGE_SAMPLES, 0, 0);
        enum weir_err err;
        while ((err = weir_log_append(fixture.log, &batch)) == WEIR_AGAIN)
            assert_int_equal(round_of_both(), WEIR_OK);
        assert_int_equal(err, WEIR_OK);
    }
    while (weir_log_durable(fixture.log) != weir_log_end(fixture.log))
        assert_int_equal(round_of_both(), WEIR_OK);
}

static enum weir_err
check_large(void *context, size_t index, int64_t time_ms, double value)
{
    uint64_t *seen = context;
    assert_true(value == (double)(time_ms * 1000 + (int64_t)index));
    if (++*seen == 100) {
        write_large(large + 60);
        publish();
    }
    return WEIR_OK;
}

static void
test_frame_written_over_within_its_scan_is_no_damage(void **state)
{
    (void)state;
    uint64_t segment_bytes = 192 * PAGE, seen = 0;
    fixture.options.segment_bytes = segment_bytes;
    fixture.options.size_max = CAPACITY * segment_bytes;
    assert_int_equal(open_recycling(), WEIR_OK);
    large = 0;
    write_large(10);
    struct weir_reader *reader = open_live_reader();
    uint64_t frames = weir_reader_frames(reader);
    assert_int_equal(
        weir_reader_scan(reader, NULL, 0, 0, INT64_MAX, check_large, &seen), WEIR_OK);
    assert_true(seen >= 100 && seen < LARGE_SAMPLES); /* the rest of the frame was gone */
    assert_true(frames > 0);
    assert_int_equal(weir_reader_blocks_corrupt(reader), 0);
    close_live_reader(reader);
}

/* The log turns over while a scan stands at a frame. */
struct slow_scan {
    uint64_t at, seen;
    uint64_t more; /* batches written then: all that was listed is written over, or some trimmed */
    int64_t standing; /* time of the frame it stands at */
};

static enum weir_err
check_slow(void *context, size_t index, int64_t time_ms, double value)
{
    struct slow_scan *scan = context;
    assert_true(value == (double)(time_ms * 1000 + (int64_t)index)); /* of the frame it was */
    if (scan->seen >= scan->at && time_ms != scan->standing)
        assert_true(model.batches[time_ms].offset >= weir_log_first(fixture.log));
    if (++scan->seen == scan->at) {
        scan->standing = time_ms;
        assert_int_equal(write_batches(model.count + scan->more), WEIR_OK);
        publish();
    }
    return WEIR_OK;
}

static void
test_frames_recycled_under_a_scan_are_no_damage(void **state)
{
    (void)state;
    assert_int_equal(open_recycling(), WEIR_OK);
    assert_int_equal(write_batches(50), WEIR_OK);
    struct weir_reader *reader = open_live_reader();
    static const uint64_t places[] = {1, 5, 2048, 2100};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct slow_scan scan = {.at = places[i], .more = i % 2 == 0 ? 40 : 7 + i};
        assert_int_equal(weir_reader_scan(reader, NULL, 0, 0, INT64_MAX, check_slow, &scan),
            WEIR_OK);
        assert_true(scan.seen >= scan.at);
        assert_int_equal(weir_reader_blocks_corrupt(reader), 0);
        assert_int_equal(weir_reader_refresh(reader), WEIR_OK);
        assert_int_equal(weir_reader_frames(reader), model.count + 1 - first_batch());
    }
    assert_int_equal(weir_reader_blocks_corrupt(reader), 0);
    close_live_reader(reader);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_recycle_turns_over_a_log_that_keeps_its_size),
        TEST(test_recycle_survives_a_stop_at_any_operation),
        TEST(test_checkpointer_without_space_trims_nothing_and_tries_again),
        TEST(test_checkpointer_waits_longer_after_each_failure),
        TEST(test_file_that_is_gone_since_it_was_listed_stops_no_checkpoint),
        TEST(test_checkpointer_stops_for_good_after_a_device_error),
        TEST(test_recycling_log_waits_for_a_checkpoint_and_refuses_without),
        TEST(test_log_that_can_take_no_trimmed_file_for_now_is_full_and_goes_on_by_itself),
        TEST(test_checkpoint_is_given_up_where_the_instance_stops),
        TEST(test_log_too_small_to_be_recycled_is_refused_by_name),
        TEST(test_log_that_loses_what_is_not_durable_does_not_end_where_it_begins),
        TEST(test_log_that_ends_where_it_begins_opens_again_and_again),
        TEST(test_log_names_whole_only_what_is_durable),
        TEST(test_recycled_bytes_do_not_check_out_at_their_new_place),
        TEST(test_damaged_chunk_of_definitions_costs_its_numbers_alone),
        TEST(test_log_whose_beginning_is_lost_is_refused_by_name),
        TEST(test_damage_to_one_copy_of_the_checkpoint_costs_nothing),
        TEST(test_segments_behind_the_checkpoint_that_are_all_gone_are_missed),
        TEST(test_trimmed_file_that_was_cut_is_not_recycled),
        TEST(test_stop_while_a_cut_trimmed_file_is_removed_leaves_a_log_that_opens),
        TEST(test_short_last_file_with_frames_of_another_place_was_never_used),
        TEST(test_trimmed_files_are_taken_where_there_is_no_room_for_new_ones),
        TEST(test_trimmed_files_that_are_not_there_cost_one_list_and_are_made_up_for),
        TEST(test_damage_met_by_a_checkpoint_is_counted_once_and_costs_no_other_frame),
        TEST(test_frames_of_a_run_that_was_cut_off_are_not_trimmed_as_durable),
        TEST(test_frame_that_reads_well_a_second_time_keeps_its_names),
        TEST(test_state_entries_before_damage_in_their_list_are_folded),
        TEST(test_numbers_that_are_not_yet_defined_are_not_folded),
        TEST(test_reader_that_was_overtaken_goes_on_where_the_log_begins),
        TEST(test_frames_recycled_under_a_scan_are_no_damage),
        TEST(test_larger_log_is_trimmed_by_several_segments_at_a_time),
        TEST(test_checkpoint_is_asked_for_while_a_thirty_second_is_left),
        TEST(test_newest_time_of_a_trimmed_frame_is_remembered),
        TEST(test_frame_written_over_within_its_scan_is_no_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
