/* The answers to senders over TCP.
 *
 * An answer follows the sender's half-close: see connections.h for the states. Senders of the weir
 * protocol are acknowledged besides whenever a batch with their packets has become durable:
 *
 *   release: ack[1] = newest ---> ack[0] empty: moves there ---> its batch durable: sent
 */
#include "base/clock.h"
#include "dataplane/port/tcp/parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define DISK_FULL_WAIT_NS INT64_C(1000000000)

void
weir_tcp_forget_ack(struct weir_port_tcp *tcp, struct weir_connection *connection)
{
    if (!connection->acking)
        return;
    uint32_t last = tcp->acking[--tcp->acking_count];
    tcp->acking[connection->acking_at] = last;
    weir_connection_at(tcp->connections, last)->acking_at = connection->acking_at;
    connection->acking = false;
}

static void
acking_add(struct weir_port_tcp *tcp, struct weir_connection *connection)
{
    if (connection->acking)
        return;
    connection->acking = true;
    connection->acking_at = tcp->acking_count;
    tcp->acking[tcp->acking_count++] = connection->slot;
}

void
weir_tcp_wait_for_answer(struct weir_port_tcp *tcp, struct weir_connection *connection)
{
    WEIR_ASSERT(connection->ended && connection->kept == 0);
    connection->waiting = true;
    weir_connection_list_add(&tcp->waiting, connection);
    tcp->changed = true;
}

/* The end of an acknowledgement, of which the first bytes found room, is kept: what follows has to
 * begin after the whole of it. False where the connection is broken, which its event reports. */
static bool
send_or_keep(struct weir_port_tcp *tcp, struct weir_connection *connection, const void *data,
    size_t size)
{
    ssize_t sent = send(connection->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    bool broken = sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
    size_t done = broken ? size : sent < 0 ? 0 : (size_t)sent;
    bool watched = connection->unsent > 0;
    memmove(connection->rest, (const uint8_t *)data + done, size - done);
    connection->unsent = (uint8_t)(size - done);
    if (watched != (connection->unsent > 0))
        weir_tcp_watch(tcp, connection);
    /* else it is the end of a line that answered one record (lines.c) */
    if (connection->unsent == 0 && (connection->session != NULL || connection->closing))
        weir_tcp_count(tcp, broken ? WEIR_COUNTER_acks_broken : WEIR_COUNTER_acks_sent);
    return !broken;
}

static bool
acknowledge_or_keep(struct weir_port_tcp *tcp, struct weir_connection *connection,
    const struct weir_session_ack *ack)
{
    uint8_t bytes[WEIR_ACK_SIZE_MAX];
    _Static_assert(sizeof bytes <= sizeof connection->rest, "an acknowledgement can be kept");
    return send_or_keep(tcp, connection, bytes, connection->session->acknowledge(ack, bytes));
}

/* Reports that packets were refused for their epoch. */
static void
send_epoch_status(struct weir_port_tcp *tcp, struct weir_connection *connection)
{
    const struct weir_session_ack ack = {.status = connection->epoch_status,
        .channel = connection->epoch_channel,
        .epoch = connection->epoch,
        .rejected = connection->rejected};
    if (connection->epoch_status == 0 || connection->unsent > 0)
        return;
    connection->epoch_status = 0;
    (void)acknowledge_or_keep(tcp, connection, &ack);
}

/* Behind one that waits for room the newest follows, which says as much as those between. */
void
weir_tcp_send_ack(struct weir_port_tcp *tcp, struct weir_connection *connection, uint16_t status)
{
    const struct weir_session_ack ack = {.status = status,
        .channel = connection->acked.channel,
        .epoch = connection->acked.epoch,
        .sequence = connection->acked.sequence,
        .rejected = connection->rejected};
    connection->repeat = connection->unsent > 0;
    connection->repeat_status = status;
    if (connection->unsent == 0)
        (void)acknowledge_or_keep(tcp, connection, &ack);
}

bool
weir_tcp_writable(struct weir_port_tcp *tcp, struct weir_connection *connection)
{
    if (connection->unsent == 0)
        return true;
    if (!send_or_keep(tcp, connection, connection->rest, connection->unsent))
        connection->repeat = false;
    if (connection->unsent == 0 && connection->repeat)
        weir_tcp_send_ack(tcp, connection, connection->repeat_status);
    if (connection->unsent > 0)
        return true;
    if (connection->closing) {
        weir_tcp_drop(tcp, connection);
        return false;
    }
    tcp->changed = true; /* it may wait for its last one */
    return true;
}

void
weir_tcp_note_ack(struct weir_port_tcp *tcp, struct weir_connection *connection,
    const struct weir_packet *packet)
{
    connection->must_report |= packet->rejected > 0 && tcp->state != WEIR_INGEST_OPEN;
    if (packet->ack_epoch != 0 && packet->ack_batch != 0) {
        connection->ack[1] = (struct weir_connection_ack){.batch = packet->ack_batch,
            .sequence = packet->ack_sequence,
            .epoch = packet->ack_epoch,
            .channel = packet->ack_channel};
        connection->worker_batch = packet->ack_batch;
    }
    if (packet->refused_status != 0) {
        connection->epoch_status = packet->refused_status;
        connection->epoch_channel = packet->refused_channel;
        connection->epoch = packet->refused_epoch;
    }
    if (connection->must_report || connection->ack[1].batch != 0 || connection->epoch_status != 0) {
        acking_add(tcp, connection);
        tcp->changed = true;
    }
}

void
weir_tcp_complete(struct weir_port *port, const struct weir_completion *completion)
{
    struct weir_port_tcp *tcp = weir_tcp_of(port);
    struct weir_connection *connection =
        weir_connection_find(tcp->connections, completion->source);
    if (connection == NULL)
        return; /* gone in the meantime; nobody is to be answered */
    connection->accepted += completion->accepted;
    connection->rejected += completion->rejected;
    connection->incomplete -= (int64_t)completion->accepted + completion->rejected;
    if (completion->batch > connection->registrar_batch)
        connection->registrar_batch = completion->batch;
    tcp->changed = true;
}

/* The last line, then the end. A connection that was never written to has room for it; one that was
 * may have to read first. */
static void
answer(struct weir_port_tcp *tcp, struct weir_connection *connection, const char *line)
{
    connection->closing = true;
    (void)send_or_keep(tcp, connection, line, strlen(line));
    if (connection->unsent == 0)
        weir_tcp_drop(tcp, connection);
}

/* Batches on their way when the log filled up may still become durable, or wait for room as long
 * as it takes: after a while the answer to their senders is that there is no promise. */
static bool
full_for_long(const struct weir_port_tcp *tcp)
{
    return tcp->state == WEIR_INGEST_DISK_FULL &&
           weir_mono_ns() - tcp->state_since_ns >= DISK_FULL_WAIT_NS;
}

static uint16_t
ack_status(const struct weir_port_tcp *tcp)
{
    return tcp->state == WEIR_INGEST_DISK_FULL ? WEIR_ACK_DISK_FULL
        : tcp->state == WEIR_INGEST_IO_ERROR   ? WEIR_ACK_IO_ERROR
                                               : WEIR_ACK_OK;
}

/* A session's sender has half-closed: its last acknowledgement, then the end. */
static void
answer_session(struct weir_port_tcp *tcp, struct weir_connection *connection, bool durable)
{
    uint16_t status = ack_status(tcp);
    bool given_up = status == WEIR_ACK_IO_ERROR || full_for_long(tcp);
    if (connection->unsent > 0)
        return; /* until its sender reads, or others need its place */
    if (!given_up && !(durable && connection->incomplete == 0))
        return;
    send_epoch_status(tcp, connection);
    if (connection->unsent > 0)
        return;
    for (int i = 0; i < 2 && durable; i++)
        if (connection->ack[i].batch != 0)
            connection->acked = connection->ack[i];
    weir_tcp_send_ack(tcp, connection, status);
    connection->closing = true;
    if (connection->unsent == 0)
        weir_tcp_drop(tcp, connection);
}

/* Moves on what has become durable; true where that is more than before. */
static bool
ack_durable(const struct weir_port_tcp *tcp, struct weir_connection *connection,
    const struct weir_progress *progress)
{
    uint32_t worker = WEIR_PRODUCER_WORKER(tcp->port.worker);
    struct weir_connection_ack *ack = connection->ack;
    bool more = false;
    for (int i = 0; i < 2; i++) {
        if (ack[0].batch != 0 && weir_progress_durable(progress, worker, ack[0].batch)) {
            connection->acked = ack[0];
            ack[0].batch = 0;
            more = true;
        }
        if (ack[0].batch == 0) {
            ack[0] = ack[1];
            ack[1].batch = 0;
        }
    }
    return more;
}

/* Acknowledges what has become durable. */
static void
acknowledge(struct weir_port_tcp *tcp, const struct weir_progress *progress)
{
    for (uint32_t i = tcp->acking_count; i-- > 0;) {
        struct weir_connection *connection =
            weir_connection_at(tcp->connections, tcp->acking[i]);
        bool more = ack_durable(tcp, connection, progress);
        if (more || connection->must_report)
            weir_tcp_send_ack(tcp, connection, ack_status(tcp));
        connection->must_report = false;
        send_epoch_status(tcp, connection);
        if (connection->ack[0].batch == 0 && connection->epoch_status == 0)
            weir_tcp_forget_ack(tcp, connection);
    }
}

static void
answer_due(struct weir_port_tcp *tcp, struct weir_connection *connection,
    const struct weir_progress *progress)
{
    uint32_t worker = WEIR_PRODUCER_WORKER(tcp->port.worker);
    bool durable =
        weir_progress_durable(progress, worker, connection->worker_batch) &&
        weir_progress_durable(progress, WEIR_PRODUCER_REGISTRAR, connection->registrar_batch);
    bool done = durable && connection->incomplete == 0;
    if (connection->session != NULL) {
        answer_session(tcp, connection, durable);
    } else if (connection->unsent > 0) {
        return; /* until its sender reads, or others need its place */
    } else if (!durable && tcp->state == WEIR_INGEST_IO_ERROR) {
        answer(tcp, connection, "error io_error\n");
    } else if (!done && full_for_long(tcp)) {
        answer(tcp, connection, "error disk_full\n");
    } else if (done) {
        char line[96];
        /* relaxed: weir_progress_durable has acquired the batch, whose offset was stored before */
        uint64_t offset = atomic_load_explicit(&progress->durable_offset, memory_order_relaxed);
        snprintf(line, sizeof line, "ok %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
            connection->accepted, connection->rejected, offset);
        answer(tcp, connection, line);
    }
}

/* True where the log has moved since the last call. */
static bool
progress_moved(struct weir_port_tcp *tcp, const struct weir_progress *progress)
{
    uint32_t worker = WEIR_PRODUCER_WORKER(tcp->port.worker);
    /* relaxed: a hint; answer_due acquires */
    uint64_t worker_durable =
        atomic_load_explicit(&progress->durable_batch[worker], memory_order_relaxed);
    uint64_t registrar_durable = atomic_load_explicit(
        &progress->durable_batch[WEIR_PRODUCER_REGISTRAR], memory_order_relaxed);
    uint32_t state = atomic_load_explicit(&progress->state, memory_order_relaxed);
    bool moved = worker_durable != tcp->worker_durable ||
                 registrar_durable != tcp->registrar_durable || state != tcp->state;
    tcp->worker_durable = worker_durable;
    tcp->registrar_durable = registrar_durable;
    if (state != tcp->state)
        tcp->state_since_ns = weir_mono_ns();
    tcp->state = state;
    return moved;
}

bool
weir_tcp_progress(struct weir_port *port, const struct weir_progress *progress)
{
    struct weir_port_tcp *tcp = weir_tcp_of(port);
    weir_tcp_lines_flush(tcp);
    bool moved = progress_moved(tcp, progress);
    if (tcp->acking_count > 0 && (moved || tcp->changed))
        acknowledge(tcp, progress);
    if (tcp->waiting.first != NULL && (moved || tcp->changed || full_for_long(tcp))) {
        struct weir_connection *next;
        for (struct weir_connection *c = tcp->waiting.first; c != NULL; c = next) {
            next = c->next;
            answer_due(tcp, c, progress);
        }
    }
    tcp->changed = false;
    return tcp->waiting.first != NULL || tcp->acking_count > 0;
}
