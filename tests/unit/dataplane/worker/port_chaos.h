/* port_chaos: a port around another that loses, doubles and delays its weir packets, channel by
 * channel (app/cli/send/chaos.h), and knows the truth about it.
 *
 * Threads: as port.h
 * Memory:  a copy of each packet until it is released
 * Limits:  PORT_CHAOS_CHANNELS channels; datagrams of whole weir packets
 */
#ifndef WEIR_TESTS_UNIT_DATAPLANE_WORKER_PORT_CHAOS_H
#define WEIR_TESTS_UNIT_DATAPLANE_WORKER_PORT_CHAOS_H

#include "app/cli/send/chaos.h"
#include "dataplane/port/port.h"

#define PORT_CHAOS_CHANNELS 64

/* The inner port stays the caller's. */
struct weir_port *port_chaos_new(struct weir_port *inner, const struct weir_chaos_options *options);
void port_chaos_free(struct weir_port *port);
/* Over all channels. */
struct weir_chaos_truth port_chaos_truth(const struct weir_port *port);
/* Packets handed on so far, those without numbers too. */
uint64_t port_chaos_handed(const struct weir_port *port);

#endif
