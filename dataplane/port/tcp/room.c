/* Places in the table of connections: which connection gets one, and which makes room.
 *
 * Each listener has a reserve: together they are a quarter of the table, and no other listener's
 * connections fill it. A source holds no more than its share (model/shares.h). If there is no
 * room for a connection that may have one, an idle one goes: the oldest that never sent a whole
 * record, else the one that has been silent the longest, where that is idle_ms and more. A
 * listener keeps its reserve there too. */
#include "base/clock.h"
#include "dataplane/port/socket.h"
#include "dataplane/port/tcp/parts.h"

#include <stdlib.h>
#include <sys/ioctl.h>

/* Connections looked at for one that comes. */
#define LOOKS 64
#define NS_PER_MS 1000000
#define RESERVED_PART 4

enum weir_err
weir_tcp_room_open(struct weir_port_tcp *tcp, const struct weir_tcp_options *options,
    size_t listener_count)
{
    tcp->room.shares_memory = calloc(1, weir_shares_footprint(options->connections_max));
    if (tcp->room.shares_memory == NULL)
        return weir_fail(WEIR_NOMEM, 0, "shares of %u connections", options->connections_max);
    tcp->room.shares = weir_shares_init(tcp->room.shares_memory, options->connections_max,
        options->connections_max, options->key);
    tcp->room.trusted = options->trusted;
    tcp->room.degraded = options->degraded;
    tcp->room.idle_ms = options->idle_ms;
    if (listener_count > 0)
        tcp->room.reserve =
            options->connections_max / RESERVED_PART / (uint32_t)listener_count;
    return WEIR_OK;
}

void
weir_tcp_room_close(struct weir_port_tcp *tcp)
{
    free(tcp->room.shares_memory);
}

void
weir_tcp_room_listener(struct weir_tcp_listener *listener)
{
    weir_socket_name(listener->fd, listener->name);
    listener->full = (struct weir_refusals){
        .event = "connections_full", .table = "connections", .listener = listener->name};
    listener->over_share = (struct weir_refusals){
        .event = "over_share", .table = "connections", .listener = listener->name};
}

void
weir_tcp_room_look(struct weir_port_tcp *tcp)
{
    int64_t now_ns = weir_mono_ns();
    for (uint32_t i = 0; i < tcp->listener_count; i++) {
        weir_refusals_look(&tcp->listeners[i].full, now_ns);
        weir_refusals_look(&tcp->listeners[i].over_share, now_ns);
    }
}

static bool
has_room(const struct weir_port_tcp *tcp, uint32_t listener)
{
    uint32_t left = weir_connections_room(tcp->connections);
    uint32_t kept = 0;
    if (tcp->listeners[listener].open < tcp->room.reserve)
        return left > 0;
    for (uint32_t i = 0; i < tcp->listener_count; i++)
        if (i != listener && tcp->listeners[i].open < tcp->room.reserve)
            kept += tcp->room.reserve - tcp->listeners[i].open;
    return left > kept;
}

/* Nothing is owed to it, nothing of it is being worked on, and nothing has come meanwhile. */
static bool
is_idle(const struct weir_port_tcp *tcp, const struct weir_connection *connection)
{
    int waiting = 0;
    if (connection->handed || connection->list == &tcp->again ||
        connection->list == &tcp->held || connection->incomplete != 0)
        return false;
    if ((connection->waiting || connection->ack[0].batch != 0) && connection->unsent == 0)
        return false;
    if (connection->spoke && !connection->refused &&
        tcp->now_mono_ms - connection->active_ms < tcp->room.idle_ms)
        return false;
    return connection->refused || ioctl(connection->fd, FIONREAD, &waiting) != 0 || waiting == 0;
}

bool
weir_tcp_make_room(struct weir_port_tcp *tcp, uint32_t listener)
{
    for (int spoke = 0; spoke < 2; spoke++) {
        struct weir_connection *connection = weir_connections_oldest(tcp->connections, spoke);
        for (int i = 0; connection != NULL && i < LOOKS; i++, connection = connection->newer) {
            bool reserved = connection->listener != listener &&
                tcp->listeners[connection->listener].open <= tcp->room.reserve;
            if (reserved || !is_idle(tcp, connection))
                continue;
            weir_tcp_count(tcp, WEIR_COUNTER_connections_idle_closed);
            weir_tcp_drop(tcp, connection);
            return true;
        }
    }
    return false;
}

static void
refuse(struct weir_port_tcp *tcp, struct weir_refusals *refusals, const struct weir_peer *peer)
{
    int64_t now_ns = weir_mono_ns();
    weir_tcp_count(tcp, WEIR_COUNTER_connections_refused);
    weir_refusals_met(refusals, peer, 0, now_ns);
    weir_degraded_set(tcp->room.degraded, WEIR_DEGRADED_connections_full, now_ns / NS_PER_MS);
}

struct weir_connection *
weir_tcp_room_admit(struct weir_port_tcp *tcp, uint32_t listener, int fd,
    const struct weir_peer *peer)
{
    bool owned = weir_peer_exists(peer) && !weir_prefixes_hold(&tcp->room.trusted, peer);
    struct weir_owner owner = weir_owner_source(peer);
    if (owned && !weir_shares_allow(tcp->room.shares, &owner, 1)) {
        refuse(tcp, &tcp->listeners[listener].over_share, peer);
        return NULL;
    }
    if (!has_room(tcp, listener) &&
        !(weir_tcp_make_room(tcp, listener) && has_room(tcp, listener))) {
        refuse(tcp, &tcp->listeners[listener].full, peer);
        return NULL;
    }
    struct weir_connection *connection =
        weir_connection_add(tcp->connections, fd, tcp->now_mono_ms);
    WEIR_ASSERT(connection != NULL); /* has_room has seen a free place */
    connection->listener = (uint8_t)listener;
    connection->peer = *peer;
    connection->share = weir_shares_add(tcp->room.shares, owned ? &owner : NULL, 1);
    tcp->listeners[listener].open++;
    return connection;
}

void
weir_tcp_room_leave(struct weir_port_tcp *tcp, const struct weir_connection *connection)
{
    weir_shares_remove(tcp->room.shares, connection->share, 1);
    tcp->listeners[connection->listener].open--;
}
