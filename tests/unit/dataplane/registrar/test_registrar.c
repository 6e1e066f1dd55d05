/* The registrar between a worker and a log writer that the test plays, with a protocol of its own:
 * a line is words, each a sample of the series of that name. A line that begins with '#' has no
 * record, one that begins with '-' loses its last word. "!" is a word whose labels are refused; a
 * word that begins with 'L' is a series with 8,000 bytes of labels. */
#include "base/clock.h"
#include "dataplane/protocol/protocol.h"
#include "dataplane/protocol/weir/definition.h"
#include "dataplane/protocol/weir/record.h"
#include "dataplane/registrar/registrar.h"
#include "dataplane/series/series.h"
#include "model/labels.h"
#include "model/shared.h"
#include "tests/unit/dataplane/stages_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SERIES_MAX 1000
#define LONG_LABEL 8000
#define LONG_AGO INT64_MAX / 4
#define DEFERRALS 4

static size_t
words_parse(const struct weir_parse_context *context, struct weir_packet *packet, size_t at,
    struct weir_parsed *out)
{
    (void)context;
    assert_true(packet->final && at == 0);
    if (packet->size == 0 || packet->data[0] == '#')
        return packet->size;
    struct weir_record *record = &out->records[out->record_count++];
    *record = (struct weir_record){.text = packet->data,
        .size = packet->size,
        .reason = WEIR_REASON_NONE};
    for (uint32_t i = 0; i < packet->size; i++) {
        if (packet->data[i] == ' ' || (i > 0 && packet->data[i - 1] != ' '))
            continue;
        struct weir_point *point = &out->points[out->point_count++];
        *point = (struct weir_point){.time_ms = packet->receive_ms,
            .value = record->point_count,
            .field = (uint16_t)record->point_count};
        record->point_count++;
    }
    if (packet->data[0] == '-')
        record->point_count--;
    return packet->size;
}

static enum weir_err
words_begin(struct weir_line_labels *line, const uint8_t *text, size_t size)
{
    line->text = text;
    line->size = size;
    return WEIR_OK;
}

static enum weir_err
words_labels(struct weir_line_labels *line, unsigned field, struct weir_label **labels,
    size_t *count)
{
    const uint8_t *text = line->text;
    size_t size = line->size;
    uint8_t *value = line->room;
    size_t at = 0;
    for (unsigned skipped = 0; skipped < field; skipped++)
        at = (size_t)((const uint8_t *)memchr(text + at, ' ', size - at) - text) + 1;
    const uint8_t *end = memchr(text + at, ' ', size - at);
    size_t word = (end != NULL ? (size_t)(end - text) : size) - at;
    if (text[at] == '!')
        return weir_fail(WEIR_INVALID, 0, "refused");
    if (text[at] == 'L')
        memset(value, '.', LONG_LABEL);
    memcpy(value, text + at, word);
    line->list[0] = (struct weir_label){(const uint8_t *)WEIR_NAME_LABEL, value, 8,
        (uint16_t)(text[at] == 'L' ? LONG_LABEL : word)};
    *labels = line->list;
    *count = 1;
    return WEIR_OK;
}

const struct weir_protocol weir_protocols[WEIR_PROTO_COUNT] = {
    {.name = "words", .parse = words_parse, .labels_begin = words_begin, .labels = words_labels},
    {.name = "words", .parse = words_parse, .labels_begin = words_begin, .labels = words_labels}};

static struct {
    struct weir_counts worker; /* what the played worker says of itself */
    struct weir_registrar_options options;
    struct weir_registrar *registrar;
    struct weir_deferral *deferral; /* being filled */
    uint64_t deferral_number;
    struct weir_peer peer; /* who sends the next lines */
    struct weir_prefix trusted;
    void *shares[2];
    uint32_t text_size; /* of lines to come; 0: large */
} t;

static int
setup(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    stages_begin(SERIES_MAX, SERIES_MAX * (LONG_LABEL + 12), DEFERRALS);
    t.options = (struct weir_registrar_options){
        .series = stages.series,
        .key = &stages.key,
        .progress = &stages.progress,
        .ledger = stages.ledger,
        .counts = &stages.counts,
        .degraded = &stages.degraded,
        .batches = stages.batches,
        .empties = stages.empties,
        .workers = {{stages.deferrals, stages.completed, WEIR_EDGE_WORKER_REGISTRAR(0)}},
        .worker_count = 1,
        .flush_interval_ns = LONG_AGO,
        .ack_interval_ns = LONG_AGO,
        .more_deferrals_ns = WEIR_REGISTRAR_MORE_DEFERRALS_NS,
        .parsed = stages.parsed};
    assert_int_equal(weir_registrar_new(&t.options, &t.registrar), WEIR_OK);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    weir_registrar_free(t.registrar);
    free(t.shares[0]);
    free(t.shares[1]);
    stages_end();
    return 0;
}

/* The worker: puts a line of so many samples into the open deferral. */
static void
line_of(uint32_t source, const void *text, size_t size, unsigned samples, bool resolved)
{
    if (t.deferral == NULL) {
        t.deferral = weir_ring_pop(stages.completed);
        assert_non_null(t.deferral);
        t.deferral->number = ++t.deferral_number;
        t.deferral->opened_tsc = 1000 * t.deferral_number;
        t.deferral->ack_waiting = false;
        t.deferral->peer_count = 0;
    }
    assert_true(weir_deferred_line_bytes(size) <= WEIR_DEFERRAL_BYTES - t.deferral->used);
    t.deferral->peers[t.deferral->peer_count++] = t.peer;
    const struct weir_deferred_line header = {.size = (uint32_t)size,
        .source = source,
        .samples = (uint16_t)samples,
        .resolved = resolved,
        .peer = (uint16_t)(t.deferral->peer_count - 1),
        .receive_ms = 1234,
        .text_size = t.text_size != 0 ? t.text_size : 200000};
    memcpy(t.deferral->lines + t.deferral->used, &header, sizeof header);
    memcpy(t.deferral->lines + t.deferral->used + sizeof header, text, size);
    t.deferral->used += (uint32_t)weir_deferred_line_bytes(size);
    t.deferral->records++;
    t.deferral->samples += samples;
}

static void
line(uint32_t source, const char *text, unsigned samples)
{
    line_of(source, text, strlen(text), samples, false);
}

/* A list of points: of each word a series, or where it is a digit the number that is known; "!" is
 * a series whose labels the worker refused. */
static size_t
put_list(uint8_t *list, const char *text, unsigned *count)
{
    size_t used = 0;
    *count = 0;
    for (const char *word = text; *word != '\0'; ++*count) {
        size_t size = strcspn(word, " "), labels_size = 0;
        struct weir_deferred_point *point = (void *)(list + used);
        *point = (struct weir_deferred_point){.number = WEIR_SERIES_UNKNOWN,
            .time_ms = 77,
            .value = *count,
            .index = *count};
        if (word[0] >= '0' && word[0] <= '9') {
            point->number = (uint64_t)(word[0] - '0');
        } else if (word[0] != '!') {
            struct weir_label label = {(const uint8_t *)WEIR_NAME_LABEL, (const uint8_t *)word, 8,
                (uint16_t)size};
            static uint8_t labels[WEIR_LABELS_BYTES_MAX];
            assert_int_equal(weir_labels_encode(&label, 1, labels, &labels_size), WEIR_OK);
            memcpy(point + 1, labels, labels_size);
            point->fingerprint = weir_series_fingerprint(t.options.series, labels, labels_size);
        }
        point->labels_size = (uint16_t)labels_size;
        used += weir_deferred_point_bytes(labels_size);
        word += size + (word[size] == ' ');
    }
    return used;
}

/* ... or its points. */
static void
resolved_line(uint32_t source, const char *text)
{
    alignas(8) static uint8_t list[4096];
    unsigned samples;
    size_t used = put_list(list, text, &samples);
    line_of(source, list, used, samples, true);
}

/* A definition of so many series, of which these are unknown. */
static void
definition(uint32_t source, const char *text, uint16_t defines)
{
    alignas(8) static uint8_t line[4096];
    struct weir_definition_text head = {.sender = 1};
    unsigned count;
    size_t used = sizeof head + sizeof(struct weir_wire_record);
    used += put_list(line + used, text, &count);
    head.list_count = (uint16_t)count;
    memcpy(line, &head, sizeof head);
    line_of(source, line, used, 0, true);
    uint8_t *header = t.deferral->lines + t.deferral->used - weir_deferred_line_bytes(used);
    memcpy(header + offsetof(struct weir_deferred_line, defines), &defines, sizeof defines);
}

/* ... and hands the deferral over, as so many packets. */
static void
send_deferral(uint32_t packets)
{
    struct weir_deferral *deferral = t.deferral;
    uint32_t edge = WEIR_EDGE_WORKER_REGISTRAR(0);
    t.deferral = NULL;
    deferral->packets = packets;
    t.worker.unit[WEIR_UNIT_PACKETS].received += packets;
    t.worker.unit[WEIR_UNIT_RECORDS].received += deferral->records;
    t.worker.unit[WEIR_UNIT_SAMPLES].received += deferral->samples;
    t.worker.pushed[edge] = deferral->number;
    weir_edge_put(&stages.ledger->edges[edge], deferral->number, packets, deferral->records,
        deferral->samples);
    weir_ledger_publish(&stages.ledger->blocks[WEIR_BLOCK_WORKER], &t.worker);
    assert_true(weir_ring_push(stages.deferrals, deferral));
}

/* The writer: takes the next batch and counts it as stored. */
static struct weir_batch *
pop_batch(void)
{
    struct weir_batch *batch = weir_ring_pop(stages.batches);
    if (batch == NULL)
        return NULL;
    stages.writer.popped[WEIR_EDGE_REGISTRAR_WRITER] = batch->number;
    stages.writer.unit[WEIR_UNIT_PACKETS].stored += batch->packets;
    stages.writer.unit[WEIR_UNIT_RECORDS].stored += batch->records;
    stages.writer.unit[WEIR_UNIT_SAMPLES].stored += batch->count;
    weir_ledger_publish(&stages.ledger->blocks[WEIR_BLOCK_WRITER], &stages.writer);
    closed();
    return batch;
}

/* The worker's look at what came back. */
static struct weir_deferral *
pop_completed(void)
{
    struct weir_deferral *deferral = NULL;
    for (int i = 0; i < DEFERRALS; i++) { /* the one with completions, the others as they were */
        struct weir_deferral *back = weir_ring_pop(stages.completed);
        if (back == NULL)
            break;
        if (back->completion_count > 0)
            deferral = back;
        assert_true(weir_ring_push(stages.completed, back));
    }
    return deferral;
}

static void
expect_completion(const struct weir_deferral *deferral, uint32_t i, uint32_t source,
    uint32_t accepted, uint32_t refused, uint64_t batch)
{
    assert_in_range(i, 0, deferral->completion_count - 1);
    assert_int_equal(deferral->completions[i].source, source);
    assert_int_equal(deferral->completions[i].accepted, accepted);
    assert_int_equal(deferral->completions[i].rejected, refused);
    assert_int_equal(deferral->completions[i].batch, batch);
}

static void
test_registrar_logs_the_definition_with_the_first_sample(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    line(0, "a b a", 3);
    line(0, "c b", 2);
    send_deferral(2);
    closed();
    assert_int_equal(weir_registrar_run_once(t.registrar), 2);
    closed();
    assert_int_equal(stages.sum->in_flight[WEIR_UNIT_SAMPLES], 5);
    assert_int_equal(stages.sum->in_flight[WEIR_UNIT_PACKETS], 2);
    assert_null(pop_batch());
    assert_false(weir_registrar_idle(t.registrar));
    assert_true(weir_registrar_flush(t.registrar));
    closed();
    struct weir_batch *batch = pop_batch();
    assert_non_null(batch);
    assert_int_equal(batch->number, 1);
    assert_int_equal(batch->producer, WEIR_PRODUCER_REGISTRAR);
    assert_int_equal(batch->opened_tsc, 1000);
    assert_int_equal(batch->packets, 2);
    assert_int_equal(batch->records, 2);
    assert_int_equal(batch->definition_first, 0);
    assert_int_equal(batch->definition_count, 3);
    assert_int_equal(batch->series_through, 3);
    assert_int_equal(batch->count, 5);
    static const uint64_t series[] = {0, 1, 0, 2, 1}, values[] = {0, 1, 2, 0, 1};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(weir_sample_series(&batch->samples[i]), series[i]);
        assert_int_equal(batch->samples[i].value, values[i]);
        assert_int_equal(batch->samples[i].time_ms, 1234);
    }
    size_t at = 0, size;
    const uint8_t *labels;
    for (int i = 0; i < 3; i++) {
        struct weir_label label;
        assert_int_equal(weir_definition_next(batch->definitions, batch->definition_bytes, &at,
                             &labels, &size), WEIR_OK);
        assert_true(weir_labels_find(labels, size, WEIR_NAME_LABEL, &label));
        assert_int_equal(label.value[0], 'a' + i);
    }
    assert_int_equal(at, batch->definition_bytes);
    assert_true(weir_registrar_idle(t.registrar));
    assert_int_equal(stages.counts.counter[WEIR_COUNTER_series_defined], 3);
}

static void
test_registrar_does_not_define_a_series_twice(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    stages_give_batch(stages.empties);
    for (uint32_t i = 0; i < 2; i++) {
        line(0, "a b", 2);
        send_deferral(1);
        weir_registrar_run_once(t.registrar);
        weir_registrar_flush(t.registrar);
        struct weir_batch *batch = pop_batch();
        assert_int_equal(batch->definition_count, i == 0 ? 2 : 0);
        assert_int_equal(batch->count, 2);
    }
}

static void
test_registrar_completes_each_run_of_a_source(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    line(7, "a", 1);
    line(7, "!", 1);
    line(7, "b", 1);
    line(0, "c", 1);
    line(9, "!", 1);
    line(7, "d", 1);
    send_deferral(3);
    assert_int_equal(weir_registrar_run_once(t.registrar), 6);
    const struct weir_deferral *deferral = pop_completed();
    assert_non_null(deferral);
    assert_int_equal(deferral->completion_count, 3);
    expect_completion(deferral, 0, 7, 2, 1, 1);
    expect_completion(deferral, 1, 9, 0, 1, 0);
    expect_completion(deferral, 2, 7, 1, 0, 1);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_bad_labels), 2);
}

static void
test_registrar_keeps_a_record_for_its_good_samples(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    line(5, "! a !", 3);
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    expect_completion(pop_completed(), 0, 5, 1, 0, 1);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_bad_labels), 2);
    weir_registrar_flush(t.registrar);
    assert_int_equal(pop_batch()->count, 1);
}

/* A sender that defines it before damage does would take the name of a lost series. */
static void
test_registrar_refuses_the_name_of_lost_definitions_by_every_way(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    line(5, WEIR_LOST_NAME " a", 2);
    resolved_line(5, WEIR_LOST_NAME);
    definition(5, WEIR_LOST_NAME " b", 2);
    line(5, WEIR_LOST_NAME "s", 1);
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    expect_completion(pop_completed(), 0, 5, 3, 1, 1);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_bad_labels), 2);
    assert_int_equal(stages.counts.counter[WEIR_COUNTER_definitions_refused], 1);
    assert_int_equal(weir_series_count(stages.series), 3);
}

static void
test_registrar_counts_what_the_worker_counted(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    line(5, "- a b", 3);  /* parses to two now */
    line(5, "# a b", 2);  /* parses to none */
    line(5, "a b c", 2);  /* parses to three */
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    expect_completion(pop_completed(), 0, 5, 2, 1, 1);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_bad_line), 3);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_bad_line), 1);
    weir_registrar_flush(t.registrar);
    struct weir_batch *batch = pop_batch();
    assert_int_equal(batch->count, 4);
    assert_int_equal(batch->records, 2);
}

static void
test_registrar_reports_once_that_the_table_is_full(void **state)
{
    (void)state;
    int ends[2];
    static char reported[65536];
    stages_give_batch(stages.empties);
    for (unsigned i = 0; i < SERIES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%u", i);
        line(0, name, 1);
    }
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    int kept = dup(STDERR_FILENO);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    line(5, "new new newer", 3);
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    line(5, "new", 1);
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    dup2(kept, STDERR_FILENO);
    ssize_t size = read(ends[0], reported, sizeof reported - 1);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_table_full), 4);
    assert_true(
        size > 0 && reported[size - 1] == '\n' && memchr(reported, '\n', (size_t)size - 1) == NULL);
    assert_non_null(strstr(reported, " event=table_full detail=\"series table full: "));
    close(kept);
    close(ends[0]);
    close(ends[1]);
}

static void
test_registrar_refuses_by_name_when_the_table_is_full(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    for (unsigned i = 0; i < SERIES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%u", i);
        line(0, name, 1);
    }
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    assert_int_equal(stages.degraded.at_ms[WEIR_DEGRADED_series_full], 0);
    line(5, "new", 1);
    line(5, "new ! new", 3);
    send_deferral(2);
    weir_registrar_run_once(t.registrar);
    assert_true(weir_degraded_by(&stages.degraded, WEIR_DEGRADED_series_full,
        weir_mono_ns() / 1000000));
    expect_completion(pop_completed(), 0, 5, 0, 2, 0);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_table_full), 3);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_table_full), 1);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_no_sample_accepted), 1);
    assert_int_equal(rejected(WEIR_UNIT_PACKETS, WEIR_REASON_nothing_accepted), 2);
    line(5, "m1 new", 2);
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    weir_registrar_flush(t.registrar);
    assert_int_equal(pop_batch()->count, SERIES_MAX + 1);
}

static void
test_registrar_defines_points_and_says_their_numbers(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    resolved_line(5, "a b");
    line(5, "b c", 2); /* by their text these are the same series */
    resolved_line(5, "1 d a");
    send_deferral(1);
    assert_int_equal(weir_registrar_run_once(t.registrar), 3);
    const struct weir_deferral *deferral = pop_completed();
    expect_completion(deferral, 0, 5, 3, 0, 1);
    const struct weir_deferred_point *point =
        (const void *)(deferral->lines + sizeof(struct weir_deferred_line));
    assert_int_equal(point->number, 0);
    point = (const void *)((const uint8_t *)point + weir_deferred_point_bytes(point->labels_size));
    assert_int_equal(point->number, 1);
    weir_registrar_flush(t.registrar);
    struct weir_batch *batch = pop_batch();
    assert_int_equal(batch->definition_count, 4);
    assert_int_equal(batch->count, 7);
    static const uint64_t series[] = {0, 1, 1, 2, 1, 3, 0}, values[] = {0, 1, 0, 1, 0, 1, 2};
    for (int i = 0; i < 7; i++) {
        assert_int_equal(weir_sample_series(&batch->samples[i]), series[i]);
        assert_int_equal(batch->samples[i].value, values[i]);
        assert_int_equal(batch->samples[i].time_ms, i == 2 || i == 3 ? 1234 : 77);
    }
}

/* The number of each series of a definition that is the deferral's first line. */
static void
expect_numbers(const struct weir_deferral *deferral, const uint64_t *numbers, uint32_t count)
{
    const uint8_t *list = deferral->lines + sizeof(struct weir_deferred_line) +
        sizeof(struct weir_definition_text) + sizeof(struct weir_wire_record);
    for (uint32_t i = 0; i < count; i++) {
        const struct weir_deferred_point *point = (const void *)list;
        assert_int_equal(point->number, numbers[i]);
        assert_int_equal(point->index, i);
        list += weir_deferred_point_bytes(point->labels_size);
    }
}

static void
test_registrar_defines_the_series_of_a_definition_without_a_sample(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    definition(5, "a b ! a", 6);
    definition(5, "! !", 2);
    line(6, "b", 1);
    send_deferral(2);
    assert_int_equal(weir_registrar_run_once(t.registrar), 3);
    const struct weir_deferral *deferral = pop_completed();
    expect_completion(deferral, 0, 5, 1, 1, 1);
    expect_completion(deferral, 1, 6, 1, 0, 1);
    expect_numbers(deferral, (const uint64_t[]){0, 1, WEIR_SERIES_UNKNOWN, 0}, 4);
    weir_registrar_flush(t.registrar);
    struct weir_batch *batch = pop_batch();
    assert_int_equal(batch->definition_count, 2);
    assert_int_equal(batch->count, 1);
    assert_int_equal(weir_sample_series(&batch->samples[0]), 1);
    assert_int_equal(batch->records, 2);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_bad_labels), 1);
    assert_int_equal(stages.counts.counter[WEIR_COUNTER_series_defined], 2);
    assert_int_equal(stages.counts.counter[WEIR_COUNTER_definitions_refused], 3);
}

static void
test_registrar_refuses_series_of_a_definition_when_the_table_is_full(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    for (unsigned i = 1; i < SERIES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%u", i);
        line(0, name, 1);
    }
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    definition(5, "last new m3", 3);
    definition(5, "newer !", 2);
    send_deferral(2);
    weir_registrar_run_once(t.registrar);
    const struct weir_deferral *deferral = pop_completed();
    expect_completion(deferral, 0, 5, 1, 1, 1);
    expect_numbers(deferral, (const uint64_t[]){SERIES_MAX - 1, WEIR_SERIES_UNKNOWN, 2}, 3);
    assert_int_equal(stages.counts.counter[WEIR_COUNTER_definitions_refused], 3);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_no_sample_accepted), 1);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_table_full), 0);
}

/* Another registrar in place of the one that setup made. */
static void
replace_registrar(int64_t more_deferrals_ns)
{
    weir_registrar_free(t.registrar);
    t.options.more_deferrals_ns = more_deferrals_ns;
    assert_int_equal(weir_registrar_new(&t.options, &t.registrar), WEIR_OK);
}

static void
send_three_deferrals(void)
{
    stages_give_batch(stages.empties);
    for (int i = 0; i < 3; i++) {
        resolved_line(0, "a b");
        send_deferral(1);
    }
}

static void
test_registrar_pops_several_deferrals_in_a_quick_round(void **state)
{
    (void)state;
    replace_registrar(LONG_AGO);
    send_three_deferrals();
    assert_int_equal(weir_registrar_run_once(t.registrar), 3);
    assert_int_equal(weir_registrar_run_once(t.registrar), 0);
}

static void
test_registrar_pops_one_deferral_in_a_slow_round(void **state)
{
    (void)state;
    replace_registrar(0);
    send_three_deferrals();
    for (int round = 0; round < 3; round++)
        assert_int_equal(weir_registrar_run_once(t.registrar), 1);
    assert_int_equal(weir_registrar_run_once(t.registrar), 0);
}

static void
test_registrar_refuses_points_by_name_when_the_table_is_full(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    for (unsigned i = 0; i < SERIES_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%u", i);
        line(0, name, 1);
    }
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    resolved_line(5, "new");
    resolved_line(5, "new 7 m3");
    send_deferral(2);
    weir_registrar_run_once(t.registrar);
    const struct weir_deferral *deferral = pop_completed();
    expect_completion(deferral, 0, 5, 1, 1, 1);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_table_full), 2);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_table_full), 1);
    const struct weir_deferred_point *point =
        (const void *)(deferral->lines + sizeof(struct weir_deferred_line));
    assert_true(point->number == WEIR_SERIES_UNKNOWN);
}

static void
refuses_while(uint32_t ingest_state, enum weir_reason reason)
{
    atomic_store(&stages.progress.state, ingest_state);
    line(5, "a b", 2); /* and there is no empty batch */
    send_deferral(1);
    assert_int_equal(weir_registrar_run_once(t.registrar), 1);
    assert_int_equal(rejected(WEIR_UNIT_SAMPLES, reason), 2);
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, reason), 1);
    assert_int_equal(weir_series_count(t.options.series), 0);
    assert_true(weir_registrar_idle(t.registrar));
}

static void
test_registrar_refuses_lines_while_the_disk_is_full(void **state)
{
    (void)state;
    refuses_while(WEIR_INGEST_DISK_FULL, WEIR_REASON_disk_full);
}

static void
test_registrar_refuses_lines_after_a_device_error(void **state)
{
    (void)state;
    refuses_while(WEIR_INGEST_IO_ERROR, WEIR_REASON_io_error);
}

static void
test_registrar_pops_no_deferral_without_an_empty_batch(void **state)
{
    (void)state;
    line(5, "a", 1);
    send_deferral(1);
    assert_int_equal(weir_registrar_run_once(t.registrar), 0);
    closed();
    assert_int_equal(stages.sum->in_flight[WEIR_UNIT_SAMPLES], 1);
    assert_int_equal(weir_ring_count(stages.deferrals), 1);
    assert_false(weir_registrar_idle(t.registrar));
    stages_give_batch(stages.empties);
    assert_int_equal(weir_registrar_run_once(t.registrar), 1);
    assert_int_equal(weir_ring_count(stages.deferrals), 0);
}

static void
test_registrar_flushes_after_the_interval_and_sooner_for_an_ack(void **state)
{
    (void)state;
    weir_registrar_free(t.registrar);
    t.options.ack_interval_ns = 0;
    assert_int_equal(weir_registrar_new(&t.options, &t.registrar), WEIR_OK);
    stages_give_batch(stages.empties);
    line(5, "a", 1);
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    assert_null(pop_batch());
    line(5, "b", 1);
    t.deferral->ack_waiting = true;
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    struct weir_batch *batch = pop_batch();
    assert_non_null(batch);
    assert_true(batch->ack_waiting);
    assert_int_equal(batch->opened_tsc, 1000);
}

static void
test_registrar_flushes_when_the_writer_wants_definitions(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    stages_give_batch(stages.empties);
    line(5, "a b", 2);
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    assert_null(pop_batch());
    atomic_store(&stages.progress.definitions_wanted, 2);
    assert_int_equal(weir_registrar_run_once(t.registrar), 1);
    assert_int_equal(pop_batch()->definition_count, 2);
    line(5, "a", 1); /* what is wanted has been pushed: no hurry */
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    assert_null(pop_batch());
}

/* 250,000 samples do not fit one batch; the only one comes back after the registrar has stopped
 * in the middle of a line. */
static void
test_registrar_goes_on_in_a_line_when_a_batch_comes_back(void **state)
{
    (void)state;
    enum { WORDS = 1000, LINES = 125, LINES_IN_FIRST = WEIR_BATCH_SAMPLES_MAX / WORDS };
    static char text[2 * WORDS + 1];
    for (int i = 0; i < WORDS; i++)
        memcpy(text + 2 * i, "a ", 3);
    stages_give_batch(stages.empties);
    for (int deferral = 0; deferral < 2; deferral++) {
        for (int i = 0; i < LINES; i++)
            line(5, text, WORDS);
        send_deferral(1);
    }
    assert_int_equal(weir_registrar_run_once(t.registrar), LINES);
    weir_registrar_run_once(t.registrar);
    struct weir_batch *batch = pop_batch();
    assert_non_null(batch);
    assert_int_equal(batch->count, WEIR_BATCH_SAMPLES_MAX);
    assert_int_equal(batch->records, LINES_IN_FIRST);
    assert_int_equal(batch->packets, 1);
    assert_int_equal(weir_registrar_run_once(t.registrar), 0);
    assert_false(weir_registrar_flush(t.registrar));
    closed();
    assert_true(weir_ring_push(stages.empties, batch));
    assert_int_equal(weir_registrar_run_once(t.registrar), 2 * LINES - LINES_IN_FIRST);
    assert_true(weir_registrar_flush(t.registrar));
    batch = pop_batch();
    assert_int_equal(batch->number, 2);
    assert_int_equal(batch->count, 2 * LINES * WORDS - WEIR_BATCH_SAMPLES_MAX);
    assert_int_equal(batch->records, 2 * LINES - LINES_IN_FIRST);
    assert_int_equal(batch->packets, 1);
    assert_int_equal(batch->definition_count, 0);
    assert_int_equal(stages.sum->in_flight[WEIR_UNIT_SAMPLES], 0);
}

/* 600 definitions of 8 KiB do not fit one batch's 4 MiB. */
static void
test_registrar_logs_every_definition_once_across_batches(void **state)
{
    (void)state;
    enum { WORDS = 600 };
    static char text[5 * WORDS + 1];
    for (int i = 0; i < WORDS; i++)
        snprintf(text + 5 * i, 6, "L%03d ", i);
    stages_give_batch(stages.empties);
    line(5, text, WORDS);
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    struct weir_batch *batch = pop_batch();
    assert_non_null(batch);
    uint32_t first = batch->definition_count;
    assert_int_equal(batch->definition_first, 0);
    assert_int_equal(batch->count, first);
    assert_int_equal(batch->series_through, first);
    assert_int_equal(batch->records, 0);
    assert_true(weir_ring_push(stages.empties, batch));
    assert_int_equal(weir_registrar_run_once(t.registrar), 1);
    weir_registrar_flush(t.registrar);
    batch = pop_batch();
    assert_int_equal(batch->definition_first, first);
    assert_int_equal(batch->definition_count, WORDS - first);
    assert_int_equal(batch->count, WORDS - first);
    assert_int_equal(batch->records, 1);
    expect_completion(pop_completed(), 0, 5, 1, 0, 2);
}

static void
test_registrar_counts_what_is_left_at_the_end_as_dropped(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    line(5, "a b", 2);
    send_deferral(1);
    weir_registrar_run_once(t.registrar);
    line(5, "a", 1);
    send_deferral(1);
    weir_registrar_free(t.registrar);
    t.registrar = NULL;
    closed();
    assert_int_equal(stages.sum->in_flight[WEIR_UNIT_SAMPLES], 0);
    assert_int_equal(stages.sum->total.unit[WEIR_UNIT_SAMPLES].dropped[WEIR_REASON_shutdown], 3);
    assert_int_equal(stages.sum->total.unit[WEIR_UNIT_PACKETS].dropped[WEIR_REASON_shutdown], 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void
test_registrar_with_a_limit_takes_a_deferral_in_several_rounds(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    line(0, "a b", 2);
    line(7, "c", 1);
    line(0, "a", 1);
    send_deferral(2);
    weir_registrar_limit(t.registrar, 1);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(weir_registrar_run_once(t.registrar), 1);
        assert_false(weir_registrar_idle(t.registrar));
        assert_null(pop_completed());
    }
    weir_registrar_limit(t.registrar, 0);
    assert_int_equal(weir_registrar_run_once(t.registrar), 1);
    expect_completion(pop_completed(), 0, 7, 1, 0, 1);
    assert_true(weir_registrar_flush(t.registrar));
    struct weir_batch *batch = pop_batch();
    assert_non_null(batch);
    assert_int_equal(batch->records, 3);
    assert_int_equal(batch->count, 4);
    assert_int_equal(batch->definition_count, 3);
    assert_true(weir_registrar_idle(t.registrar));
    closed();
}

/* The first line's batch leaves while the deferral is under way; nothing of the others is taken. */
static void
test_registrar_flushes_in_the_middle_of_a_deferral_of_which_the_rest_is_refused(void **state)
{
    (void)state;
    stages_give_batch(stages.empties);
    line(7, "a b", 2);
    line(7, "!", 1);
    line(7, "!", 1);
    send_deferral(3);
    weir_registrar_limit(t.registrar, 1);
    atomic_store(&stages.progress.definitions_wanted, 2);
    assert_int_equal(weir_registrar_run_once(t.registrar), 2); /* a line and a batch */
    struct weir_batch *batch = pop_batch();
    assert_non_null(batch);
    assert_int_equal(batch->packets, 3);
    assert_int_equal(batch->records, 1);
    assert_false(weir_registrar_idle(t.registrar));
    weir_registrar_limit(t.registrar, 0);
    assert_int_equal(weir_registrar_run_once(t.registrar), 2);
    expect_completion(pop_completed(), 0, 7, 1, 2, 1);
    assert_true(weir_registrar_idle(t.registrar));
    closed();
    assert_int_equal(stages.sum->in_flight[WEIR_UNIT_PACKETS], 0);
}

/* What is written on standard error between the two goes into text. */
static int captured[2];

static int
capture_begin(void)
{
    assert_int_equal(pipe2(captured, O_NONBLOCK), 0);
    int kept = dup(STDERR_FILENO);
    assert_int_equal(dup2(captured[1], STDERR_FILENO), STDERR_FILENO);
    return kept;
}

static void
capture_end(int kept, char *text, size_t size)
{
    dup2(kept, STDERR_FILENO);
    ssize_t got = read(captured[0], text, size - 1);
    text[got > 0 ? got : 0] = '\0';
    close(kept);
    close(captured[0]);
    close(captured[1]);
}

/* From here on a source defines no more than its share of so many series and label bytes. */
static void
bound_sources(uint64_t series, uint64_t label_bytes)
{
    assert_int_equal(weir_prefix_parse("10.0.0.9", &t.trusted), WEIR_OK);
    t.shares[0] = zeroed(weir_shares_footprint(8));
    t.shares[1] = zeroed(weir_shares_footprint(8));
    t.options.series_shares = weir_shares_init(t.shares[0], series, 8, &stages.key);
    t.options.label_shares = weir_shares_init(t.shares[1], label_bytes, 8, &stages.key);
    t.options.trusted = (struct weir_prefixes){&t.trusted, 1};
    weir_registrar_free(t.registrar);
    assert_int_equal(weir_registrar_new(&t.options, &t.registrar), WEIR_OK);
}

/* Sends a line from 10.0.0.LAST and returns how many of its words were taken. */
static unsigned
sent_from(uint8_t last, const char *text, unsigned words, bool resolved)
{
    weir_peer_set_ipv4(&t.peer, (const uint8_t[]){10, 0, 0, last});
    uint64_t refused = stages.counts.unit[WEIR_UNIT_SAMPLES].rejected[WEIR_REASON_over_share];
    if (resolved)
        resolved_line(1, text);
    else
        line(1, text, words);
    send_deferral(1);
    assert_int_equal(weir_registrar_run_once(t.registrar), 1);
    struct weir_deferral *deferral = weir_ring_pop(stages.completed);
    while (deferral->used == 0) {
        assert_true(weir_ring_push(stages.completed, deferral));
        deferral = weir_ring_pop(stages.completed);
    }
    deferral->used = 0;
    assert_true(weir_ring_push(stages.completed, deferral));
    return words - (unsigned)(
        stages.counts.unit[WEIR_UNIT_SAMPLES].rejected[WEIR_REASON_over_share] - refused);
}

static void
test_a_line_defines_no_more_than_its_bytes_allow(void **state)
{
    (void)state;
    enum { TEXT = 1000, WITHIN = 48 * TEXT / LONG_LABEL };
    static const char words[] = "La Lb Lc Ld Le Lf Lg Lh Li Lj";
    t.text_size = TEXT;
    stages_give_batch(stages.empties);
    for (uint32_t defined = WITHIN; defined < 10 + WITHIN; defined += WITHIN) {
        line(5, words, 10);
        send_deferral(1);
        weir_registrar_run_once(t.registrar);
        uint32_t now = defined < 10 ? defined : 10;
        assert_int_equal(stages.counts.counter[WEIR_COUNTER_series_defined], now);
    }
    assert_true(weir_registrar_flush(t.registrar));
    struct weir_batch *batch = pop_batch();
    uint64_t refused = rejected(WEIR_UNIT_SAMPLES, WEIR_REASON_define_limit);
    assert_true(WITHIN > 1 && WITHIN < 10 && refused > 0);
    assert_int_equal(batch->count % 10, 10 - refused % 10);
}

static void
test_registrar_leaves_a_source_its_share_of_a_table_that_is_half_full(void **state)
{
    (void)state;
    bound_sources(16, 1 << 20);
    stages_give_batch(stages.empties);
    char events[4096];
    int kept = capture_begin();
    assert_int_equal(sent_from(1, "a b c d e f g h i j k", 11, false), 9);
    assert_int_equal(sent_from(1, "l", 1, true), 0);
    assert_int_equal(sent_from(2, "m n o", 3, true), 2);
    assert_int_equal(sent_from(3, "p", 1, false), 1);
    assert_int_equal(sent_from(2, "a b i m n q", 6, false), 5); /* known series are everybody's */
    assert_int_equal(sent_from(2, "a b i m n q", 6, true), 5);
    assert_int_equal(sent_from(9, "q r s", 3, false), 3); /* trusted */
    capture_end(kept, events, sizeof events);
    assert_non_null(strstr(events, " event=over_share table=series who=10.0.0.1"));
    assert_null(strstr(events, "who=10.0.0.2")); /* one event a minute */
    assert_true(weir_degraded_by(&stages.degraded, WEIR_DEGRADED_series_full,
        weir_mono_ns() / 1000000));
    assert_int_equal(rejected(WEIR_UNIT_RECORDS, WEIR_REASON_over_share), 1);
    assert_int_equal(stages.counts.counter[WEIR_COUNTER_series_defined], 15);
    assert_true(weir_registrar_flush(t.registrar));
    pop_batch();
}

static void
test_registrar_leaves_a_source_its_share_of_the_memory_for_labels(void **state)
{
    (void)state;
    bound_sources(SERIES_MAX, 20 * LONG_LABEL);
    stages_give_batch(stages.empties);
    assert_int_equal(
        sent_from(1, "La Lb Lc Ld Le Lf Lg Lh Li Lj Lk Ll", 12, false), 10);
    assert_int_equal(sent_from(2, "Lm Ln Lo", 3, false), 2);
    assert_int_equal(sent_from(2, "m", 1, false), 1); /* a short one has room */
    assert_true(weir_registrar_flush(t.registrar));
    pop_batch();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_registrar_logs_the_definition_with_the_first_sample),
        TEST(test_registrar_with_a_limit_takes_a_deferral_in_several_rounds),
        TEST(test_registrar_flushes_in_the_middle_of_a_deferral_of_which_the_rest_is_refused),
        TEST(test_registrar_does_not_define_a_series_twice),
        TEST(test_registrar_completes_each_run_of_a_source),
        TEST(test_registrar_keeps_a_record_for_its_good_samples),
        TEST(test_registrar_refuses_the_name_of_lost_definitions_by_every_way),
        TEST(test_registrar_counts_what_the_worker_counted),
        TEST(test_registrar_reports_once_that_the_table_is_full),
        TEST(test_registrar_refuses_by_name_when_the_table_is_full),
        TEST(test_a_line_defines_no_more_than_its_bytes_allow),
        TEST(test_registrar_leaves_a_source_its_share_of_a_table_that_is_half_full),
        TEST(test_registrar_leaves_a_source_its_share_of_the_memory_for_labels),
        TEST(test_registrar_defines_points_and_says_their_numbers),
        TEST(test_registrar_defines_the_series_of_a_definition_without_a_sample),
        TEST(test_registrar_refuses_series_of_a_definition_when_the_table_is_full),
        TEST(test_registrar_pops_several_deferrals_in_a_quick_round),
        TEST(test_registrar_pops_one_deferral_in_a_slow_round),
        TEST(test_registrar_refuses_points_by_name_when_the_table_is_full),
        TEST(test_registrar_refuses_lines_while_the_disk_is_full),
        TEST(test_registrar_refuses_lines_after_a_device_error),
        TEST(test_registrar_pops_no_deferral_without_an_empty_batch),
        TEST(test_registrar_flushes_after_the_interval_and_sooner_for_an_ack),
        TEST(test_registrar_flushes_when_the_writer_wants_definitions),
        TEST(test_registrar_goes_on_in_a_line_when_a_batch_comes_back),
        TEST(test_registrar_logs_every_definition_once_across_batches),
        TEST(test_registrar_counts_what_is_left_at_the_end_as_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
