/* dataplane: carries out a topology: memory, log, ports, threads, and their end.
 *
 * Owns:    everything the dataplane process has
 * Threads: the caller's runs the topology's first thread, others are started
 * Errors:  open and the start of the threads report errors; after that the process runs
 *          until asked to stop
 */
#ifndef WEIR_APP_DATAPLANE_DATAPLANE_H
#define WEIR_APP_DATAPLANE_DATAPLANE_H

#include "base/err.h"
#include "config/config.h"
#include "model/shared.h"

#include <signal.h>

struct weir_dataplane;

struct weir_dataplane_options {
    const struct weir_config *config;
    int shared_fd;
    /* the benchmark's packets (bench/port/memory.h), one a worker; the first is worker 0's */
    int ring_source_fds[WEIR_WORKERS_MAX];
    uint32_t ring_source_count;
    /* bound sockets of the UDP listeners, in their order, inherited; 0: the port makes its own */
    int udp_fds[WEIR_CONFIG_LISTENERS_MAX];
};

/* Takes memory, recovers the log, opens ports. Ingest is open when it returns. */
enum weir_err weir_dataplane_open(const struct weir_dataplane_options *options,
    struct weir_dataplane **out) WEIR_MUST_USE;

/* Runs until *stop is set. Then it stops receiving, makes durable everything it has received, and
 * returns. Samples that are not durable after four seconds are counted as dropped{shutdown}.
 * WEIR_NOMEM if a thread could not be started: none runs then. */
enum weir_err weir_dataplane_run(struct weir_dataplane *dataplane,
    const volatile sig_atomic_t *stop) WEIR_MUST_USE;

void weir_dataplane_close(struct weir_dataplane *dataplane);

#endif
