/* instance: the files by which an instance is known on its machine.
 *
 *   DATA/lock, DATA/run/dataplane.lock  app/supervisor/locks.h
 *   DATA/run/weir.yaml       the effective configuration, as its processes read it
 *   DATA/run/<process>.pid
 *
 * Threads: the supervisor's
 * Errors:  WEIR_BUSY another instance runs on DATA; WEIR_INVALID DATA is another user's; WEIR_IO
 */
#ifndef WEIR_APP_SUPERVISOR_INSTANCE_H
#define WEIR_APP_SUPERVISOR_INSTANCE_H

#include "app/supervisor/locks.h"
#include "config/config.h"

#include <sys/types.h>

struct weir_instance {
    const struct weir_config *config; /* borrowed */
    char run[WEIR_CONFIG_PATH_MAX + 8];
    char config_path[WEIR_CONFIG_PATH_MAX + 32];
    int config_fd; /* its memory, where the device had no room for it; else -1 */
    struct weir_locks locks;
};

/* Makes DATA and DATA/run, takes the locks, writes the effective configuration. */
enum weir_err weir_instance_open(struct weir_instance *instance,
    const struct weir_config *config) WEIR_MUST_USE;
/* Removes the pid files and gives the locks back. */
void weir_instance_close(struct weir_instance *instance);

/* Writes run/weir.yaml anew from the configuration. */
enum weir_err weir_instance_write_config(struct weir_instance *instance) WEIR_MUST_USE;

/* pid 0 removes the file. A failure is an event: nothing of ours reads these files. */
void weir_instance_set_pid(const struct weir_instance *instance, const char *process, pid_t pid);

#endif
