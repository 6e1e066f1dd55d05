/* What goes to the registrar, and what comes back from it. */
#include "dataplane/worker/parts.h"

#define CHUNK_LINES_MAX (WEIR_CHUNK_BYTES / 64)
_Static_assert(WEIR_WORKER_DIRTY_PUSH + CHUNK_LINES_MAX <= WEIR_SENDERS_DIRTY_MAX, "no standstill");

void
weir_worker_chunk_push(struct weir_worker *worker)
{
    struct weir_chunk *chunk = worker->chunk;
    uint32_t edge = WEIR_EDGE_WORKER_REGISTRAR(worker->options.index);
    chunk->ack_waiting = worker->ack_waiting;
    weir_edge_put(&worker->options.ledger->edges[edge], chunk->number, chunk->packets,
        chunk->records, chunk->samples);
    worker->options.counts->pushed[edge] = chunk->number;
    worker->chunk = NULL;
    weir_worker_publish(worker);
    bool pushed = weir_ring_push(worker->options.chunks, chunk);
    WEIR_ASSERT(pushed);
}

/* Takes the points of a resolved line into the series cache, or fetches their buckets before. */
static void
take_points(struct weir_worker *worker, const uint8_t *list, uint32_t count, bool fetch)
{
    struct weir_series_cache *cache = worker->options.series_cache;
    for (uint32_t i = 0; i < count; i++) {
        const struct weir_chunk_point *point = (const void *)list;
        if (fetch)
            weir_series_cache_prefetch(cache, point->raw);
        else if (point->labels_size > 0 && point->number != WEIR_RAW_UNKNOWN)
            weir_series_cache_insert(cache, point->raw, point->number);
        list += weir_chunk_point_bytes(point->labels_size);
    }
}

/* The numbers of a definition, for which its channel may have waited. */
static void
definition_settled(struct weir_worker *worker, const uint8_t *text)
{
    struct weir_definition_text head;
    memcpy(&head, text, sizeof head);
    weir_definition_settled(&worker->context, text);
    weir_aside_wake(worker->aside, head.sender, head.channel);
    worker->resume_due = true;
}

/* The series numbers that a chunk brings back. */
static void
take_numbers(struct weir_worker *worker, const struct weir_chunk *chunk)
{
    struct weir_chunk_line line;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t at = 0; at < chunk->used; at += (uint32_t)weir_chunk_line_bytes(line.size)) {
            memcpy(&line, chunk->lines + at, sizeof line);
            const uint8_t *text = chunk->lines + at + sizeof line;
            if (line.defines > 0 && pass == 0)
                definition_settled(worker, text);
            else if (line.defines == 0 && line.resolved)
                take_points(worker, text, line.samples, pass == 0);
        }
    }
}

/* A chunk's definitions may each change another channel, and the marks of all have to fit. */
static bool
settlements_welcome(const struct weir_worker *worker)
{
    return worker->options.senders == NULL ||
        weir_senders_dirty_count(worker->options.senders) + CHUNK_LINES_MAX <=
            WEIR_SENDERS_DIRTY_MAX;
}

/* Delivers what the registrar says of deferred records and keeps the emptied chunks. */
size_t
weir_worker_take_settled(struct weir_worker *worker)
{
    size_t taken = 0;
    struct weir_chunk *chunk;
    while (settlements_welcome(worker) &&
        (chunk = weir_ring_pop(worker->options.settled)) != NULL) {
        for (uint32_t i = 0; i < chunk->settlement_count; i++) {
            const struct weir_settlement *settlement = &chunk->settlements[i];
            uint32_t port = settlement->source >> WEIR_SOURCE_BITS;
            WEIR_ASSERT(port != 0 && port <= worker->options.port_count);
            struct weir_port *owner = worker->options.ports[port - 1];
            if (owner->ops->settle != NULL)
                owner->ops->settle(owner, settlement);
        }
        chunk->settlement_count = 0;
        uint64_t start = weir_tsc();
        take_numbers(worker, chunk);
        weir_worker_cycles(worker, WEIR_STAGE_resolve, start, 0);
        chunk->used = 0;
        WEIR_ASSERT(worker->chunk_free_count < WEIR_CHUNKS);
        worker->chunks_free[worker->chunk_free_count++] = chunk;
        taken++;
    }
    return taken;
}

/* Chunks that the burst at hand leaves to others: who cannot be held back leaves those that must be
 * free before the others are listened to. A flood of datagrams would keep their known series out
 * too. */
static uint32_t
chunks_left_to_others(const struct weir_worker *worker)
{
    if (worker->port->ops->settle != NULL)
        return 0;
    for (uint32_t i = 0; i < worker->options.port_count; i++)
        if (worker->options.ports[i]->ops->settle != NULL)
            return WEIR_WORKER_CHUNKS_IN_HAND;
    return 0;
}

/* Opens a chunk with room for bytes; a fuller one is pushed first. */
static bool
chunk_open(struct weir_worker *worker, size_t bytes)
{
    if (worker->chunk != NULL && WEIR_CHUNK_BYTES - worker->chunk->used >= bytes)
        return true;
    if (worker->chunk_free_count <= chunks_left_to_others(worker))
        return false;
    if (worker->chunk != NULL)
        weir_worker_chunk_push(worker);
    struct weir_chunk *chunk = worker->chunks_free[--worker->chunk_free_count];
    chunk->number = ++worker->chunk_number;
    chunk->used = 0;
    chunk->packets = 0;
    chunk->records = 0;
    chunk->samples = 0;
    chunk->peer_count = 0;
    chunk->opened_tsc = worker->packets[worker->packet_at].receive_tsc;
    worker->chunk = chunk;
    worker->chunk_opened_ns = worker->now_ns;
    return true;
}

/* The packet's sender in the chunk's list. */
static uint16_t
peer_put(struct weir_chunk *chunk, const struct weir_packet *packet)
{
    const struct weir_peer *last = &chunk->peers[chunk->peer_count - (chunk->peer_count > 0)];
    if (chunk->peer_count == 0 || memcmp(last, &packet->peer, sizeof *last) != 0 ||
        chunk->listeners[chunk->peer_count - 1] != packet->listener) {
        chunk->listeners[chunk->peer_count] = packet->listener;
        chunk->peers[chunk->peer_count++] = packet->peer;
    }
    return (uint16_t)(chunk->peer_count - 1);
}

/* Room for a list, which takes up to 50 times what its text does. The last chunks are for the text
 * of those who are listened to; lists are kept out of the open one too, or they would fill it. */
static bool
list_fits(const struct weir_worker *worker, size_t bytes)
{
    return worker->chunk_free_count > WEIR_WORKER_CHUNKS_IN_HAND &&
        weir_chunk_line_bytes(bytes) <= WEIR_CHUNK_BYTES;
}

/* A weir definition with unknown series goes to the registrar. */
void
weir_worker_definition_defer(struct weir_worker *worker, const struct weir_record *record,
    const struct weir_run *run)
{
    struct weir_packet *packet = &worker->packets[worker->packet_at];
    struct weir_channel *channel = run->channel;
    struct weir_definition_text text = {.sender = channel->sender,
        .sequence = run->sequence,
        .epoch = channel->epoch,
        .channel = channel->channel};
    const size_t head = sizeof text + sizeof(struct weir_wire_record);
    bool resolved = run->list != NULL && list_fits(worker, head + run->list_bytes);
    size_t size = resolved ? head + run->list_bytes : sizeof text + record->size;
    size_t bytes = weir_chunk_line_bytes(size);
    if (!chunk_open(worker, bytes)) {
        weir_worker_record_reject(worker, record, 0, WEIR_REASON_define_backlog);
        return;
    }
    struct weir_chunk *chunk = worker->chunk;
    const struct weir_chunk_line line = {.size = (uint32_t)size,
        .source = packet->source,
        .proto = packet->proto & 0x7f,
        .resolved = resolved,
        .defines = (uint16_t)run->count,
        .peer = peer_put(chunk, packet),
        .receive_ms = packet->receive_ms,
        .text_size = record->size};
    uint8_t *at = chunk->lines + chunk->used;
    text.list_count = resolved ? (uint16_t)run->list_count : 0;
    memcpy(at, &line, sizeof line);
    memcpy(at + sizeof line, &text, sizeof text);
    at += sizeof line + sizeof text;
    if (resolved) {
        memcpy(at, record->text, sizeof(struct weir_wire_record));
        memcpy(at + sizeof(struct weir_wire_record), run->list, run->list_bytes);
    } else {
        memcpy(at, record->text, record->size);
    }
    chunk->used += (uint32_t)bytes;
    chunk->records++;
    channel->pending++;
    weir_worker_unit(worker, WEIR_UNIT_RECORDS)->received++;
    packet->deferred++;
}

/* Bytes of a record as a list of its points, or 0 where it goes to the registrar as text: where
 * not all labels are at hand, or no list is let in. */
static size_t
resolved_bytes(const struct weir_worker *worker, const struct weir_record *record)
{
    size_t bytes = 0;
    for (uint32_t i = record->point_first; i < record->point_first + record->point_count; i++) {
        bool known = worker->numbers[i] != WEIR_RAW_UNKNOWN;
        if (!known && worker->resolves[i].labels_size == 0)
            return 0;
        bytes += weir_chunk_point_bytes(known ? 0 : worker->resolves[i].labels_size);
    }
    return list_fits(worker, bytes) ? bytes : 0;
}

/* Lays a record's points out as a list of struct weir_chunk_point. */
static void
put_points(const struct weir_worker *worker, const struct weir_record *record, uint8_t *list)
{
    for (uint32_t i = record->point_first; i < record->point_first + record->point_count; i++) {
        const struct weir_point *point = &worker->options.parsed->points[i];
        const struct weir_worker_resolve *resolve = &worker->resolves[i];
        bool known = worker->numbers[i] != WEIR_RAW_UNKNOWN;
        struct weir_chunk_point *out = (void *)list;
        *out = (struct weir_chunk_point){.raw = point->raw,
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
        list += weir_chunk_point_bytes(out->labels_size);
    }
}

/* Has the record been kept as refused, for the labels of a point? */
static bool
has_refused(const struct weir_worker *worker, const struct weir_record *record)
{
    for (uint32_t i = record->point_first; i < record->point_first + record->point_count; i++)
        if (worker->numbers[i] == WEIR_RAW_UNKNOWN && worker->resolves[i].refused)
            return true;
    return false;
}

/* The whole line goes to the registrar. */
void
weir_worker_record_defer(struct weir_worker *worker, const struct weir_record *record)
{
    struct weir_packet *packet = &worker->packets[worker->packet_at];
    size_t size = resolved_bytes(worker, record);
    bool resolved = size > 0;
    if (!resolved)
        size = record->size;
    size_t bytes = weir_chunk_line_bytes(size);
    if (!chunk_open(worker, bytes)) {
        weir_worker_record_reject(worker, record, record->point_count,
            WEIR_REASON_define_backlog);
        return;
    }
    struct weir_chunk *chunk = worker->chunk;
    struct weir_chunk_line line = {.size = (uint32_t)size,
        .source = packet->source,
        .proto = packet->proto & 0x7f,
        .kept = !resolved && has_refused(worker, record),
        .time_unit = packet->time_unit & 0x7f,
        .resolved = resolved,
        .samples = (uint16_t)record->point_count,
        .peer = peer_put(chunk, packet),
        .receive_ms = packet->receive_ms,
        .text_size = record->size};
    uint8_t *at = chunk->lines + chunk->used;
    memcpy(at, &line, sizeof line);
    if (resolved)
        put_points(worker, record, at + sizeof line);
    else
        memcpy(at + sizeof line, record->text, record->size);
    chunk->used += (uint32_t)bytes;
    chunk->records++;
    chunk->samples += record->point_count;
    weir_worker_unit(worker, WEIR_UNIT_RECORDS)->received++;
    weir_worker_unit(worker, WEIR_UNIT_SAMPLES)->received += record->point_count;
    packet->deferred++;
}
