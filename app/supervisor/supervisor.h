/* supervisor: starts the processes of an instance, keeps them running, ends them.
 *
 * Owns:    DATA/lock, DATA/run/ (pid files, the effective configuration), the shared region, the
 *          bound UDP sockets, the HTTP socket, DATA/filter.rules and the socket of `weir filter`
 * Threads: one; signals are read from a signalfd only
 * Memory:  its struct, and a mapping of the shared region
 * Errors:  the exit code: 0 stopped as asked, 1 could not start, 2 configuration refused
 *
 *   starting --ingest open, HTTP answers--> ready --child dies--> starting
 *      |                                      |
 *      +---- first start exits with 2         +--- SIGTERM, SIGINT
 *      v                                      v
 *   stopping: TERM to the dataplane, then to the control plane, KILL to what is left
 *
 * SIGHUP reads the configuration anew: what may change while an instance runs holds at once, the
 * rest is named and needs a restart, and one that is not valid changes nothing.
 *
 * It parses no byte from outside: all it knows of its children is their exit and the shared
 * region. `weir filter` is this machine's root, or whoever runs the instance. UDP sockets it only
 * binds and holds: a new dataplane takes over what has waited in their buffers while none ran. So
 * does a new control plane with who has connected to the HTTP socket meanwhile; where its address
 * is in use nothing is started. An XDP program that a dead dataplane left on
 * its interface is detached before the next one starts.
 */
#ifndef WEIR_APP_SUPERVISOR_SUPERVISOR_H
#define WEIR_APP_SUPERVISOR_SUPERVISOR_H

#include "config/config.h"

/* Exit code of a child whose configuration is refused, and then ours. */
#define WEIR_EXIT_CONFIG 2

struct weir_supervisor_options {
    struct weir_config *config; /* checked; follows its own file at SIGHUP where it can */
    int argc;                   /* the options it was made from, borrowed */
    char **argv;
    const char *programs; /* folder of the child programs; NULL: this program's */
};

/* Runs the instance until it is asked to stop. Returns the exit code. */
int weir_supervisor_run(const struct weir_supervisor_options *options);

#endif
