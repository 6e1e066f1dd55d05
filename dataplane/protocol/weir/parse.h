/* parse: packets of the weir protocol.
 *
 * A packet is parsed as a whole: its number is entered together with its records.
 *
 *   checked -> (its channel's definitions are with the registrar: waits) -> numbered -> records
 *
 * Its groups are not points but items: series numbers come from the template's array.
 *
 * Threads: as dataplane/protocol/parse.h; context.channels is the worker's own
 * Limits:  WEIR_WIRE_RECORDS_MAX records a packet
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_WEIR_PARSE_H
#define WEIR_DATAPLANE_PROTOCOL_WEIR_PARSE_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the packet that begins at data; 0 where its header is not there yet or is none. */
size_t weir_wire_packet_bytes(const uint8_t *data, size_t size);

#endif
