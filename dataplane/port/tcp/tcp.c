/* Kernel TCP: all of a worker's listeners and their connections in one epoll.
 *
 * A stretch is what a connection had kept and what one read brought. It is laid together in a
 * shared area, handed on where it can hold a complete record, and what the worker leaves of it
 * is kept for the next one. Without a call of receive nothing is read, and the window closes.
 *
 * Fairness: epoll is level-triggered and puts what it has reported at the end of its list. So
 * each ready connection gets one read in turn, provided that no event is fetched that the area
 * has no room to serve: fetch_max() sees to that.
 */
#include "base/clock.h"
#include "base/event.h"
#include "dataplane/port/socket.h"
#include "dataplane/port/tcp/parts.h"

#include <errno.h>
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

/* Epoll's data: a listener, the wake descriptor, or slot + EVENT_CONNECTION. */
#define EVENT_WAKE WEIR_LISTENERS_MAX
#define EVENT_CONNECTION (WEIR_LISTENERS_MAX + 1)

#define ALIGN_LINE(n) (((n) + WEIR_CACHE_LINE - 1) & ~(size_t)(WEIR_CACHE_LINE - 1))
#define AREA_STRETCH ALIGN_LINE(WEIR_STRETCH_MAX + WEIR_PACKET_SLACK)
#define AREA_BYTES (16 * AREA_STRETCH)

static int
watch(struct weir_port_tcp *tcp, int operation, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(tcp->epoll, operation, fd, &event);
}

/* The end of what a sender sends stays readable for ever: it is not watched. Errors and hang-ups
 * are always reported. */
void
weir_tcp_watch(struct weir_port_tcp *tcp, const struct weir_connection *connection)
{
    bool reads = !connection->ended && connection->list != &tcp->held;
    uint32_t events = (reads ? EPOLLIN : 0) | (connection->unsent > 0 ? EPOLLOUT : 0);
    (void)watch(tcp, EPOLL_CTL_MOD, connection->fd, events, EVENT_CONNECTION + connection->slot);
}

static void
accept_set(struct weir_port_tcp *tcp, bool on)
{
    tcp->accept_paused = !on;
    for (uint32_t i = 0; i < tcp->listener_count; i++)
        (void)watch(tcp, EPOLL_CTL_MOD, tcp->listeners[i].fd, on ? EPOLLIN : 0, i);
}

void
weir_tcp_drop(struct weir_port_tcp *tcp, struct weir_connection *connection)
{
    weir_tcp_forget_ack(tcp, connection);
    if (tcp->lines.connection == connection)
        weir_tcp_lines_flush(tcp);
    weir_tcp_room_leave(tcp, connection);
    weir_connection_drop(tcp->connections, connection);
    weir_tcp_count(tcp, WEIR_COUNTER_connections_closed);
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
connection_open(struct weir_port_tcp *tcp, uint32_t listener, int fd, const struct weir_peer *peer)
{
    struct weir_connection *connection = weir_tcp_room_admit(tcp, listener, fd, peer);
    if (connection == NULL) {
        close(fd);
        return;
    }
    connection->session = weir_protocols[tcp->listeners[listener].proto].session;
    if (connection->session != NULL)
        connection->need = connection->session->head_size;
    keepalive(fd);
    weir_tcp_count(tcp, WEIR_COUNTER_connections_opened);
    if (watch(tcp, EPOLL_CTL_ADD, fd, EPOLLIN, EVENT_CONNECTION + connection->slot) != 0) {
        weir_event(WEIR_LEVEL_WARN, "connection_refused", "reason=epoll listener=%s errno=%d",
            tcp->listeners[listener].name, errno);
        weir_tcp_drop(tcp, connection);
    }
}

/* Accepts the next connection; false where there is none, or none can be had. */
static bool
connection_accept(struct weir_port_tcp *tcp, uint32_t listener)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof address;
    int fd = accept4(tcp->listeners[listener].fd, (struct sockaddr *)&address, &size,
        SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return false;
    struct weir_peer peer;
    weir_peer_of_socket((struct sockaddr *)&address, &peer);
    connection_open(tcp, listener, fd, &peer);
    return true;
}

/* Out of descriptors or memory. The kernel says so even where nobody waits: one connection is
 * ended for one that comes, no more. Otherwise level-triggered readiness would spin: look again
 * when a connection closes, or with the next statistics. */
static void
accept_starved(struct weir_port_tcp *tcp, uint32_t listener, int errnum)
{
    if (weir_tcp_make_room(tcp, listener)) {
        (void)connection_accept(tcp, listener);
        return;
    }
    weir_event(WEIR_LEVEL_WARN, "accept_paused", "listener=%s errno=%d",
        tcp->listeners[listener].name, errnum);
    accept_set(tcp, false);
}

static void
connections_accept(struct weir_port_tcp *tcp, uint32_t listener)
{
    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        if (connection_accept(tcp, listener))
            continue;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            accept_starved(tcp, listener, errno);
            return;
        }
        if (errno != ECONNABORTED && errno != EINTR && errno != EPROTO)
            return;
    }
}

static void
wake_update(struct weir_port_tcp *tcp)
{
    bool want = tcp->again.first != NULL;
    uint64_t value = 1;
    if (want == tcp->wake_set)
        return;
    ssize_t done = want ? write(tcp->wake, &value, sizeof value)
                        : read(tcp->wake, &value, sizeof value);
    if (done == sizeof value) /* else with the next update */
        tcp->wake_set = want;
}

/* Lays kept and new bytes together at the area's end and makes a packet of them. The new ones
 * are there already, after room for the kept. */
static void
hand_on(struct weir_port_tcp *tcp, struct weir_connection *connection, uint32_t fresh,
    struct weir_packet *packet)
{
    uint8_t *stretch = tcp->area + tcp->area_used;
    uint32_t size = connection->kept + fresh;
    memcpy(stretch, weir_connection_bytes(tcp->connections, connection), connection->kept);
    weir_connection_forget(tcp->connections, connection);
    tcp->area_used += ALIGN_LINE(size + WEIR_PACKET_SLACK);
    connection->handed = true;
    const struct weir_tcp_listener *listener = &tcp->listeners[connection->listener];
    *packet = (struct weir_packet){.data = stretch,
        .size = size,
        .proto = listener->proto,
        .time_unit = listener->time_unit,
        .listener = listener->listener,
        .position = connection->position,
        .final = connection->ended,
        .stream = true,
        .skip_line = connection->skip_line,
        .source = weir_source(tcp->port.index, connection->name),
        .receive_ms = tcp->now_ms,
        .receive_tsc = tcp->now_tsc,
        .owner = connection,
        .peer = connection->peer};
}

/* Reads once, after room for the kept bytes. Returns the bytes read, 0 for none now or the end
 * (connection->ended is set), or -1 where the connection is broken. */
static ssize_t
read_fresh(struct weir_port_tcp *tcp, struct weir_connection *connection)
{
    uint32_t room = WEIR_STRETCH_MAX - connection->kept;
    uint32_t want = room < WEIR_STREAM_READ_MAX ? room : WEIR_STREAM_READ_MAX;
    if (want == 0 || connection->ended)
        return 0;
    ssize_t got =
        recv(connection->fd, tcp->area + tcp->area_used + connection->kept, want, MSG_DONTWAIT);
    if (got == 0) {
        connection->ended = true;
        weir_tcp_watch(tcp, connection);
    }
    if (got > 0)
        weir_connection_active(tcp->connections, connection, tcp->now_mono_ms);
    if (got >= 0)
        return got;
    return weir_tcp_again() ? 0 : -1;
}

/* Looks at a connection's first bytes, laid together where hand_on lays them too. True where they
 * are HTTP, which has been answered. */
static bool
met_http(struct weir_port_tcp *tcp, struct weir_connection *connection, uint32_t fresh)
{
    uint8_t *stretch = tcp->area + tcp->area_used;
    if (connection->begun)
        return false;
    connection->begun = true;
    memcpy(stretch, weir_connection_bytes(tcp->connections, connection), connection->kept);
    if (!weir_tcp_is_http(stretch, connection->kept + fresh))
        return false;
    weir_tcp_refuse_http(tcp, connection);
    return true;
}

/* May the stretch hold a complete record? */
static bool
worth_handing(const struct weir_connection *connection, const uint8_t *fresh_bytes,
    uint32_t fresh)
{
    uint32_t size = connection->kept + fresh;
    if (connection->ended || size >= WEIR_STREAM_LINE_FULL)
        return true;
    if (connection->session != NULL)
        return size >= connection->need;
    return memrchr(fresh_bytes, '\n', fresh) != NULL;
}

/* True where *packet was filled. Bytes that cannot complete a record are kept, and not copied
 * again until they do: a sender of single bytes costs each byte once. */
static bool
receive_stretch(struct weir_port_tcp *tcp, struct weir_connection *connection,
    struct weir_packet *packet)
{
    bool left_over = connection->list == &tcp->again;
    weir_connection_list_remove(connection);
    ssize_t got = read_fresh(tcp, connection);
    if (got < 0) {
        weir_tcp_drop(tcp, connection);
        return false;
    }
    uint32_t fresh = (uint32_t)got;
    const uint8_t *new_bytes = tcp->area + tcp->area_used + connection->kept;
    uint32_t size = connection->kept + fresh;
    if (connection->ended && size == 0) {
        weir_tcp_wait_for_answer(tcp, connection);
        return false;
    }
    if (left_over || worth_handing(connection, new_bytes, fresh)) {
        if (met_http(tcp, connection, fresh))
            return false;
        hand_on(tcp, connection, fresh, packet);
        return true;
    }
    weir_connection_keep(tcp->connections, connection, new_bytes, fresh);
    return false;
}

static bool
connection_event(struct weir_port_tcp *tcp, struct weir_connection *connection, uint32_t events,
    struct weir_packet *packet)
{
    if (connection->handed)
        return false; /* reported twice in this burst */
    if (connection->fd < 0)
        return false; /* it made room for one that was reported before it */
    if (connection->refused) {
        weir_tcp_discard(tcp, connection);
        return false;
    }
    if ((events & EPOLLOUT) != 0 && !weir_tcp_writable(tcp, connection))
        return false;
    if ((events & ~(uint32_t)EPOLLOUT) == 0)
        return false;
    if (connection->list == &tcp->held)
        return false; /* an error, which is met when it is read again */
    if (connection->waiting) {
        /* an error or a hang-up: nobody is there to read the answer */
        weir_tcp_count(tcp, WEIR_COUNTER_acks_broken);
        weir_tcp_drop(tcp, connection);
        return false;
    }
    return receive_stretch(tcp, connection, packet);
}

/* Events that packets and area have room for, whatever they bring. */
static size_t
fetch_max(const struct weir_port_tcp *tcp, size_t packets_left)
{
    size_t room = (AREA_BYTES - tcp->area_used) / AREA_STRETCH;
    return packets_left < room ? packets_left : room;
}

static size_t
receive_left_over(struct weir_port_tcp *tcp, struct weir_packet *packets, size_t max)
{
    size_t received = 0;
    struct weir_connection *next;
    for (struct weir_connection *c = tcp->again.first;
         c != NULL && fetch_max(tcp, max - received) > 0; c = next) {
        next = c->next;
        received += receive_stretch(tcp, c, &packets[received]);
    }
    wake_update(tcp);
    return received;
}

static size_t
tcp_receive(struct weir_port *port, struct weir_packet *packets, size_t max)
{
    struct weir_port_tcp *tcp = weir_tcp_of(port);
    tcp->area_used = 0;
    tcp->now_ms = weir_wall_ms();
    tcp->now_mono_ms = weir_mono_ns() / 1000000;
    tcp->now_tsc = weir_tsc();
    if (max > WEIR_BURST_MAX)
        max = WEIR_BURST_MAX;
    /* Half at most for what was left over: it cannot keep new bytes out. */
    size_t received = receive_left_over(tcp, packets, (max + 1) / 2);
    for (size_t want; (want = fetch_max(tcp, max - received)) > 0;) {
        struct epoll_event events[WEIR_BURST_MAX];
        int got = epoll_wait(tcp->epoll, events, (int)want, 0);
        size_t before = received;
        for (int i = 0; i < got; i++) {
            uint64_t what = events[i].data.u64;
            if (what >= EVENT_CONNECTION)
                received += connection_event(tcp,
                    weir_connection_at(tcp->connections, (uint32_t)(what - EVENT_CONNECTION)),
                    events[i].events, &packets[received]);
            else if (what != EVENT_WAKE)
                connections_accept(tcp, (uint32_t)what);
        }
        if (got < (int)want || received == before)
            break;
    }
    return received;
}

/* Notes what a stretch of a session's packets has left. False where the stream cannot be followed
 * and is closed. */
static bool
release_session(struct weir_port_tcp *tcp, struct weir_connection *connection,
    const struct weir_packet *packet)
{
    if (packet->broken) {
        weir_tcp_send_ack(tcp, connection, WEIR_ACK_BAD_PACKET);
        weir_tcp_drop(tcp, connection);
        return false;
    }
    weir_tcp_note_ack(tcp, connection, packet);
    struct weir_session_head head;
    connection->session->begin(packet->data + packet->consumed, packet->size - packet->consumed,
        &head);
    connection->need = head.size != 0 ? head.size : connection->session->head_size;
    return true;
}

/* Leaves a connection unread: what it sends stays in its socket. */
static void
hold(struct weir_port_tcp *tcp, struct weir_connection *connection)
{
    weir_connection_list_add(&tcp->held, connection);
    weir_tcp_watch(tcp, connection);
}

static void
tcp_resume(struct weir_port *port)
{
    struct weir_port_tcp *tcp = weir_tcp_of(port);
    while (tcp->held.first != NULL) {
        struct weir_connection *connection = tcp->held.first;
        weir_connection_list_remove(connection);
        weir_connection_list_add(&tcp->again, connection);
        weir_tcp_watch(tcp, connection);
    }
    wake_update(tcp);
}

static void
tcp_release(struct weir_port *port, struct weir_packet *packets, size_t packet_count)
{
    struct weir_port_tcp *tcp = weir_tcp_of(port);
    weir_tcp_lines_flush(tcp);
    for (size_t i = 0; i < packet_count; i++) {
        const struct weir_packet *packet = &packets[i];
        struct weir_connection *connection = packet->owner;
        WEIR_ASSERT(connection->handed && packet->consumed <= packet->size);
        connection->handed = false;
        connection->skip_line = packet->skip_line;
        connection->position += packet->consumed;
        connection->accepted += packet->accepted;
        connection->rejected += packet->rejected;
        connection->incomplete += packet->deferred;
        if (packet->consumed > 0 && !connection->spoke)
            weir_connection_spoke(tcp->connections, connection);
        if (packet->batch != 0)
            connection->worker_batch = packet->batch;
        if (packet->ends && !connection->ended) {
            connection->ended = true;
            weir_tcp_watch(tcp, connection);
        }
        if (connection->session != NULL && !release_session(tcp, connection, packet))
            continue;
        const uint8_t *rest = packet->data + packet->consumed;
        uint32_t rest_size = packet->size - packet->consumed;
        weir_connection_keep(tcp->connections, connection, rest, rest_size);
        if (packet->waits)
            hold(tcp, connection);
        else if (connection->ended && rest_size == 0)
            weir_tcp_wait_for_answer(tcp, connection);
        /* Without progress more bytes are needed: a newline may be inside quotes. */
        else if (connection->ended ||
                 (connection->session == NULL && packet->consumed > 0 &&
                     memchr(rest, '\n', rest_size) != NULL))
            weir_connection_list_add(&tcp->again, connection);
    }
    wake_update(tcp);
}

static int
tcp_wait_fd(struct weir_port *port)
{
    return weir_tcp_of(port)->epoll;
}

static void
tcp_statistics(struct weir_port *port)
{
    weir_tcp_room_look(weir_tcp_of(port));
    if (weir_tcp_of(port)->accept_paused)
        accept_set(weir_tcp_of(port), true);
}

static uint16_t
tcp_bound(const struct weir_port *port, size_t listener)
{
    const struct weir_port_tcp *tcp = (const struct weir_port_tcp *)port;
    return listener < tcp->listener_count ? weir_socket_port(tcp->listeners[listener].fd) : 0;
}

static void
tcp_close(struct weir_port *port)
{
    struct weir_port_tcp *tcp = weir_tcp_of(port);
    weir_connections_free(tcp->connections);
    for (uint32_t i = 0; i < tcp->listener_count; i++)
        close(tcp->listeners[i].fd);
    if (tcp->wake >= 0)
        close(tcp->wake);
    if (tcp->epoll >= 0)
        close(tcp->epoll);
    if (tcp->area != NULL)
        munmap(tcp->area, AREA_BYTES);
    weir_tcp_room_close(tcp);
    free(tcp->acking);
    free(tcp);
}

static const struct weir_port_ops tcp_ops = {
    .kind = "tcp",
    .burst_least = 2, /* one left over, one new */
    .receive = tcp_receive,
    .release = tcp_release,
    .resume = tcp_resume,
    .complete = weir_tcp_complete,
    .answer = weir_tcp_line,
    .progress = weir_tcp_progress,
    .wait_fd = tcp_wait_fd,
    .statistics = tcp_statistics,
    .bound = tcp_bound,
    .close = tcp_close,
};

static enum weir_err
listener_open(struct weir_port_tcp *tcp, const struct weir_listen *listen_at)
{
    int fd;
    enum weir_err err = weir_socket_bind(listen_at, SOCK_STREAM, &fd);
    if (err != WEIR_OK)
        return err;
    uint32_t index = tcp->listener_count++;
    tcp->listeners[index] = (struct weir_tcp_listener){
        .fd = fd,
        .proto = listen_at->proto,
        .time_unit = listen_at->time_unit,
        .listener = listen_at->listener};
    if (listen(fd, LISTEN_BACKLOG) != 0 || watch(tcp, EPOLL_CTL_ADD, fd, EPOLLIN, index) != 0)
        return weir_fail(errno == EADDRINUSE ? WEIR_BUSY : WEIR_IO, errno, "listen on %s port %u",
            listen_at->address, listen_at->port);
    weir_tcp_room_listener(&tcp->listeners[index]);
    weir_event(WEIR_LEVEL_INFO, "port_open", "kind=tcp addr=%s", tcp->listeners[index].name);
    return WEIR_OK;
}

static enum weir_err
open_resources(struct weir_port_tcp *tcp, const struct weir_tcp_options *options,
    size_t listener_count)
{
    uint32_t connections_max = options->connections_max;
    enum weir_err err = weir_connections_new(connections_max, &tcp->connections);
    if (err == WEIR_OK)
        err = weir_tcp_room_open(tcp, options, listener_count);
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

void
weir_port_tcp_http(struct weir_port *port, const char *address)
{
    snprintf(weir_tcp_of(port)->http, WEIR_HTTP_ADDRESS_MAX, "%s", address);
}

enum weir_err
weir_port_tcp_open(const struct weir_listen *listens, size_t listen_count,
    const struct weir_tcp_options *options, struct weir_counts *counts, struct weir_port **out)
{
    if (listen_count > WEIR_LISTENERS_MAX)
        return weir_fail(WEIR_LIMIT, 0, "more than %d TCP listeners", WEIR_LISTENERS_MAX);
    struct weir_port_tcp *tcp = calloc(1, sizeof *tcp);
    if (tcp == NULL)
        return weir_fail(WEIR_NOMEM, 0, "TCP port");
    tcp->port.ops = &tcp_ops;
    tcp->port.counts = counts;
    tcp->epoll = -1;
    tcp->wake = -1;
    enum weir_err err = open_resources(tcp, options, listen_count);
    for (size_t i = 0; i < listen_count && err == WEIR_OK; i++)
        err = listener_open(tcp, &listens[i]);
    if (err != WEIR_OK) {
        tcp_close(&tcp->port);
        return err;
    }
    *out = &tcp->port;
    return WEIR_OK;
}
