/* process_figures: the figures of a process in /proc.
 *
 * Threads: any; no state
 * Errors:  WEIR_NOT_FOUND it does not run, WEIR_IO /proc cannot be read
 */
#ifndef WEIR_APP_SUPERVISOR_PROCESS_FIGURES_H
#define WEIR_APP_SUPERVISOR_PROCESS_FIGURES_H

#include "base/err.h"
#include "model/processes.h"

#include <sys/types.h>

/* Units as in struct weir_process_view. */
struct weir_process_figures {
    uint64_t start_ms;
    uint64_t cpu_ms;
    uint64_t resident_bytes;
    uint64_t virtual_bytes;
    uint64_t threads;
    uint64_t fds;
    uint64_t fds_max;
};

enum weir_err weir_process_figures(pid_t pid, struct weir_process_figures *out) WEIR_MUST_USE;

/* Publishes a process's figures; pid 0, or one that has just gone: that it does not run. */
void weir_process_publish(struct weir_process_view *view, pid_t pid);

#endif
