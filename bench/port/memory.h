/* memory: the ring source: packets that a generator lays into shared memory, parsed in place.
 *
 * Owns:    a memfd: a header, then slots of one size
 * Threads: one generator (thread or process), one port
 * Memory:  weir_ring_source_new() sizes it; pages come when touched
 * Errors:  WEIR_INVALID a descriptor or geometry that is not a ring source
 *
 *   | header | slot 0 | slot 1 | ... |        slot: | size, proto, unit | data | slack |
 *
 * Cursors grow for ever. The generator fills slots between the port's cursor and its own and
 * publishes them together; the port hands them on in place and gives them back at release. Each
 * side keeps its own cursor and a copy of the other's: a shared line moves once a burst.
 */
#ifndef WEIR_BENCH_PORT_MEMORY_H
#define WEIR_BENCH_PORT_MEMORY_H

#include "dataplane/port/port.h"

/* Largest payload of a slot. */
#define WEIR_RING_SOURCE_PAYLOAD_MAX WEIR_LINE_MAX

struct weir_ring_source;

/* Makes a ring of slot_count slots (a power of two) for payloads of up to payload_max bytes. */
enum weir_err weir_ring_source_new(uint32_t payload_max, uint32_t slot_count, int *fd)
    WEIR_MUST_USE;

/* The generator's side. fd stays the caller's. */
enum weir_err weir_ring_source_attach(int fd, struct weir_ring_source **out) WEIR_MUST_USE;
void weir_ring_source_detach(struct weir_ring_source *source);

/* Bytes a slot holds. */
uint32_t weir_ring_source_payload_max(const struct weir_ring_source *source);
/* The next slot's payload, or NULL while the ring is full (of published packets). */
uint8_t *weir_ring_source_reserve(struct weir_ring_source *source);
/* Completes the slot reserved last; its size is at most payload_max. Not seen until published. */
void weir_ring_source_commit(struct weir_ring_source *source, uint32_t size, enum weir_proto proto,
    enum weir_time_unit unit);
/* Shows the port all that was committed. */
void weir_ring_source_publish(struct weir_ring_source *source);
/* Publishes, and says that nothing more will come. */
void weir_ring_source_end(struct weir_ring_source *source);
/* Packets the port has given back. */
uint64_t weir_ring_source_released(const struct weir_ring_source *source);

/* The port's side: the generator has ended and every packet has been released. */
bool weir_port_memory_drained(const struct weir_port *port);

#endif
