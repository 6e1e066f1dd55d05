/* doubts: effects of a valid configuration on this machine that are hardly meant.
 *
 * Threads: the main thread
 */
#ifndef WEIR_APP_SUPERVISOR_DOUBTS_H
#define WEIR_APP_SUPERVISOR_DOUBTS_H

#include "config/config.h"

typedef void weir_doubt_fn(const char *text);

/* Calls say for each doubt: nothing is received, memory, open files or the size of a file are
 * short. The limits of open files and file size are those that weir_process_raise_limits()
 * leaves. */
void weir_doubts(const struct weir_config *config, weir_doubt_fn *say);

#endif
