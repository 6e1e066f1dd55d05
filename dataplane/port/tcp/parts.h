/* port_tcp_parts: the inside of struct port_tcp, for dataplane/port/tcp/ only.
 *
 *   tcp.c     the port: listeners, connections, what is read and handed on
 *   answer.c  answers to senders, and when they are given
 *   lines.c   answers to single records
 *   http.c    the answer to HTTP clients
 *   room.c    places in the table of connections
 *
 * Threads: the port's worker
 */
#ifndef WEIR_DATAPLANE_PORT_TCP_PARTS_H
#define WEIR_DATAPLANE_PORT_TCP_PARTS_H

#include "dataplane/port/port.h"
#include "dataplane/port/refusals.h"
#include "dataplane/port/socket.h"
#include "dataplane/port/tcp/connections.h"
#include "model/shared.h"
#include "model/shares.h"

#include <errno.h>

struct weir_tcp_listener {
    int fd;
    uint8_t proto;
    uint8_t time_unit;
    uint8_t listener; /* as weir_packet.listener */
    uint32_t open; /* connections */
    char name[WEIR_SOCKET_NAME_MAX];
    struct weir_refusals full, over_share;
};

/* room.c */
struct weir_tcp_room {
    void *shares_memory;
    struct weir_shares *shares;
    struct weir_prefixes trusted;
    struct weir_degraded *degraded;
    int64_t idle_ms;
    uint32_t reserve; /* places of each listener that no other one fills */
};

/* lines.c: answers to single records, of one connection, on their way to its socket. */
#define WEIR_TCP_LINES_BYTES 4096
struct weir_tcp_lines {
    struct weir_connection *connection; /* whose they are; NULL: there are none */
    uint32_t size;
    uint8_t bytes[WEIR_TCP_LINES_BYTES];
};

struct weir_port_tcp {
    struct weir_port port;
    int epoll;
    int wake;          /* readable while `again` has anybody, for wait_fd */
    bool wake_set;
    bool accept_paused; /* out of descriptors or memory */
    bool changed;       /* somebody new waits, or was completed, since the last progress */
    uint32_t listener_count;
    struct weir_tcp_listener listeners[WEIR_LISTENERS_MAX];
    struct weir_connections *connections;
    struct weir_tcp_room room;
    struct weir_connection_list again;
    struct weir_connection_list waiting;
    struct weir_connection_list held; /* wait for the registrar, and are not read */
    uint32_t *acking; /* slots of connections that are owed an acknowledgement */
    uint32_t acking_count;
    struct weir_tcp_lines lines;
    char http[WEIR_HTTP_ADDRESS_MAX]; /* where HTTP is; empty: nowhere */
    uint8_t *area;
    size_t area_used;
    /* the burst's */
    int64_t now_ms;
    int64_t now_mono_ms;
    uint64_t now_tsc;
    /* progress when the waiting were last looked at */
    uint64_t worker_durable;
    uint64_t registrar_durable;
    uint32_t state;         /* enum weir_ingest_state */
    int64_t state_since_ns;
};

static inline struct weir_port_tcp *
weir_tcp_of(struct weir_port *port)
{
    return (struct weir_port_tcp *)port;
}

static inline void
weir_tcp_count(struct weir_port_tcp *tcp, enum weir_counter counter)
{
    tcp->port.counts->counter[counter]++;
}

/* tcp.c */
/* Ends a connection. */
void weir_tcp_drop(struct weir_port_tcp *tcp, struct weir_connection *connection);
/* Watches what the connection's state asks for. */
void weir_tcp_watch(struct weir_port_tcp *tcp, const struct weir_connection *connection);

/* room.c */
enum weir_err weir_tcp_room_open(struct weir_port_tcp *tcp,
    const struct weir_tcp_options *options, size_t listener_count) WEIR_MUST_USE;
void weir_tcp_room_close(struct weir_port_tcp *tcp);
/* The listener's descriptor is bound. */
void weir_tcp_room_listener(struct weir_tcp_listener *listener);
/* Once a second. */
void weir_tcp_room_look(struct weir_port_tcp *tcp);
/* A connection for fd, or NULL, refused, counted and reported. */
struct weir_connection *weir_tcp_room_admit(struct weir_port_tcp *tcp, uint32_t listener, int fd,
    const struct weir_peer *peer);
/* It is about to be dropped. */
void weir_tcp_room_leave(struct weir_port_tcp *tcp, const struct weir_connection *connection);
/* Ends an idle connection in favour of the listener; false where none is idle. */
bool weir_tcp_make_room(struct weir_port_tcp *tcp, uint32_t listener);

/* Has recv only nothing to give now? */
static inline bool
weir_tcp_again(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* http.c */
/* Do a connection's first bytes begin with the request line of HTTP? No line of any protocol here
 * is one. */
bool weir_tcp_is_http(const uint8_t *data, size_t size);
/* Tells the client where HTTP is, and sends no more. */
void weir_tcp_refuse_http(struct weir_port_tcp *tcp, struct weir_connection *connection);
/* Throws away what a refused client sends. */
void weir_tcp_discard(struct weir_port_tcp *tcp, struct weir_connection *connection);

/* lines.c */
/* answer of the port's operations: the line goes out with those after it, at the next flush. */
void weir_tcp_line(struct weir_port *port, uint32_t source, const uint8_t *line, size_t size);
/* Sends what there is. A line that is cut keeps its end; those after it are dropped. */
void weir_tcp_lines_flush(struct weir_port_tcp *tcp);

/* answer.c */
/* All the sender's bytes have been taken: from here on it waits for its answer. */
void weir_tcp_wait_for_answer(struct weir_port_tcp *tcp, struct weir_connection *connection);
/* Notes what a stretch of weir packets asks to be acknowledged. */
void weir_tcp_note_ack(struct weir_port_tcp *tcp, struct weir_connection *connection,
    const struct weir_packet *packet);
/* Nothing is owed to it any more. */
void weir_tcp_forget_ack(struct weir_port_tcp *tcp, struct weir_connection *connection);
/* Sends an acknowledgement, or keeps what of it finds no room. */
void weir_tcp_send_ack(struct weir_port_tcp *tcp, struct weir_connection *connection,
    uint16_t status);
/* There is room again. False where the connection is gone. */
bool weir_tcp_writable(struct weir_port_tcp *tcp, struct weir_connection *connection);
/* complete and progress of the port's operations */
void weir_tcp_complete(struct weir_port *port, const struct weir_completion *completion);
bool weir_tcp_progress(struct weir_port *port, const struct weir_progress *progress);

#endif
