/* Packets of a session's protocol: each is parsed, numbered and appended as a whole. */
#include "dataplane/worker/parts.h"

static const struct weir_session *
session_of(const struct weir_packet *packet)
{
    return weir_protocols[packet->proto].session;
}

/* Works through the records of one weir packet. wire_ready has seen to room for all of them. */
static void
append_items(struct weir_worker *worker)
{
    const struct weir_parsed *parsed = worker->options.parsed;
    struct weir_packet *packet = &worker->packets[worker->packet_at];
    struct weir_batch *batch = worker->batch;
    uint64_t start = weir_tsc();
    uint64_t samples = 0;
    for (; worker->record_at < parsed->record_count; worker->record_at++) {
        const struct weir_record *record = &parsed->records[worker->record_at];
        const struct weir_wire_item *item = &parsed->items[worker->record_at];
        worker->records_seen++;
        if (record->reason != WEIR_REASON_NONE) {
            weir_worker_record_reject(worker, record, 0, record->reason);
            weir_worker_wire_refused(worker, item, record->reason);
        } else if (item->kind == WEIR_WIRE_ITEM_DEFINITION) {
            weir_worker_definition_defer(worker, record, item);
        } else {
            if (item->kind == WEIR_WIRE_ITEM_GROUP)
                session_of(packet)->accept(batch, item);
            if (batch->opened_tsc == 0)
                batch->opened_tsc = packet->receive_tsc;
            batch->records++;
            samples += item->count * (item->kind == WEIR_WIRE_ITEM_GROUP);
            weir_worker_unit(worker, WEIR_UNIT_RECORDS)->received++;
            packet->accepted++;
            packet->batch = batch->number;
        }
    }
    if (samples > 0)
        worker->known_ns = worker->now_ns;
    if (parsed->record_count > 0 && batch != NULL)
        packet->ack_batch = batch->number;
    weir_worker_unit(worker, WEIR_UNIT_SAMPLES)->received += samples;
    weir_worker_cycles(worker, WEIR_STAGE_batch, start, samples);
    worker->options.counts->samples[WEIR_STAGE_receive] += samples;
    worker->options.counts->samples[WEIR_STAGE_parse] += samples;
}

/* Whether the open batch has room for all samples of the packet at byte_at. Nearly always it has
 * for as many as all bytes that are left could be, and the header need not be read. */
static bool
batch_holds_next(const struct weir_worker *worker)
{
    const struct weir_packet *packet = &worker->packets[worker->packet_at];
    uint32_t room = WEIR_BATCH_SAMPLES_MAX - worker->batch->count;
    struct weir_session_head head;
    if (WEIR_LIKELY((packet->size - worker->byte_at) / sizeof(double) <= room))
        return true;
    session_of(packet)->begin(packet->data + worker->byte_at, packet->size - worker->byte_at,
        &head);
    return head.samples_max <= room;
}

/* A weir packet ends in one batch together with its number's state entry: so there is room for all
 * of it, and for another state entry, before it is parsed. While the log takes nothing, no batch
 * comes back either, and none is needed: all is refused. */
static bool
wire_ready(struct weir_worker *worker)
{
    if (worker->batch != NULL &&
        (!batch_holds_next(worker) ||
            weir_channels_dirty_count(worker->options.channels) >= WEIR_WORKER_DIRTY_PUSH))
        weir_worker_batch_push(worker);
    worker->context.refusal = weir_progress_refusal(worker->options.progress);
    return worker->context.refusal != WEIR_REASON_NONE || weir_worker_batch_open(worker);
}

/* Whether datagrams of the channel are waiting, which this packet must not overtake. */
static bool
must_queue(const struct weir_worker *worker, const struct weir_packet *packet)
{
    struct weir_session_head head;
    if (WEIR_LIKELY(weir_aside_count(worker->aside) == 0))
        return false;
    const struct weir_session *session = session_of(packet);
    if (packet->size - worker->byte_at < session->head_size)
        return false;
    session->begin(packet->data + worker->byte_at, packet->size - worker->byte_at, &head);
    return worker->context.refusal == WEIR_REASON_NONE && !weir_worker_is_aside(worker) &&
        weir_aside_has(worker->aside, head.sender, head.channel);
}

/* Parses the packet at byte_at. Returns where it ends. */
static uint32_t
parse(struct weir_worker *worker, struct weir_packet *packet)
{
    weir_worker_parsed_reset(worker);
    uint64_t start = weir_tsc();
    uint32_t at = (uint32_t)weir_protocols[packet->proto].parse(&worker->context, packet,
        worker->byte_at, worker->options.parsed);
    weir_worker_cycles(worker, WEIR_STAGE_parse, start, 0);
    weir_worker_count_parsed(worker);
    return at;
}

/* The packet at byte_at waits for the registrar. A stream keeps it, a datagram is copied. Where
 * there is no room for that it is refused by name. */
static void
wait(struct weir_worker *worker, struct weir_packet *packet)
{
    struct weir_session_head head;
    session_of(packet)->begin(packet->data + worker->byte_at, packet->size - worker->byte_at,
        &head);
    if (packet->stream || weir_worker_is_aside(worker)) {
        packet->waits = true;
        worker->streams_held |= packet->stream;
    } else if (weir_aside_put(worker->aside, head.sender, head.channel, packet,
                   worker->byte_at)) {
        weir_worker_unit(worker, WEIR_UNIT_PACKETS)->received++;
        worker->packets_aside++;
        packet->waits = true;
    } else {
        worker->context.refusal = WEIR_REASON_template_backlog;
        worker->byte_at = parse(worker, packet);
        append_items(worker);
        return;
    }
    worker->options.counts->counter[WEIR_COUNTER_template_waits] += !weir_worker_is_aside(worker);
}

/* Works through one weir packet, or a stretch of a stream of them: each is appended before the
 * next is parsed. False where it has to wait for an empty batch. */
bool
weir_worker_wire_work(struct weir_worker *worker)
{
    struct weir_packet *packet = &worker->packets[worker->packet_at];
    WEIR_ASSERT(worker->parse_at == worker->packet_at);
    while (worker->byte_at < packet->size && !packet->waits) {
        if (!wire_ready(worker))
            return false;
        if (must_queue(worker, packet)) {
            wait(worker, packet);
            continue;
        }
        uint32_t at = parse(worker, packet);
        if (worker->options.parsed->waits) {
            wait(worker, packet);
            continue;
        }
        if (at == worker->byte_at)
            break; /* an incomplete packet of a stream */
        worker->byte_at = at;
        append_items(worker);
    }
    uint32_t consumed = worker->byte_at;
    worker->parse_at++;
    worker->byte_at = 0;
    weir_worker_packet_end(worker, consumed);
    /* all records that were parsed have been appended; whoever parses next resets them */
    WEIR_DCHECK(worker->record_at == worker->options.parsed->record_count);
    return true;
}
