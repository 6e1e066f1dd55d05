#include "dataplane/registrar/parts.h"

#include "base/event.h"
#include "dataplane/protocol/protocol.h"

#include <string.h>

/* Half of a core's first level: a packet's definition has some thirty series. */
#define PREFETCH_MAX 256
#define NS_PER_MS 1000000
/* A line repeats its common labels for each of its series: one of 64 KiB could have 100 MiB of them
 * logged. So a byte that came makes the log take so many for new series at most; 16 more are left
 * for their samples and state entries. A datagram of 1,400 bytes cannot reach it. The least is for
 * names that are shorter in the text than as labels. */
#define DEFINE_BYTES_PER_BYTE 48
#define DEFINE_BYTES_MIN 128

static void
sample_append(struct weir_registrar *registrar, struct weir_batch *batch)
{
    const struct weir_registrar_work *work = &registrar->work;
    const struct weir_deferred_point *resolved = work->resolved;
    if (resolved != NULL) {
        weir_batch_append(batch,
            weir_sample_key(work->number, resolved->kind, resolved->exponent), resolved->time_ms,
            resolved->value);
        return;
    }
    const struct weir_point *point = &registrar->options.parsed->points[work->point_at];
    weir_batch_append(batch, weir_sample_key(work->number, point->kind, point->exponent),
        point->time_ms, point->value);
}

/* Appends the pending point, and its definition where it is new. False where there is no room and
 * no empty batch. Nothing has changed then, and it is simply called again. A full batch is
 * pushed only here, right before something is appended to its successor: at the end of a line or
 * of a deferral of which anything was accepted, the last of it is in the open batch. */
static bool
point_append(struct weir_registrar *registrar)
{
    struct weir_registrar_work *work = &registrar->work;
    size_t size = work->is_new ? work->labels_size : 0;
    if (registrar->batch != NULL &&
        (registrar->batch->count == WEIR_BATCH_SAMPLES_MAX ||
            size + sizeof(uint32_t) >
                WEIR_BATCH_DEFINITIONS_MAX - registrar->batch->definition_bytes))
        weir_registrar_batch_push(registrar);
    if (!weir_registrar_batch_ready(registrar))
        return false;
    struct weir_batch *batch = registrar->batch;
    if (!weir_registrar_batch_has_content(registrar))
        registrar->batch_content_ns = registrar->now_ns;
    if (work->is_new) {
        size_t used = batch->definition_bytes;
        enum weir_err err = weir_definition_append(batch->definitions,
            WEIR_BATCH_DEFINITIONS_MAX, &used, work->labels, size);
        WEIR_ASSERT(err == WEIR_OK); /* room was seen to above */
        if (batch->definition_count++ == 0)
            batch->definition_first = work->number;
        batch->definition_bytes = (uint32_t)used;
    }
    if (batch->opened_tsc == 0 || work->deferral->opened_tsc < batch->opened_tsc)
        batch->opened_tsc = work->deferral->opened_tsc;
    batch->ack_waiting |= work->deferral->ack_waiting;
    work->pending = false;
    if (work->line.defines > 0)
        return true;
    sample_append(registrar, batch);
    work->samples_accepted++;
    return true;
}

static void
samples_reject(struct weir_registrar *registrar, uint64_t count, uint8_t reason)
{
    struct weir_registrar_work *work = &registrar->work;
    bool before = work->samples_rejected + work->defines_refused > 0;
    if (before && work->reason != reason)
        work->reason = WEIR_REASON_no_sample_accepted;
    else
        work->reason = reason;
    if (work->line.defines > 0) {
        work->defines_refused += (uint32_t)count;
        registrar->options.counts->counter[WEIR_COUNTER_definitions_refused] += count;
        return;
    }
    weir_registrar_reject(registrar, WEIR_UNIT_SAMPLES, count, reason);
    work->samples_rejected += (uint32_t)count;
}

/* The labels of the next point of a line that came as text. */
static enum weir_err
text_labels(struct weir_registrar *registrar, size_t *size)
{
    struct weir_registrar_work *work = &registrar->work;
    const struct weir_point *point = &registrar->options.parsed->points[work->point_at];
    const struct weir_protocol *protocol = &weir_protocols[work->line.proto];
    if (!work->labels_begun) {
        work->labels_begun = true;
        work->labels_err =
            protocol->labels_begin(&registrar->line_labels, work->text, work->line.size);
    }
    if (work->labels_err != WEIR_OK)
        return work->labels_err;
    return weir_protocol_labels(protocol, &registrar->line_labels, point->field, registrar->labels,
        size);
}

void
weir_registrar_report_table_full(
    const struct weir_condition *condition, enum weir_condition_news news)
{
    unsigned long long refused = condition->count;
    unsigned long long lasted_s =
        (unsigned long long)(condition->met_ns - condition->begun_ns) / UINT64_C(1000000000);
    if (news == WEIR_CONDITION_BEGINS)
        weir_event(WEIR_LEVEL_WARN, "table_full", "detail=\"%s\"", weir_err_detail());
    else if (news == WEIR_CONDITION_LASTS)
        weir_event(WEIR_LEVEL_WARN, "table_full_lasts", "refused=%llu since_s=%llu detail=\"%s\"",
            refused, lasted_s, weir_err_detail());
    else if (news == WEIR_CONDITION_ENDS)
        weir_event(
            WEIR_LEVEL_INFO, "table_full_ended", "refused=%llu lasted_s=%llu", refused, lasted_s);
}

/* Bytes that a definition takes in the log. */
static size_t
logged_bytes(size_t labels_size)
{
    return sizeof(uint32_t) + labels_size;
}

/* As weir_series_define, where the sender may define one more; WEIR_LIMIT where it may not, or
 * WEIR_AGAIN where the line has defined as much as it may. */
static enum weir_err
series_define(struct weir_registrar *registrar, struct weir_hash128 fingerprint,
    const uint8_t *labels, size_t size)
{
    struct weir_registrar_work *work = &registrar->work;
    struct weir_series *series = registrar->options.series;
    enum weir_err err;
    bool within = logged_bytes(size) <= work->define_bytes;
    if (!within || !weir_registrar_may_define(registrar)) {
        if (weir_series_find(series, fingerprint, &work->number))
            return WEIR_OK;
        return within ? WEIR_LIMIT : WEIR_AGAIN;
    }
    err = weir_series_define(series, fingerprint, &work->number, &work->is_new);
    if (work->is_new) {
        weir_registrar_count_defined(registrar);
        work->labels = labels;
        work->labels_size = size;
        work->define_bytes -= logged_bytes(size);
    }
    return err;
}

static void
define_refused(struct weir_registrar *registrar, enum weir_err err)
{
    if (err == WEIR_AGAIN) {
        samples_reject(registrar, 1, WEIR_REASON_define_limit);
        return;
    }
    if (err == WEIR_LIMIT) {
        weir_registrar_report_over_share(registrar);
        samples_reject(registrar, 1, WEIR_REASON_over_share);
        return;
    }
    weir_registrar_report_table_full(&registrar->table_full,
        weir_condition_met(&registrar->table_full, 1, registrar->now_ns));
    weir_degraded_set(registrar->options.degraded, WEIR_DEGRADED_series_full,
        registrar->now_ns / NS_PER_MS);
    samples_reject(registrar, 1, WEIR_REASON_table_full);
}

/* Number of the next point; a refused one is counted and passed over. */
static void
point_define(struct weir_registrar *registrar)
{
    struct weir_registrar_work *work = &registrar->work;
    struct weir_counts *counts = registrar->options.counts;
    struct weir_series *series = registrar->options.series;
    enum weir_err err;
    work->is_new = false;
    if (work->resolved != NULL && work->resolved->labels_size == 0) {
        if (work->resolved->number == WEIR_SERIES_UNKNOWN) {
            samples_reject(registrar, 1, WEIR_REASON_bad_labels);
            return;
        }
        work->number = work->resolved->number;
        work->pending = true;
        return;
    }
    if (work->resolved != NULL) {
        const uint8_t *labels = (const uint8_t *)(work->resolved + 1);
        if (weir_labels_reserved(labels, work->resolved->labels_size)) {
            samples_reject(registrar, 1, WEIR_REASON_bad_labels);
            return;
        }
        err = series_define(registrar, work->resolved->fingerprint, labels,
            work->resolved->labels_size);
    } else {
        size_t size;
        if (text_labels(registrar, &size) != WEIR_OK ||
            weir_labels_reserved(registrar->labels, size)) {
            samples_reject(registrar, 1, WEIR_REASON_bad_labels);
            return;
        }
        err = series_define(registrar,
            weir_series_fingerprint(series, registrar->labels, size), registrar->labels, size);
    }
    if (err != WEIR_OK) {
        define_refused(registrar, err);
        return;
    }
    if (work->resolved != NULL)
        work->resolved->number = work->number;
    work->pending = work->is_new || work->line.defines == 0;
    counts->counter[WEIR_COUNTER_series_defined] += work->is_new;
}

/* Parses the line again. The worker has judged its times, so there is no rule for them here, and
 * has counted its samples: its count is what the ledger is held to. */
static void
line_parse(struct weir_registrar *registrar)
{
    struct weir_registrar_work *work = &registrar->work;
    struct weir_parsed *parsed = registrar->options.parsed;
    const struct weir_parse_context context = {.key = registrar->options.key,
        .time_min_ms = INT64_MIN,
        .time_max_ms = INT64_MAX};
    struct weir_packet packet = {.data = work->text,
        .size = work->line.size,
        .proto = work->line.proto,
        .time_unit = work->line.time_unit,
        .final = true,
        .source = work->line.source,
        .receive_ms = work->line.receive_ms};
    weir_parsed_reset(parsed);
    weir_protocols[work->line.proto].parse(&context, &packet, 0, parsed);
    uint8_t reason = WEIR_REASON_bad_line;
    uint32_t found = 0;
    if (parsed->record_count > 0) {
        const struct weir_record *record = &parsed->records[0];
        work->point_at = record->point_first;
        found = record->point_count;
        if (record->reason != WEIR_REASON_NONE)
            reason = record->reason;
    }
    if (found > work->line.samples)
        found = work->line.samples;
    work->point_end = work->point_at + found;
    if (found < work->line.samples)
        samples_reject(registrar, work->line.samples - found, reason);
}

/* A definition's series, by their place in it. */
static void
definition_parse(struct weir_registrar *registrar)
{
    struct weir_parsed *parsed = registrar->options.parsed;
    WEIR_ASSERT(registrar->work.line.defines <= WEIR_POINTS_MAX);
    for (uint32_t i = 0; i < registrar->work.line.defines; i++)
        parsed->points[i] = (struct weir_point){.field = (uint16_t)i};
    registrar->work.point_end = registrar->work.line.defines;
}

/* The buckets of a line's first points are on their way before the first is looked for. */
static void
points_prefetch(const struct weir_series *series, const uint8_t *list, uint32_t count)
{
    for (uint32_t i = 0; i < count && i < PREFETCH_MAX; i++) {
        const struct weir_deferred_point *point = (const void *)list;
        if (point->labels_size > 0)
            weir_series_prefetch(series, point->fingerprint);
        list += weir_deferred_point_bytes(point->labels_size);
    }
}

static void
line_resolved(struct weir_registrar *registrar)
{
    struct weir_registrar_work *work = &registrar->work;
    uint8_t *list = work->text;
    work->point_end = work->line.samples;
    if (work->line.defines > 0) {
        struct weir_definition_text text;
        memcpy(&text, list, sizeof text);
        list += WEIR_DEFINITION_LIST_AT;
        work->point_end = text.list_count;
    }
    work->resolved = (struct weir_deferred_point *)(void *)list;
    points_prefetch(registrar->options.series, list, work->point_end);
}

void
weir_registrar_line_begin(struct weir_registrar *registrar)
{
    struct weir_registrar_work *work = &registrar->work;
    struct weir_deferral *deferral = work->deferral;
    WEIR_ASSERT(deferral->used - work->at >= sizeof work->line);
    memcpy(&work->line, deferral->lines + work->at, sizeof work->line);
    WEIR_ASSERT(weir_deferred_line_bytes(work->line.size) <= deferral->used - work->at);
    work->text = deferral->lines + work->at + sizeof work->line;
    work->at += (uint32_t)weir_deferred_line_bytes(work->line.size);
    work->in_line = true;
    work->labels_begun = false;
    work->resolved = NULL;
    work->point_at = 0;
    work->point_end = 0;
    work->samples_accepted = 0;
    work->samples_rejected = 0;
    work->defines_refused = 0;
    work->define_bytes = DEFINE_BYTES_MIN + DEFINE_BYTES_PER_BYTE * (uint64_t)work->line.text_size;
    work->reason = WEIR_REASON_no_sample_accepted;
    weir_registrar_owner_find(registrar);
    work->listener =
        work->line.peer < deferral->peer_count ? deferral->listeners[work->line.peer] : 0;
    uint8_t refused = weir_progress_refusal(registrar->options.progress);
    if (refused != WEIR_REASON_NONE)
        samples_reject(registrar,
            work->line.defines > 0 ? work->line.defines : work->line.samples, refused);
    else if (work->line.resolved)
        line_resolved(registrar);
    else if (work->line.defines > 0)
        definition_parse(registrar);
    else
        line_parse(registrar);
}

/* One completion for each run of lines with one source; nobody waits at source 0. */
static void
complete(struct weir_registrar_work *work, bool accepted, uint64_t batch)
{
    struct weir_deferral *deferral = work->deferral;
    if (work->line.source == 0)
        return;
    struct weir_completion *last = &deferral->completions[deferral->completion_count];
    if (deferral->completion_count > 0 && last[-1].source == work->line.source) {
        last--;
    } else {
        *last = (struct weir_completion){.source = work->line.source};
        deferral->completion_count++;
    }
    if (accepted) {
        last->accepted++;
        last->batch = batch;
    } else {
        last->rejected++;
    }
}

/* Writes the reason into the deferral: the worker may have to answer its sender. */
static void
line_mark_refused(struct weir_registrar_work *work)
{
    work->line.refused = (work->reason + 1) & 0x3f;
    memcpy(work->text - sizeof work->line, &work->line, sizeof work->line);
}

/* False where a definition that brought nothing new finds no batch to end in. */
static bool
line_finish(struct weir_registrar *registrar)
{
    struct weir_registrar_work *work = &registrar->work;
    WEIR_ASSERT(work->samples_accepted + work->samples_rejected == work->line.samples);
    bool accepted = work->samples_accepted > 0 || work->defines_refused < work->line.defines;
    if (accepted) {
        if (!weir_registrar_batch_ready(registrar))
            return false;
        if (!weir_registrar_batch_has_content(registrar))
            registrar->batch_content_ns = registrar->now_ns;
        registrar->batch->records++;
        work->accepted++;
        complete(work, true, registrar->batch->number);
    } else {
        weir_registrar_reject(registrar, WEIR_UNIT_RECORDS, 1, work->reason);
        weir_registrar_line_rejected(registrar);
        line_mark_refused(work);
        complete(work, false, 0);
    }
    work->in_line = false;
    return true;
}

bool
weir_registrar_line_work(struct weir_registrar *registrar)
{
    struct weir_registrar_work *work = &registrar->work;
    while (work->point_at < work->point_end) {
        if (!work->pending)
            point_define(registrar);
        if (work->pending && !point_append(registrar))
            return false;
        work->point_at++;
        if (work->resolved != NULL)
            work->resolved = (struct weir_deferred_point *)(void *)((uint8_t *)work->resolved +
                weir_deferred_point_bytes(work->resolved->labels_size));
    }
    return line_finish(registrar);
}
