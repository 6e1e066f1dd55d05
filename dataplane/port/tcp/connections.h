/* connections: the TCP port's table: slots, names that outlive nobody, and the bytes that wait.
 *
 * Owns:    the connections and one region that holds each one's incomplete line
 * Threads: its port's worker
 * Memory:  taken at new. A connection's share of the region has room for the longest stretch,
 *          but its pages come when bytes are kept and go when they are large and unused: an idle
 *          connection costs its struct, one with part of a line a page
 * Limits:  WEIR_CONNECTIONS_LIMIT, because a name has 24 bits for slot and generation
 *
 *   free --take--> open --end of stream, all handed on--> waiting --answered or broken--> free
 *                   | \--reset--> free
 *                   +-- again: complete records were left over (a list, not a state)
 */
#ifndef WEIR_DATAPLANE_PORT_TCP_CONNECTIONS_H
#define WEIR_DATAPLANE_PORT_TCP_CONNECTIONS_H

#include "dataplane/port/port.h"
#include "dataplane/protocol/protocol.h"

#define WEIR_CONNECTIONS_LIMIT 65536
/* Taken from a socket at a time: enough that the system call's cost vanishes, little enough that
 * a stretch is still in the second-level cache when it is parsed. */
#define WEIR_STREAM_READ_MAX (64u << 10)
/* No line that can be accepted is longer with its "\r\n". */
#define WEIR_STREAM_LINE_FULL (WEIR_LINE_MAX + 2)
#define WEIR_STRETCH_MAX (WEIR_STREAM_LINE_FULL + WEIR_STREAM_READ_MAX)

struct weir_connection_list;

struct weir_connection {
    int fd;            /* -1: free */
    uint32_t name;     /* slot and generation; the lower bits of weir_packet.source */
    uint32_t slot;
    uint32_t kept;     /* bytes of incomplete records */
    uint32_t touched;  /* bytes of the region that may have pages */
    uint8_t listener;
    uint64_t position; /* bytes of it that were consumed */
    bool spoke;        /* has ever sent a whole record */
    struct weir_peer peer;
    uint32_t share;    /* of the table, its sender's: model/shares.h */
    int64_t active_ms; /* when bytes came last, or it was opened; monotonic */
    bool ended;        /* the sender has half-closed */
    bool waiting;      /* for its answer */
    bool handed;       /* a stretch is with the worker */
    bool begun;        /* its first bytes have been looked at */
    bool refused;      /* it speaks HTTP and was answered: see http.c */
    uint32_t discarded; /* bytes since then */
    bool skip_line;    /* as weir_packet.skip_line */
    uint64_t accepted; /* records */
    uint64_t rejected;
    int64_t incomplete; /* deferred records; below 0 where a completion came before the release */
    uint64_t worker_batch;
    uint64_t registrar_batch;
    const struct weir_session *session; /* of its protocol; NULL: lines (protocol.h) */
    bool must_report;         /* a refusal by the log's state is to be reported */
    /* a refusal of an epoch is to be reported: struct weir_packet, refused_status; 0: none */
    uint8_t epoch_status;
    uint16_t epoch_channel;
    uint32_t epoch;
    bool acking;       /* in the port's list of those that are owed an acknowledgement */
    uint32_t acking_at;
    uint8_t unsent;    /* bytes of `rest`, the end of an answer that found no room */
    bool repeat;       /* and a newer one follows them */
    bool closing;      /* and then the end */
    uint16_t repeat_status;
    uint8_t rest[WEIR_ANSWER_MAX];
    uint32_t need;     /* bytes that make the next packet whole, as far as known */
    struct weir_connection_ack {
        uint64_t batch; /* 0: none */
        uint64_t sequence;
        uint32_t epoch;
        uint16_t channel;
    } ack[2], acked;   /* the one that waits for its batch, and the newest after it; durable */
    struct weir_connection_list *list; /* that it is in, or NULL */
    struct weir_connection *previous;
    struct weir_connection *next;
    struct weir_connection *older; /* in the order of active_ms, see weir_connections_oldest */
    struct weir_connection *newer;
};

struct weir_connection_list {
    struct weir_connection *first;
    struct weir_connection *last;
};

struct weir_connections;

enum weir_err weir_connections_new(uint32_t connections_max, struct weir_connections **out)
    WEIR_MUST_USE;
/* Closes every descriptor. */
void weir_connections_free(struct weir_connections *table);

/* A free connection, all zero but name and slot, that owns fd and is active now; NULL when all are
 * in use. Slots are used in the order they became free: a name comes back as late as
 * possible. */
struct weir_connection *weir_connection_add(struct weir_connections *table, int fd,
    int64_t now_ms);
/* Closes the descriptor and frees the slot. */
void weir_connection_drop(struct weir_connections *table, struct weir_connection *connection);

/* Places that are free. */
uint32_t weir_connections_room(const struct weir_connections *table);
/* Bytes have come now; a whole record too. */
void weir_connection_active(struct weir_connections *table, struct weir_connection *connection,
    int64_t now_ms);
void weir_connection_spoke(struct weir_connections *table, struct weir_connection *connection);
/* Of those that never spoke, or of the others, the one that was active the longest ago, or NULL;
 * connection->newer is the next one. */
struct weir_connection *weir_connections_oldest(struct weir_connections *table, bool spoke);

struct weir_connection *weir_connection_at(struct weir_connections *table, uint32_t slot);
/* By the name in a packet's source; NULL where that connection is gone. */
struct weir_connection *weir_connection_find(struct weir_connections *table, uint32_t source);

/* Room for WEIR_STRETCH_MAX bytes; the first `kept` are the connection's. */
uint8_t *weir_connection_bytes(struct weir_connections *table,
    const struct weir_connection *connection);
/* Adds to what is kept; the sum is at most WEIR_STRETCH_MAX. */
void weir_connection_keep(struct weir_connections *table, struct weir_connection *connection,
    const uint8_t *data, uint32_t size);
/* Forgets what is kept. */
void weir_connection_forget(struct weir_connections *table, struct weir_connection *connection);

void weir_connection_list_add(struct weir_connection_list *list,
    struct weir_connection *connection);
/* Takes a connection out of the list it is in, if any. */
void weir_connection_list_remove(struct weir_connection *connection);

#endif
