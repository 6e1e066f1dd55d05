/* wire: the layout of the weir protocol, as docs/format/wire.md states it. Shared by the client
 * library and the appliance; needs nothing but C11 on a little-endian machine.
 *
 *   packet: | header, 64 bytes | record | pad to 64 | record | ...
 *   record: | 16 bytes | body |
 */
#ifndef WEIR_CLIENT_WIRE_H
#define WEIR_CLIENT_WIRE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define WEIR_WIRE_MAGIC UINT32_C(0x52494557) /* "WEIR" */
#define WEIR_WIRE_ACK_MAGIC UINT32_C(0x4b434157) /* "WACK" */
#define WEIR_WIRE_VERSION 1
#define WEIR_WIRE_ALIGN 64u
#define WEIR_WIRE_PACKET_MAX 65472u /* a multiple of 64 that a UDP datagram holds */
#define WEIR_WIRE_RECORDS_MAX 255
#define WEIR_WIRE_WINDOW 1024 /* a packet may be overtaken by fewer numbers than this */
#define WEIR_WIRE_TEMPLATE_SERIES_MAX 16384
#define WEIR_WIRE_TEMPLATES_MAX 64 /* a channel */

/* Bits of weir_wire_header.flags. */
#define WEIR_WIRE_UNNUMBERED 1 /* sequence is the last number used: definitions, heartbeats */

enum weir_wire_type {
    WEIR_WIRE_GROUP = 1,         /* values of one time */
    WEIR_WIRE_GROUP_OFFSETS = 2, /* values, each with a time of its own */
    WEIR_WIRE_DEFINITION = 3,    /* labels of some series of a template */
    WEIR_WIRE_HEARTBEAT = 4,
};

/* Bits of weir_wire_record.flags. */
#define WEIR_WIRE_BYE 1 /* heartbeat: nothing is on its way any more */

struct weir_wire_header {
    uint32_t magic;
    uint8_t version;
    uint8_t flags;
    uint16_t record_count;
    uint32_t length;       /* bytes of the packet with this header */
    uint32_t epoch;        /* of the sender: grows with each start */
    uint64_t sender;
    uint64_t sequence;     /* of the channel, from 1 */
    int64_t base_time_ms;  /* since the Unix epoch */
    uint16_t channel;
    uint16_t key_id;       /* 0 */
    uint32_t crc;          /* CRC-32C of bytes 0 to 43 and of those after the header */
    uint8_t mac[16];       /* 0 */
};
static_assert(sizeof(struct weir_wire_header) == 64, "the header is 64 bytes");
static_assert(offsetof(struct weir_wire_header, sender) == 16, "");
static_assert(offsetof(struct weir_wire_header, crc) == 44, "the checksum ends the first part");

struct weir_wire_record {
    uint8_t type;   /* enum weir_wire_type */
    uint8_t flags;
    uint16_t length; /* bytes with this head, without padding */
    uint16_t template_id;
    uint16_t first; /* index of the first series in its template */
    uint32_t template_hash;
    uint16_t count; /* series */
    uint16_t total; /* series of the whole template; definitions only */
};
static_assert(sizeof(struct weir_wire_record) == 16, "a record begins with 16 bytes");

/* Behind the 16 bytes:
 *   group:       i64 offset from base_time_ms, then count doubles
 *   with offsets: the same, then count i32 offsets from the group's time, in ms
 *   definition:  u16 size of the common labels, labels, then count times u16 size, labels
 *                (labels: u16 name size, u16 value size, name, value, ...)
 *   heartbeat:   u64 last number used */
#define WEIR_WIRE_GROUP_HEAD (sizeof(struct weir_wire_record) + 8)
#define WEIR_WIRE_HEARTBEAT_BYTES (sizeof(struct weir_wire_record) + 8)

enum weir_wire_status {
    WEIR_WIRE_OK = 0,
    WEIR_WIRE_DISK_FULL = 1, /* an unacknowledged packet may be sent again later */
    WEIR_WIRE_IO_ERROR = 2,
    WEIR_WIRE_BAD_PACKET = 3, /* the connection is closed after this */
    /* packets were refused: an epoch below the newest one met, which is in `epoch` then; an epoch
     * more than an hour ahead of the clock. sequence says nothing. */
    WEIR_WIRE_OLD_EPOCH = 4,
    WEIR_WIRE_EPOCH_AHEAD = 5,
};

/* Weir sends it on a TCP connection whenever there is news. */
struct weir_wire_ack {
    uint32_t magic;
    uint16_t status; /* enum weir_wire_status */
    uint16_t channel;
    uint32_t epoch; /* the sender's */
    uint32_t reserved;
    uint64_t sequence; /* all numbers up to it are durable, or refused by name */
    uint64_t rejected; /* records refused on this connection, duplicates not among them */
};
static_assert(sizeof(struct weir_wire_ack) == 32, "an acknowledgement is 32 bytes");

#endif
