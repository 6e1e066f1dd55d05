/* Kernel TCP: all of a worker's listeners and their connections behind one epoll.
 *
 * A stretch is what a connection had kept and what one read brought. It is laid together in a
 * shared area, handed on where it can hold a complete record, and what the worker leaves of it
 * is kept for the next one. Without a call of receive nothing is read, and the window closes.
 *
 * Fairness: epoll is level-triggered and puts what it has reported at the end of its list. So
 * each ready connection gets one read in turn, provided that no event is fetched that the area
 * has no room to serve: fetch_max() sees to that.
 *
 * An answer follows the sender's half-close: see connections.h for the states. Senders of the weir
 * protocol are acknowledged besides whenever a batch with their packets has become durable:
 *
 *   release: ack[1] = newest ---> ack[0] empty: moves there ---> its batch durable: sent
 */
#include "base/clock.h"
#include "base/event.h"
#include "base/shared.h"
#include "dataplane/connections.h"
#include "dataplane/parse_weir.h"
#include "dataplane/socket.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTEN_BACKLOG 1024
#define ACCEPTS_PER_EVENT 64
/* A dead peer is found after 60 s of silence and four probes. */
#define KEEPALIVE_IDLE_S 60
#define KEEPALIVE_INTERVAL_S 15
#define KEEPALIVE_PROBES 4
#define DISK_FULL_WAIT_NS INT64_C(1000000000)

#define ALIGN_LINE(n) (((n) + WEIR_CACHE_LINE - 1) & ~(size_t)(WEIR_CACHE_LINE - 1))
#define AREA_STRETCH ALIGN_LINE(WEIR_STRETCH_MAX + WEIR_PACKET_SLACK)
#define AREA_BYTES (16 * AREA_STRETCH)

/* Epoll's data: a listener, the wake descriptor, or slot + EVENT_CONNECTION. */
#define EVENT_WAKE WEIR_LISTENERS_MAX
#define EVENT_CONNECTION (WEIR_LISTENERS_MAX + 1)

struct listener {
    int fd;
    uint8_t proto;
    uint8_t time_unit;
};

struct port_tcp {
    struct weir_port port;
    int epoll;
    int wake;          /* readable while `again` has anybody, so that wait_fd tells */
    bool wake_set;
    bool accept_paused; /* out of descriptors or memory */
    bool changed;       /* somebody new waits, or was settled, since the last progress */
    uint32_t listener_count;
    struct listener listeners[WEIR_LISTENERS_MAX];
    struct weir_connections *connections;
    struct weir_connection_list again;
    struct weir_connection_list waiting;
    uint32_t *acking; /* slots of connections that are owed an acknowledgement */
    uint32_t acking_count;
    uint8_t *area;
    size_t area_used;
    /* the burst's */
    int64_t now_ms;
    uint64_t now_tsc;
    /* progress when the waiting were last looked at */
    uint64_t worker_durable;
    uint64_t registrar_durable;
    uint32_t state;         /* enum weir_ingest_state */
    int64_t state_since_ns;
};

static struct port_tcp *
of(struct weir_port *port)
{
    return (struct port_tcp *)port;
}

static void
count(struct port_tcp *tcp, enum weir_counter counter)
{
    tcp->port.counts->counter[counter]++;
}

static int
watch(struct port_tcp *tcp, int operation, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(tcp->epoll, operation, fd, &event);
}

static void
accept_set(struct port_tcp *tcp, bool on)
{
    tcp->accept_paused = !on;
    for (uint32_t i = 0; i < tcp->listener_count; i++)
        (void)watch(tcp, EPOLL_CTL_MOD, tcp->listeners[i].fd, on ? EPOLLIN : 0, i);
}

static void
acking_remove(struct port_tcp *tcp, struct weir_connection *connection)
{
    if (!connection->acking)
        return;
    uint32_t last = tcp->acking[--tcp->acking_count];
    tcp->acking[connection->acking_at] = last;
    weir_connection_at(tcp->connections, last)->acking_at = connection->acking_at;
    connection->acking = false;
}

static void
acking_add(struct port_tcp *tcp, struct weir_connection *connection)
{
    if (connection->acking)
        return;
    connection->acking = true;
    connection->acking_at = tcp->acking_count;
    tcp->acking[tcp->acking_count++] = connection->slot;
}

static void
drop(struct port_tcp *tcp, struct weir_connection *connection)
{
    acking_remove(tcp, connection);
    weir_connection_drop(tcp->connections, connection);
    count(tcp, WEIR_COUNTER_connections_closed);
    if (tcp->accept_paused)
        accept_set(tcp, true);
}

static void
keepalive(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {{SOL_SOCKET, SO_KEEPALIVE, 1}, {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES}};
    /* Without it a dead peer holds its slot for longer; no reason to refuse a living one. */
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

static void
connection_open(struct port_tcp *tcp, uint32_t listener, int fd)
{
    struct weir_connection *connection = weir_connection_take(tcp->connections, fd);
    if (connection == NULL) {
        close(fd);
        count(tcp, WEIR_COUNTER_connections_refused);
        weir_event(WEIR_WARN, "connection_refused", "reason=connections_max");
        return;
    }
    connection->listener = (uint8_t)listener;
    connection->wire = tcp->listeners[listener].proto == WEIR_PROTO_WEIR;
    connection->need = sizeof(struct weir_wire_header);
    keepalive(fd);
    count(tcp, WEIR_COUNTER_connections_opened);
    if (watch(tcp, EPOLL_CTL_ADD, fd, EPOLLIN, EVENT_CONNECTION + connection->slot) != 0) {
        weir_event(WEIR_WARN, "connection_refused", "reason=epoll errno=%d", errno);
        drop(tcp, connection);
    }
}

static void
connections_accept(struct port_tcp *tcp, uint32_t listener)
{
    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        int fd = accept4(tcp->listeners[listener].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            connection_open(tcp, listener, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* Level-triggered readiness would spin: look again when a connection closes, or
             * with the next statistics. */
            weir_event(WEIR_WARN, "accept_paused", "errno=%d", errno);
            accept_set(tcp, false);
            return;
        }
        if (errno != ECONNABORTED && errno != EINTR && errno != EPROTO)
            return;
    }
}

static void
wake_update(struct port_tcp *tcp)
{
    bool want = tcp->again.first != NULL;
    uint64_t value = 1;
    if (want == tcp->wake_set)
        return;
    ssize_t done = want ? write(tcp->wake, &value, sizeof value)
                        : read(tcp->wake, &value, sizeof value);
    WEIR_ASSERT(done == sizeof value);
    tcp->wake_set = want;
}

/* All the sender's bytes have been taken: from here on it waits for its answer. */
static void
wait_for_answer(struct port_tcp *tcp, struct weir_connection *connection)
{
    WEIR_ASSERT(connection->ended && connection->kept == 0);
    connection->waiting = true;
    weir_connection_list_add(&tcp->waiting, connection);
    tcp->changed = true;
}

/* Lays kept and new bytes together at the area's end and makes a packet of them. The new ones
 * are there already, behind room for the kept. */
static void
hand_on(struct port_tcp *tcp, struct weir_connection *connection, uint32_t fresh,
    struct weir_packet *packet)
{
    uint8_t *stretch = tcp->area + tcp->area_used;
    uint32_t size = connection->kept + fresh;
    memcpy(stretch, weir_connection_bytes(tcp->connections, connection), connection->kept);
    weir_connection_forget(tcp->connections, connection);
    tcp->area_used += ALIGN_LINE(size + WEIR_PACKET_SLACK);
    connection->handed = true;
    const struct listener *listener = &tcp->listeners[connection->listener];
    *packet = (struct weir_packet){.data = stretch,
        .size = size,
        .proto = listener->proto,
        .time_unit = listener->time_unit,
        .final = connection->ended,
        .skip_line = connection->skip_line,
        .source = weir_source(tcp->port.index, connection->name),
        .receive_ms = tcp->now_ms,
        .receive_tsc = tcp->now_tsc,
        .owner = connection};
}

/* Reads once behind room for the kept bytes. Returns the bytes read, 0 for none now or the end
 * (connection->ended tells), or -1 where the connection is broken. */
static ssize_t
read_fresh(struct port_tcp *tcp, struct weir_connection *connection)
{
    uint32_t room = WEIR_STRETCH_MAX - connection->kept;
    uint32_t want = room < WEIR_STREAM_READ_MAX ? room : WEIR_STREAM_READ_MAX;
    if (want == 0 || connection->ended)
        return 0;
    ssize_t got =
        recv(connection->fd, tcp->area + tcp->area_used + connection->kept, want, MSG_DONTWAIT);
    if (got == 0) {
        connection->ended = true;
        /* The end stays readable for ever; errors and hang-ups are still told. */
        (void)watch(tcp, EPOLL_CTL_MOD, connection->fd, 0, EVENT_CONNECTION + connection->slot);
    }
    if (got >= 0)
        return got;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -1;
}

/* May the stretch hold a complete record? */
static bool
worth_handing(const struct weir_connection *connection, const uint8_t *fresh_bytes,
    uint32_t fresh)
{
    uint32_t size = connection->kept + fresh;
    if (connection->ended || size >= WEIR_STREAM_LINE_FULL)
        return true;
    if (connection->wire)
        return size >= connection->need;
    return memrchr(fresh_bytes, '\n', fresh) != NULL;
}

/* True where *packet was filled. Bytes that cannot complete a record are kept, and not copied
 * again until they do: a sender of single bytes costs each byte once. */
static bool
take_stretch(struct port_tcp *tcp, struct weir_connection *connection, struct weir_packet *packet)
{
    bool left_over = connection->list == &tcp->again;
    weir_connection_list_remove(connection);
    ssize_t got = read_fresh(tcp, connection);
    if (got < 0) {
        drop(tcp, connection);
        return false;
    }
    uint32_t fresh = (uint32_t)got;
    const uint8_t *new_bytes = tcp->area + tcp->area_used + connection->kept;
    uint32_t size = connection->kept + fresh;
    if (connection->ended && size == 0) {
        wait_for_answer(tcp, connection);
        return false;
    }
    if (left_over || worth_handing(connection, new_bytes, fresh)) {
        hand_on(tcp, connection, fresh, packet);
        return true;
    }
    weir_connection_keep(tcp->connections, connection, new_bytes, fresh);
    return false;
}

static bool
connection_event(struct port_tcp *tcp, struct weir_connection *connection,
    struct weir_packet *packet)
{
    if (connection->handed)
        return false; /* reported twice in this burst */
    if (connection->waiting) {
        /* only errors and hang-ups are still watched: nobody is there to read the answer */
        count(tcp, WEIR_COUNTER_acks_broken);
        drop(tcp, connection);
        return false;
    }
    return take_stretch(tcp, connection, packet);
}

/* Events that packets and area have room for, whatever they bring. */
static size_t
fetch_max(const struct port_tcp *tcp, size_t packets_left)
{
    size_t room = (AREA_BYTES - tcp->area_used) / AREA_STRETCH;
    return packets_left < room ? packets_left : room;
}

static size_t
take_left_over(struct port_tcp *tcp, struct weir_packet *packets, size_t max)
{
    size_t taken = 0;
    struct weir_connection *next;
    for (struct weir_connection *c = tcp->again.first;
         c != NULL && fetch_max(tcp, max - taken) > 0; c = next) {
        next = c->next;
        taken += take_stretch(tcp, c, &packets[taken]);
    }
    wake_update(tcp);
    return taken;
}

static size_t
tcp_receive(struct weir_port *port, struct weir_packet *packets, size_t max)
{
    struct port_tcp *tcp = of(port);
    tcp->area_used = 0;
    tcp->now_ms = weir_wall_ms();
    tcp->now_tsc = weir_tsc();
    if (max > WEIR_BURST_MAX)
        max = WEIR_BURST_MAX;
    /* Half at most for what was left over, so that it cannot keep new bytes out. */
    size_t taken = take_left_over(tcp, packets, (max + 1) / 2);
    for (size_t want; (want = fetch_max(tcp, max - taken)) > 0;) {
        struct epoll_event events[WEIR_BURST_MAX];
        int got = epoll_wait(tcp->epoll, events, (int)want, 0);
        size_t before = taken;
        for (int i = 0; i < got; i++) {
            uint64_t what = events[i].data.u64;
            if (what >= EVENT_CONNECTION)
                taken += connection_event(tcp,
                    weir_connection_at(tcp->connections, (uint32_t)(what - EVENT_CONNECTION)),
                    &packets[taken]);
            else if (what != EVENT_WAKE)
                connections_accept(tcp, (uint32_t)what);
        }
        if (got < (int)want || taken == before)
            break;
    }
    return taken;
}

/* The send buffer takes an acknowledgement whole or not at all, but for a sender that never
 * reads. */
static bool
send_ack(struct port_tcp *tcp, struct weir_connection *connection, uint16_t status)
{
    const struct weir_wire_ack ack = {.magic = WEIR_WIRE_ACK_MAGIC,
        .status = status,
        .channel = connection->acked.channel,
        .epoch = connection->acked.epoch,
        .sequence = connection->acked.sequence,
        .rejected = connection->rejected};
    ssize_t sent = send(connection->fd, &ack, sizeof ack, MSG_NOSIGNAL | MSG_DONTWAIT);
    count(tcp, sent == (ssize_t)sizeof ack ? WEIR_COUNTER_acks_sent : WEIR_COUNTER_acks_broken);
    return sent == (ssize_t)sizeof ack;
}

/* What a stretch of weir packets asks to be acknowledged. */
static void
note_ack(struct port_tcp *tcp, struct weir_connection *connection,
    const struct weir_packet *packet)
{
    connection->tell |= packet->rejected > 0 && tcp->state != WEIR_INGEST_OPEN;
    if (packet->ack_epoch != 0 && packet->ack_batch != 0) {
        connection->ack[1] = (struct weir_connection_ack){.batch = packet->ack_batch,
            .sequence = packet->ack_sequence,
            .epoch = packet->ack_epoch,
            .channel = packet->ack_channel};
        connection->worker_batch = packet->ack_batch;
    }
    if (connection->tell || connection->ack[1].batch != 0) {
        acking_add(tcp, connection);
        tcp->changed = true;
    }
}

/* Keeps what a weir stretch has left. False where the stream cannot be followed and is closed. */
static bool
release_wire(struct port_tcp *tcp, struct weir_connection *connection,
    const struct weir_packet *packet)
{
    if (packet->broken) {
        (void)send_ack(tcp, connection, WEIR_WIRE_BAD_PACKET);
        drop(tcp, connection);
        return false;
    }
    note_ack(tcp, connection, packet);
    size_t need = weir_wire_packet_bytes(packet->data + packet->consumed,
        packet->size - packet->consumed);
    connection->need = need != 0 ? (uint32_t)need : sizeof(struct weir_wire_header);
    return true;
}

static void
tcp_release(struct weir_port *port, struct weir_packet *packets, size_t packet_count)
{
    struct port_tcp *tcp = of(port);
    for (size_t i = 0; i < packet_count; i++) {
        const struct weir_packet *packet = &packets[i];
        struct weir_connection *connection = packet->owner;
        WEIR_ASSERT(connection->handed && packet->consumed <= packet->size);
        connection->handed = false;
        connection->skip_line = packet->skip_line;
        connection->accepted += packet->accepted;
        connection->rejected += packet->rejected;
        connection->unsettled += packet->deferred;
        if (packet->batch != 0)
            connection->worker_batch = packet->batch;
        if (connection->wire && !release_wire(tcp, connection, packet))
            continue;
        const uint8_t *rest = packet->data + packet->consumed;
        uint32_t rest_size = packet->size - packet->consumed;
        weir_connection_keep(tcp->connections, connection, rest, rest_size);
        if (connection->ended && rest_size == 0)
            wait_for_answer(tcp, connection);
        /* Without progress more bytes are needed: a newline may stand inside quotes. */
        else if (connection->ended ||
                 (!connection->wire && packet->consumed > 0 &&
                     memchr(rest, '\n', rest_size) != NULL))
            weir_connection_list_add(&tcp->again, connection);
    }
    wake_update(tcp);
}

static void
tcp_settle(struct weir_port *port, const struct weir_settlement *settlement)
{
    struct port_tcp *tcp = of(port);
    struct weir_connection *connection =
        weir_connection_find(tcp->connections, settlement->source);
    if (connection == NULL)
        return; /* gone in the meantime; nobody is to be told */
    connection->accepted += settlement->accepted;
    connection->rejected += settlement->rejected;
    connection->unsettled -= (int64_t)settlement->accepted + settlement->rejected;
    if (settlement->batch > connection->registrar_batch)
        connection->registrar_batch = settlement->batch;
    tcp->changed = true;
}

/* The send buffer of a connection that was never written to has room for a line. */
static void
answer(struct port_tcp *tcp, struct weir_connection *connection, const char *line)
{
    size_t size = strlen(line);
    ssize_t sent = send(connection->fd, line, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    count(tcp, sent == (ssize_t)size ? WEIR_COUNTER_acks_sent : WEIR_COUNTER_acks_broken);
    drop(tcp, connection);
}

/* Batches on their way when the log filled up may still become durable, or wait for room as long
 * as it takes: their senders are told after a while that there is no promise. */
static bool
full_for_long(const struct port_tcp *tcp)
{
    return tcp->state == WEIR_INGEST_DISK_FULL &&
           weir_mono_ns() - tcp->state_since_ns >= DISK_FULL_WAIT_NS;
}

static uint16_t
wire_status(const struct port_tcp *tcp)
{
    return tcp->state == WEIR_INGEST_DISK_FULL ? WEIR_WIRE_DISK_FULL
        : tcp->state == WEIR_INGEST_IO_ERROR   ? WEIR_WIRE_IO_ERROR
                                               : WEIR_WIRE_OK;
}

/* A weir sender has half-closed: its last acknowledgement, then the end. */
static void
answer_wire(struct port_tcp *tcp, struct weir_connection *connection, bool durable)
{
    uint16_t status = wire_status(tcp);
    bool given_up = status == WEIR_WIRE_IO_ERROR || full_for_long(tcp);
    if (!given_up && !(durable && connection->unsettled == 0))
        return;
    for (int i = 0; i < 2 && durable; i++)
        if (connection->ack[i].batch != 0)
            connection->acked = connection->ack[i];
    (void)send_ack(tcp, connection, status);
    drop(tcp, connection);
}

/* Moves on what has become durable; true where that is more than before. */
static bool
ack_durable(const struct port_tcp *tcp, struct weir_connection *connection,
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

/* Acknowledges what has become durable. An acknowledgement that finds no room is not repeated:
 * the next one says as much and more. */
static void
acknowledge(struct port_tcp *tcp, const struct weir_progress *progress)
{
    for (uint32_t i = tcp->acking_count; i-- > 0;) {
        struct weir_connection *connection =
            weir_connection_at(tcp->connections, tcp->acking[i]);
        bool more = ack_durable(tcp, connection, progress);
        if (more || connection->tell)
            (void)send_ack(tcp, connection, wire_status(tcp));
        connection->tell = false;
        if (connection->ack[0].batch == 0)
            acking_remove(tcp, connection);
    }
}

static void
answer_due(struct port_tcp *tcp, struct weir_connection *connection,
    const struct weir_progress *progress)
{
    uint32_t worker = WEIR_PRODUCER_WORKER(tcp->port.worker);
    bool durable =
        weir_progress_durable(progress, worker, connection->worker_batch) &&
        weir_progress_durable(progress, WEIR_PRODUCER_REGISTRAR, connection->registrar_batch);
    bool done = durable && connection->unsettled == 0;
    if (connection->wire) {
        answer_wire(tcp, connection, durable);
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
progress_moved(struct port_tcp *tcp, const struct weir_progress *progress)
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

static bool
tcp_progress(struct weir_port *port, const struct weir_progress *progress)
{
    struct port_tcp *tcp = of(port);
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

static int
tcp_wait_fd(struct weir_port *port)
{
    return of(port)->epoll;
}

static void
tcp_statistics(struct weir_port *port)
{
    if (of(port)->accept_paused)
        accept_set(of(port), true);
}

static uint16_t
tcp_bound(const struct weir_port *port, size_t listener)
{
    const struct port_tcp *tcp = (const struct port_tcp *)port;
    return listener < tcp->listener_count ? weir_socket_port(tcp->listeners[listener].fd) : 0;
}

static void
tcp_close(struct weir_port *port)
{
    struct port_tcp *tcp = of(port);
    weir_connections_free(tcp->connections);
    for (uint32_t i = 0; i < tcp->listener_count; i++)
        close(tcp->listeners[i].fd);
    if (tcp->wake >= 0)
        close(tcp->wake);
    if (tcp->epoll >= 0)
        close(tcp->epoll);
    if (tcp->area != NULL)
        munmap(tcp->area, AREA_BYTES);
    free(tcp->acking);
    free(tcp);
}

static const struct weir_port_ops tcp_ops = {
    .kind = "tcp",
    .receive = tcp_receive,
    .release = tcp_release,
    .settle = tcp_settle,
    .progress = tcp_progress,
    .wait_fd = tcp_wait_fd,
    .statistics = tcp_statistics,
    .bound = tcp_bound,
    .close = tcp_close,
};

static enum weir_err
listener_open(struct port_tcp *tcp, const struct weir_listen *listen_at)
{
    int fd;
    enum weir_err err = weir_socket_bind(listen_at, SOCK_STREAM, &fd);
    if (err != WEIR_OK)
        return err;
    uint32_t index = tcp->listener_count++;
    tcp->listeners[index] = (struct listener){fd, listen_at->proto, listen_at->time_unit};
    if (listen(fd, LISTEN_BACKLOG) != 0 || watch(tcp, EPOLL_CTL_ADD, fd, EPOLLIN, index) != 0)
        return weir_fail(errno == EADDRINUSE ? WEIR_BUSY : WEIR_IO, errno, "listen on %s port %u",
            listen_at->address, listen_at->port);
    char name[WEIR_SOCKET_NAME_MAX];
    weir_socket_name(fd, name);
    weir_event(WEIR_INFO, "port_open", "kind=tcp addr=%s", name);
    return WEIR_OK;
}

static enum weir_err
take_resources(struct port_tcp *tcp, uint32_t connections_max)
{
    enum weir_err err = weir_connections_new(connections_max, &tcp->connections);
    if (err != WEIR_OK)
        return err;
    tcp->acking = calloc(connections_max, sizeof *tcp->acking);
    if (tcp->acking == NULL)
        return weir_fail(WEIR_NOMEM, 0, "list of %u connections", connections_max);
    void *area = mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED)
        return weir_fail(WEIR_NOMEM, errno, "TCP receive area");
    tcp->area = area;
    tcp->epoll = epoll_create1(EPOLL_CLOEXEC);
    tcp->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (tcp->epoll < 0 || tcp->wake < 0 ||
        watch(tcp, EPOLL_CTL_ADD, tcp->wake, EPOLLIN, EVENT_WAKE) != 0)
        return weir_fail(WEIR_IO, errno, "epoll of the TCP port");
    return WEIR_OK;
}

enum weir_err
weir_port_tcp_open(const struct weir_listen *listens, size_t listen_count,
    uint32_t connections_max, struct weir_counts *counts, struct weir_port **out)
{
    if (listen_count > WEIR_LISTENERS_MAX)
        return weir_fail(WEIR_LIMIT, 0, "more than %d TCP listeners", WEIR_LISTENERS_MAX);
    struct port_tcp *tcp = calloc(1, sizeof *tcp);
    if (tcp == NULL)
        return weir_fail(WEIR_NOMEM, 0, "TCP port");
    tcp->port.ops = &tcp_ops;
    tcp->port.counts = counts;
    tcp->epoll = -1;
    tcp->wake = -1;
    enum weir_err err = take_resources(tcp, connections_max);
    for (size_t i = 0; i < listen_count && err == WEIR_OK; i++)
        err = listener_open(tcp, &listens[i]);
    if (err != WEIR_OK) {
        tcp_close(&tcp->port);
        return err;
    }
    *out = &tcp->port;
    return WEIR_OK;
}
