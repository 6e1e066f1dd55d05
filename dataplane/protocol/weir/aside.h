/* aside: datagrams of the weir protocol that wait until the registrar has answered definitions of
 * their channel. Everybody else goes on meanwhile.
 *
 *   channel (sender id, channel) -> queue: datagram -> datagram -> ...   in the order they came
 *                                     |
 *       waits --wake: an answer came--> ready --receive: the first--> handed
 *         ^                               ^                             |
 *         +----- release, waits again ----+----- release, consumed -----+ (the queue ends with its
 *                                                                          last datagram)
 *
 * While a channel has a queue, all that comes for it goes to the queue's end: its order
 * stays. The place is a port of its worker: what is ready is received from it like new packets.
 *
 * Threads: its worker's
 * Memory:  weir_aside_footprint() bytes from the caller, zeroed; pages come when used
 * Limits:  WEIR_ASIDE_UNITS units of WEIR_ASIDE_UNIT bytes, of which a datagram takes one or more;
 *          above half of them a source and a sender id hold an eighth (model/shares.h)
 */
#ifndef WEIR_DATAPLANE_PROTOCOL_WEIR_ASIDE_H
#define WEIR_DATAPLANE_PROTOCOL_WEIR_ASIDE_H

#include "base/hash.h"
#include "dataplane/port/port.h"

/* Two milliseconds of 40 Gbit/s, or 4,096 datagrams of usual size. */
#define WEIR_ASIDE_UNIT 2048u
#define WEIR_ASIDE_UNITS 4096u

struct weir_aside;

size_t weir_aside_footprint(void);
/* Trusted sources are counted to nobody. Both are borrowed. */
struct weir_aside *weir_aside_init(void *memory, const struct weir_hash_key *key,
    const struct weir_prefixes *trusted);

/* Datagrams that wait or are ready. */
uint32_t weir_aside_count(const struct weir_aside *aside);
bool weir_aside_has(const struct weir_aside *aside, uint64_t sender, uint16_t channel);
/* Copies a datagram to the end of its channel's queue, from byte `at` on. False where there is no
 * room for it. */
bool weir_aside_put(struct weir_aside *aside, uint64_t sender, uint16_t channel,
    const struct weir_packet *packet, uint32_t at);
/* The channel may go on, if it has a queue. */
void weir_aside_wake(struct weir_aside *aside, uint64_t sender, uint16_t channel);

/* receive gives the first datagram of each ready queue; release takes those back that have
 * packet.waits set. */
struct weir_port *weir_aside_port(struct weir_aside *aside);
bool weir_aside_ready(const struct weir_aside *aside);

#endif
