/* net: from an Ethernet frame to the payload of its UDP datagram, verified.
 *
 * Up to two VLAN tags; IPv4 with options, checksum and length; IPv6 without extension headers
 * (RFC 8200; a fragment header is a fragment, any other makes it not_ip_udp); UDP length and
 * checksum (RFC 768; zero means none over IPv4 and is refused over IPv6, RFC 8200 8.1). Bytes
 * beyond the lengths, Ethernet's padding, are left out.
 *
 * Threads: any; no state
 */
#ifndef WEIR_DATAPLANE_PORT_NET_H
#define WEIR_DATAPLANE_PORT_NET_H

#include "model/metrics.h"
#include "model/peer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* reason of a frame that is in order */
#define WEIR_NET_OK 0xff

struct weir_net_frame {
    const uint8_t *data; /* borrowed; no byte outside data..data+size is read */
    uint32_t size;
    bool ip_checked;     /* the device has verified the IPv4 header's checksum */
    bool udp_checked;    /* the device has verified the UDP checksum */

    /* out */
    uint8_t reason;      /* WEIR_NET_OK, or an enum weir_reason */
    uint16_t port;       /* UDP destination, host order */
    uint16_t source_port; /* UDP source, host order */
    uint16_t source_at;  /* offset of the IP source address in data */
    bool ipv4;           /* 4 bytes of address there, else 16 */
    uint32_t payload_at; /* offset in data */
    uint32_t payload_size;
};
_Static_assert(WEIR_REASON_COUNT < WEIR_NET_OK, "reasons leave room for ok");

/* Fills the out fields of each frame. */
void weir_net_verify(struct weir_net_frame *frames, size_t count);

/* The sender of a frame that is in order. */
void weir_net_peer(const struct weir_net_frame *frame, struct weir_peer *peer);

/* One's complement sum (RFC 1071) of data in the byte order of the wire, folded to 16 bits and
 * continued from sum; not inverted. A frame's checksum is right where the sum over all its bytes
 * is 0xffff. Only the last piece may have an odd size. */
uint16_t weir_net_sum(uint16_t sum, const uint8_t *data, size_t size);

#endif
