/* registrar_fixture: the registrar between a worker and a log writer that the test plays, with a
 * protocol of its own: a line is words, each a sample of the series of that name. A line that
 * begins with '#' has no record, one that begins with '-' loses its last word. "!" is a word whose
 * labels are refused; a word that begins with 'L' is a series with 8,000 bytes of labels. */
#ifndef WEIR_TESTS_UNIT_DATAPLANE_REGISTRAR_REGISTRAR_FIXTURE_H
#define WEIR_TESTS_UNIT_DATAPLANE_REGISTRAR_REGISTRAR_FIXTURE_H

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

static inline size_t
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

static inline enum weir_err
words_begin(struct weir_line_labels *line, const uint8_t *text, size_t size)
{
    line->text = text;
    line->size = size;
    return WEIR_OK;
}

static inline enum weir_err
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

static inline int
setup(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    stages_begin(SERIES_MAX, DEFERRALS);
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

static inline int
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
static inline void
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

static inline void
line(uint32_t source, const char *text, unsigned samples)
{
    line_of(source, text, strlen(text), samples, false);
}

/* A list of points: of each word a series, or where it is a digit the number that is known; "!" is
 * a series whose labels the worker refused. */
static inline size_t
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
static inline void
resolved_line(uint32_t source, const char *text)
{
    alignas(8) static uint8_t list[4096];
    unsigned samples;
    size_t used = put_list(list, text, &samples);
    line_of(source, list, used, samples, true);
}

/* A definition of so many series, of which these are unknown. */
static inline void
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
static inline void
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
static inline struct weir_batch *
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
static inline struct weir_deferral *
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

static inline void
expect_completion(const struct weir_deferral *deferral, uint32_t i, uint32_t source,
    uint32_t accepted, uint32_t refused, uint64_t batch)
{
    assert_in_range(i, 0, deferral->completion_count - 1);
    assert_int_equal(deferral->completions[i].source, source);
    assert_int_equal(deferral->completions[i].accepted, accepted);
    assert_int_equal(deferral->completions[i].rejected, refused);
    assert_int_equal(deferral->completions[i].batch, batch);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
