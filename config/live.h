/* live: values of the configuration that an instance follows while it runs.
 *
 * Owns:    the bytes of a place in the shared region (model/live.h); nothing is there until the
 *          first change
 * Threads: the supervisor writes; threads of the other processes read, each with its own memory of
 *          the version it has seen
 * Errors:  none
 */
#ifndef WEIR_CONFIG_LIVE_H
#define WEIR_CONFIG_LIVE_H

#include "config/config.h"
#include "model/live.h"

_Static_assert(sizeof(struct weir_config) <= WEIR_LIVE_BYTES, "the place holds a configuration");
_Static_assert(sizeof(struct weir_config) % 8 == 0, "a configuration is copied by words");
_Static_assert(_Alignof(struct weir_config) == 8, "its words are aligned");

/* The supervisor: the values from now on. */
void weir_live_set(struct weir_live *live, const struct weir_config *config);

/* Copies the configuration to out where it has changed since *seen, which begins at 0 and follows.
 * False where it has not, and while it is being written: the next call has it then. */
bool weir_live_get(const struct weir_live *live, uint64_t *seen, struct weir_config *out);

#endif
