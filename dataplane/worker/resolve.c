/* Points whose raw key the cache does not know: by their labels. */
#include "dataplane/worker/parts.h"

/* While deferrals are scarce, because the registrar lags, a record whose raw key is not known is
 * looked up by labels only as long as that finds something: a lookup that finds gives two more,
 * and a burst may try this many anyway. So a cold cache is filled as ever, and of a flood of new
 * series each line costs its parsing and no more. */
#define RESOLVE_TRIES 4
#define RESOLVE_TRIES_MAX 1024

/* Labels of the points of a record that the series cache does not know, their buckets on the way.
 * False where there is no room for all of them. */
static bool
record_label(struct weir_worker *worker, const struct weir_packet *packet,
    const struct weir_record *record)
{
    const struct weir_protocol *protocol = &weir_protocols[packet->proto];
    struct weir_line_labels *line = &worker->line_labels;
    const struct weir_point *points = worker->options.parsed->points;
    enum weir_err begun = WEIR_AGAIN;
    bool room = true, refused = false;
    for (uint32_t i = record->point_first; i < record->point_first + record->point_count; i++) {
        struct weir_worker_resolve *resolve = &worker->resolves[i];
        if (worker->numbers[i] != WEIR_SERIES_UNKNOWN)
            continue;
        resolve->labels_size = 0;
        resolve->refused = false;
        room = room && worker->resolving_count < WEIR_WORKER_RESOLVES_MAX &&
            WEIR_WORKER_LABELS_BYTES - worker->labels_used >= WEIR_LABELS_BYTES_MAX;
        if (!room)
            continue;
        uint8_t *labels = worker->labels + worker->labels_used;
        size_t size;
        if (begun == WEIR_AGAIN)
            begun = protocol->labels_begin(line, record->text, record->size);
        /* what has no labels the registrar refuses by name */
        if (begun != WEIR_OK ||
            weir_protocol_labels(protocol, line, points[i].field, labels, &size) != WEIR_OK) {
            if (!refused) {
                weir_rejecter_meet(&worker->rejecter, WEIR_REASON_bad_labels);
                weir_worker_rejected(worker, packet, record, WEIR_REASON_bad_labels,
                    weir_err_detail());
            }
            refused = true;
            resolve->refused = true;
            continue;
        }
        *resolve = (struct weir_worker_resolve){
            .fingerprint = weir_series_fingerprint(worker->options.series, labels, size),
            .labels_at = worker->labels_used,
            .labels_size = (uint32_t)size & 0x7fffffff};
        weir_series_prefetch(worker->options.series, resolve->fingerprint);
        worker->labels_used += (uint32_t)size;
        worker->resolving[worker->resolving_count++] = i;
    }
    return room;
}

/* The same one by one, for what found no room. Stops at the first unknown series: the registrar
 * takes the line's text then. */
static void
record_resolve(struct weir_worker *worker, const struct weir_packet *packet,
    const struct weir_record *record)
{
    const struct weir_protocol *protocol = &weir_protocols[packet->proto];
    struct weir_line_labels *line = &worker->line_labels;
    const struct weir_point *points = worker->options.parsed->points;
    uint8_t labels[WEIR_LABELS_BYTES_MAX];
    if (protocol->labels_begin(line, record->text, record->size) != WEIR_OK)
        return;
    for (uint32_t i = record->point_first; i < record->point_first + record->point_count; i++) {
        size_t size;
        uint64_t number;
        if (worker->numbers[i] != WEIR_SERIES_UNKNOWN || worker->resolves[i].labels_size > 0)
            continue;
        if (weir_protocol_labels(protocol, line, points[i].field, labels, &size) != WEIR_OK ||
            !weir_series_find(worker->options.series,
                weir_series_fingerprint(worker->options.series, labels, size), &number)) {
            worker->resolve_tries -= worker->resolve_tries > 0;
            return;
        }
        if (worker->resolve_tries < RESOLVE_TRIES_MAX)
            worker->resolve_tries += 2;
        weir_series_cache_insert(worker->options.series_cache, points[i].raw, number);
        worker->numbers[i] = number;
    }
}

/* Looks up what record_label has prepared: the buckets have been fetched meanwhile. */
static void
resolve_labelled(struct weir_worker *worker)
{
    const struct weir_series *series = worker->options.series;
    for (uint32_t n = 0; n < worker->resolving_count; n++) {
        uint32_t i = worker->resolving[n];
        if (weir_series_find(series, worker->resolves[i].fingerprint, &worker->numbers[i]))
            weir_series_cache_insert(worker->options.series_cache,
                worker->options.parsed->points[i].raw, worker->numbers[i]);
    }
}

/* As long as there are tries left: where no line is known, they end. */
static void
record_resolve_known(struct weir_worker *worker, const struct weir_packet *packet,
    const struct weir_record *record)
{
    for (uint32_t i = record->point_first; i < record->point_first + record->point_count; i++) {
        worker->resolves[i].labels_size = 0; /* of an earlier burst */
        worker->resolves[i].refused = false;
    }
    if (worker->resolve_tries > 0)
        record_resolve(worker, packet, record);
}

void
weir_worker_resolve_all(struct weir_worker *worker)
{
    const struct weir_parsed *parsed = worker->options.parsed;
    uint32_t at = 0;
    /* new lines go as text then, or nowhere: only series that are known are worth a look */
    bool backlog = worker->deferral_free_count <= WEIR_WORKER_DEFERRALS_IN_HAND;
    if (worker->resolve_tries < RESOLVE_TRIES)
        worker->resolve_tries = RESOLVE_TRIES;
    worker->labels_used = 0;
    worker->resolving_count = 0;
    for (uint32_t s = 0; s < worker->portion_count; s++) {
        const struct weir_worker_portion *portion = &worker->portions[s];
        const struct weir_packet *packet = &worker->packets[portion->packet];
        for (; at < portion->record_end; at++)
            if (backlog)
                record_resolve_known(worker, packet, &parsed->records[at]);
            else if (!record_label(worker, packet, &parsed->records[at]))
                record_resolve(worker, packet, &parsed->records[at]);
    }
    resolve_labelled(worker);
}
