/* Records on their way to the registrar, and back. */
#include "dataplane/worker/parts.h"

#define DEFERRAL_LINES_MAX (WEIR_DEFERRAL_BYTES / 64)
_Static_assert(
    WEIR_WORKER_DIRTY_PUSH + DEFERRAL_LINES_MAX <= WEIR_CHANNELS_DIRTY_MAX, "no standstill");

void
weir_worker_deferral_push(struct weir_worker *worker)
{
    struct weir_deferral *deferral = worker->deferral;
    uint32_t edge = WEIR_EDGE_WORKER_REGISTRAR(worker->options.index);
    deferral->ack_waiting = worker->ack_waiting;
    const uint64_t count[WEIR_UNIT_COUNT] = {
        deferral->packets, deferral->records, deferral->samples};
    worker->deferral = NULL;
    weir_worker_hand_over(worker, edge, worker->options.deferrals, deferral, deferral->number,
        count);
}

/* Inserts the points of a resolved line into the series cache, or fetches their buckets before. */
static void
insert_points(struct weir_worker *worker, const uint8_t *list, uint32_t count, bool fetch)
{
    struct weir_series_cache *cache = worker->options.series_cache;
    for (uint32_t i = 0; i < count; i++) {
        const struct weir_deferred_point *point = (const void *)list;
        if (fetch)
            weir_series_cache_prefetch(cache, point->raw);
        else if (point->labels_size > 0 && point->number != WEIR_SERIES_UNKNOWN)
            weir_series_cache_insert(cache, point->raw, point->number);
        list += weir_deferred_point_bytes(point->labels_size);
    }
}

/* The numbers of a definition, for which its channel may have waited. */
static void
definition_completed(struct weir_worker *worker, const struct weir_session *session,
    const uint8_t *text)
{
    struct weir_definition_text head;
    memcpy(&head, text, sizeof head);
    session->complete(&worker->context, text);
    weir_aside_wake(worker->aside, head.sender, head.channel);
    worker->resume_due = true;
}

/* The series numbers and refusals that a deferral brings back. */
static void
apply_numbers(struct weir_worker *worker, const struct weir_deferral *deferral)
{
    struct weir_deferred_line line;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t at = 0; at < deferral->used;
             at += (uint32_t)weir_deferred_line_bytes(line.size)) {
            memcpy(&line, deferral->lines + at, sizeof line);
            const uint8_t *text = deferral->lines + at + sizeof line;
            if (line.refused != 0 && pass == 0)
                weir_worker_answer(worker, line.proto, line.source,
                    &(struct weir_record){.text = text, .size = line.size},
                    (uint8_t)(line.refused - 1));
            if (line.defines > 0 && pass == 0)
                definition_completed(worker, weir_protocols[line.proto].session, text);
            else if (line.defines == 0 && line.resolved)
                insert_points(worker, text, line.samples, pass == 0);
        }
    }
}

/* A deferral's definitions may each change another channel, and the state entries of all have to
 * fit. */
static bool
completions_welcome(const struct weir_worker *worker)
{
    return worker->options.channels == NULL ||
        weir_channels_dirty_count(worker->options.channels) + DEFERRAL_LINES_MAX <=
            WEIR_CHANNELS_DIRTY_MAX;
}

/* Delivers what the registrar says of deferred records and keeps the emptied deferrals. */
size_t
weir_worker_pop_completed(struct weir_worker *worker)
{
    size_t popped = 0;
    struct weir_deferral *deferral;
    while (completions_welcome(worker) &&
        (deferral = weir_ring_pop(worker->options.completed)) != NULL) {
        for (uint32_t i = 0; i < deferral->completion_count; i++) {
            const struct weir_completion *completion = &deferral->completions[i];
            uint32_t port = completion->source >> WEIR_SOURCE_BITS;
            WEIR_ASSERT(port != 0 && port <= worker->options.port_count);
            struct weir_port *owner = worker->options.ports[port - 1];
            if (owner->ops->complete != NULL)
                owner->ops->complete(owner, completion);
        }
        deferral->completion_count = 0;
        uint64_t start = weir_tsc();
        apply_numbers(worker, deferral);
        weir_worker_cycles(worker, WEIR_STAGE_resolve, start, 0);
        deferral->used = 0;
        WEIR_ASSERT(worker->deferral_free_count < WEIR_DEFERRALS);
        worker->deferrals_free[worker->deferral_free_count++] = deferral;
        popped++;
    }
    return popped;
}

/* Deferrals that the burst at hand leaves to others: who cannot be held back leaves those that must
 * be free before the others are listened to. A flood of datagrams would keep their known series out
 * too. */
static uint32_t
deferrals_left_to_others(const struct weir_worker *worker)
{
    if (worker->port->ops->complete != NULL)
        return 0;
    for (uint32_t i = 0; i < worker->options.port_count; i++)
        if (worker->options.ports[i]->ops->complete != NULL)
            return WEIR_WORKER_DEFERRALS_IN_HAND;
    return 0;
}

/* Opens a deferral with room for bytes; a fuller one is pushed first. */
static bool
deferral_open(struct weir_worker *worker, size_t bytes)
{
    if (worker->deferral != NULL && WEIR_DEFERRAL_BYTES - worker->deferral->used >= bytes)
        return true;
    if (worker->deferral_free_count <= deferrals_left_to_others(worker))
        return false;
    if (worker->deferral != NULL)
        weir_worker_deferral_push(worker);
    struct weir_deferral *deferral = worker->deferrals_free[--worker->deferral_free_count];
    deferral->number = ++worker->deferral_number;
    deferral->used = 0;
    deferral->packets = 0;
    deferral->records = 0;
    deferral->samples = 0;
    deferral->peer_count = 0;
    deferral->opened_tsc = worker->packets[worker->packet_at].receive_tsc;
    worker->deferral = deferral;
    worker->deferral_opened_ns = worker->now_ns;
    return true;
}

/* The packet's sender in the deferral's list. */
static uint16_t
peer_put(struct weir_deferral *deferral, const struct weir_packet *packet)
{
    const struct weir_peer *last =
        &deferral->peers[deferral->peer_count - (deferral->peer_count > 0)];
    if (deferral->peer_count == 0 || memcmp(last, &packet->peer, sizeof *last) != 0 ||
        deferral->listeners[deferral->peer_count - 1] != packet->listener) {
        deferral->listeners[deferral->peer_count] = packet->listener;
        deferral->peers[deferral->peer_count++] = packet->peer;
    }
    return (uint16_t)(deferral->peer_count - 1);
}

/* Room for a list, which takes up to 50 times what its text does. The last deferrals are for the
 * text of those who are listened to; lists are kept out of the open one too, or they would fill it.
 */
static bool
list_fits(const struct weir_worker *worker, size_t bytes)
{
    return worker->deferral_free_count > WEIR_WORKER_DEFERRALS_IN_HAND &&
        weir_deferred_line_bytes(bytes) <= WEIR_DEFERRAL_BYTES;
}

/* A weir definition with unknown series goes to the registrar. */
void
weir_worker_definition_defer(struct weir_worker *worker, const struct weir_record *record,
    const struct weir_wire_item *item)
{
    struct weir_packet *packet = &worker->packets[worker->packet_at];
    struct weir_channel *channel = item->channel;
    struct weir_definition_text text = {.sender = channel->sender,
        .sequence = item->sequence,
        .epoch = channel->epoch,
        .channel = channel->channel};
    const size_t head = WEIR_DEFINITION_LIST_AT;
    bool resolved = item->list != NULL && list_fits(worker, head + item->list_bytes);
    size_t size = resolved ? head + item->list_bytes : sizeof text + record->size;
    size_t bytes = weir_deferred_line_bytes(size);
    if (!deferral_open(worker, bytes)) {
        weir_worker_record_reject(worker, record, 0, WEIR_REASON_define_backlog);
        return;
    }
    struct weir_deferral *deferral = worker->deferral;
    const struct weir_deferred_line line = {.size = (uint32_t)size,
        .source = packet->source,
        .proto = packet->proto & 0x1f,
        .resolved = resolved,
        .defines = (uint16_t)item->count,
        .peer = peer_put(deferral, packet),
        .receive_ms = packet->receive_ms,
        .text_size = record->size};
    uint8_t *at = deferral->lines + deferral->used;
    text.list_count = resolved ? (uint16_t)item->list_count : 0;
    memcpy(at, &line, sizeof line);
    memcpy(at + sizeof line, &text, sizeof text);
    at += sizeof line + sizeof text;
    if (resolved) {
        memcpy(at, record->text, WEIR_DEFINITION_HEAD);
        memcpy(at + WEIR_DEFINITION_HEAD, item->list, item->list_bytes);
    } else {
        memcpy(at, record->text, record->size);
    }
    deferral->used += (uint32_t)bytes;
    deferral->records++;
    channel->pending++;
    weir_worker_unit(worker, WEIR_UNIT_RECORDS)->received++;
    packet->deferred++;
}

/* Bytes of a record as a list of its points, or 0 where it goes to the registrar as text: where
 * not all labels are at hand, no list is let in, or its sender may have to be answered with it. */
static size_t
resolved_bytes(const struct weir_worker *worker, const struct weir_record *record)
{
    const struct weir_packet *packet = &worker->packets[worker->packet_at];
    size_t bytes = 0;
    if (weir_protocols[packet->proto].answer != NULL && packet->source != 0)
        return 0;
    for (uint32_t i = record->point_first; i < record->point_first + record->point_count; i++) {
        bool known = worker->numbers[i] != WEIR_SERIES_UNKNOWN;
        if (!known && worker->resolves[i].labels_size == 0)
            return 0;
        bytes += weir_deferred_point_bytes(known ? 0 : worker->resolves[i].labels_size);
    }
    return list_fits(worker, bytes) ? bytes : 0;
}

/* Lays a record's points out as a list of struct weir_deferred_point. */
static void
put_points(const struct weir_worker *worker, const struct weir_record *record, uint8_t *list)
{
    for (uint32_t i = record->point_first; i < record->point_first + record->point_count; i++) {
        const struct weir_point *point = &worker->options.parsed->points[i];
        const struct weir_worker_resolve *resolve = &worker->resolves[i];
        bool known = worker->numbers[i] != WEIR_SERIES_UNKNOWN;
        struct weir_deferred_point *out = (void *)list;
        *out = (struct weir_deferred_point){.raw = point->raw,
            .number = worker->numbers[i],
            .time_ms = point->time_ms,
            .value = point->value,
            .exponent = point->exponent,
            .kind = point->kind};
        if (!known) {
            out->fingerprint = resolve->fingerprint;
            out->labels_size = (uint16_t)resolve->labels_size;
            memcpy(out + 1, worker->labels + resolve->labels_at, resolve->labels_size);
        }
        list += weir_deferred_point_bytes(out->labels_size);
    }
}

/* Has the record been kept as refused, for the labels of a point? */
static bool
has_refused(const struct weir_worker *worker, const struct weir_record *record)
{
    for (uint32_t i = record->point_first; i < record->point_first + record->point_count; i++)
        if (worker->numbers[i] == WEIR_SERIES_UNKNOWN && worker->resolves[i].refused)
            return true;
    return false;
}

/* Every point of the line goes to the registrar, those of known series too: as a list of points
 * with their labels and fingerprints, or as the line's text (resolved_bytes says when). */
void
weir_worker_record_defer(struct weir_worker *worker, const struct weir_record *record)
{
    struct weir_packet *packet = &worker->packets[worker->packet_at];
    size_t size = resolved_bytes(worker, record);
    bool resolved = size > 0;
    if (!resolved)
        size = record->size;
    size_t bytes = weir_deferred_line_bytes(size);
    if (!deferral_open(worker, bytes)) {
        weir_worker_record_reject(worker, record, record->point_count,
            WEIR_REASON_define_backlog);
        return;
    }
    struct weir_deferral *deferral = worker->deferral;
    struct weir_deferred_line line = {.size = (uint32_t)size,
        .source = packet->source,
        .proto = packet->proto & 0x1f,
        .kept = !resolved && has_refused(worker, record),
        .time_unit = packet->time_unit & 0x7,
        .resolved = resolved,
        .samples = (uint16_t)record->point_count,
        .peer = peer_put(deferral, packet),
        .receive_ms = packet->receive_ms,
        .text_size = record->size};
    uint8_t *at = deferral->lines + deferral->used;
    memcpy(at, &line, sizeof line);
    if (resolved)
        put_points(worker, record, at + sizeof line);
    else
        memcpy(at + sizeof line, record->text, record->size);
    deferral->used += (uint32_t)bytes;
    deferral->records++;
    deferral->samples += record->point_count;
    weir_worker_unit(worker, WEIR_UNIT_RECORDS)->received++;
    weir_worker_unit(worker, WEIR_UNIT_SAMPLES)->received += record->point_count;
    packet->deferred++;
}
