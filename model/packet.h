/* packet: bytes with a protocol tag, whatever port they came by.
 *
 * Owned by the port from receive until the worker gives the burst back with release. The worker
 * only reads data and fills the outcome fields.
 */
#ifndef WEIR_MODEL_PACKET_H
#define WEIR_MODEL_PACKET_H

#include "model/peer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Readable bytes after data + size. Their content means nothing; a scanner may load whole vectors
 * there. */
#define WEIR_PACKET_SLACK 64
/* The longest line, without its newline. */
#define WEIR_LINE_MAX 65536

enum weir_proto {
#define WEIR_PROTOCOL(NAME, name) WEIR_PROTO_##NAME,
#include "model/protocols.def"
    WEIR_PROTO_COUNT
};

/* Unit of timestamps on the wire; auto judges each by its magnitude. */
enum weir_time_unit { WEIR_TIME_AUTO, WEIR_TIME_S, WEIR_TIME_MS, WEIR_TIME_US, WEIR_TIME_NS };

struct weir_packet {
    const uint8_t *data;
    uint32_t size;
    uint8_t proto;     /* enum weir_proto */
    uint8_t time_unit; /* enum weir_time_unit */
    uint8_t listener;  /* place in the configuration, counted from 1; 0: none */
    bool final;        /* a datagram, or the last stretch of a stream: its end ends a record */
    bool stream;       /* of a connection: a last line without newline may have been cut */
    /* A line too long is being discarded: set by the parser where data ends inside it, and handed
     * in again by the port with the next stretch of the same stream. */
    bool skip_line;
    uint32_t source;   /* the port's name for the sender's connection; 0 where none is answered */
    int64_t receive_ms;
    uint64_t receive_tsc;
    void *owner;       /* the port's own */
    struct weir_peer peer; /* the sender's address; zero where the port has none */
    uint64_t position; /* of data in its connection; 0 for a datagram */

    /* outcome, filled by the worker before release */
    uint32_t consumed; /* bytes of complete records; the rest comes again, longer */
    uint32_t accepted; /* records */
    uint32_t rejected; /* records, but for second copies of a packet */
    uint32_t deferred; /* records sent to the registrar; complete() reports their fate */
    uint64_t batch;    /* the worker's batch that holds the last accepted record; 0 none */
    /* of the last weir packet taken; epoch 0: none */
    uint32_t ack_epoch;
    uint16_t ack_channel;
    /* of the last weir packet refused for its epoch; status 0: none */
    uint8_t refused_status; /* enum weir_wire_status */
    uint16_t refused_channel;
    uint32_t refused_epoch; /* the newest one met, or the one that is ahead of the clock */
    bool broken;           /* a stream that cannot be followed any further */
    /* The sender has ended the stream by a command, and nothing after it is read. The parser sets
     * it. */
    bool ends;
    /* The rest waits for the registrar: a stream's port keeps it, and reads no more of the
     * stream, until resume. */
    bool waits;
    uint64_t ack_sequence; /* all numbers up to it have come */
    uint64_t ack_batch;    /* they are durable with this batch */
};

#endif
