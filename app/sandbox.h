/* sandbox: gives up rights of a process once its ports are open.
 *
 * Each thread loses every capability, may not gain any by executing a program (no_new_privs), opens
 * no file but those below the paths it names (Landlock), binds and connects no TCP socket, and
 * sends signals and abstract UNIX datagrams to none but its own.
 *
 * Threads: the main thread; threads that are there already are reached by a signal
 * Errors:  none is fatal: a missing feature of the kernel, or a missed thread, is an event
 */
#ifndef WEIR_APP_SANDBOX_H
#define WEIR_APP_SANDBOX_H

#include <stdbool.h>

struct weir_sandbox_path {
    const char *path;
    bool write; /* make, write, rename and remove files too; else read them and list folders */
};

struct weir_sandbox_options {
    const char *process; /* for events */
    const struct weir_sandbox_path *paths; /* one that is not there is left out */
    unsigned path_count;
    /* A folder that is opened again and again. CAP_DAC_READ_SEARCH stays if the folder is reached
     * by capabilities alone, because a folder above it is closed to this user. NULL: none. */
    const char *reach;
};

/* Reports the restrictions that hold in the event `sandbox`. */
void weir_sandbox_enter(const struct weir_sandbox_options *options);

#endif
