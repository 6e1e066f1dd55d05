/* live: values of the configuration that an instance follows while it runs.
 *
 * Owns:    a place in the shared region; nothing is there until the first change
 * Threads: the supervisor writes; threads of the other processes read, each with its own memory of
 *          what it has seen
 * Errors:  none
 */
#ifndef WEIR_CONFIG_LIVE_H
#define WEIR_CONFIG_LIVE_H

#include "config/config.h"

#include <stdatomic.h>

struct weir_live {
    _Atomic uint32_t generation; /* odd while config is written, two more after each change */
    struct weir_config config;
};

/* The supervisor: what holds from now on. */
void weir_live_set(struct weir_live *live, const struct weir_config *config);

/* Copies the configuration to out where it has changed since *seen, which begins at 0 and follows.
 * False where it has not, and while it is being written: the next call has it then. */
bool weir_live_get(const struct weir_live *live, uint32_t *seen, struct weir_config *out);

#endif
