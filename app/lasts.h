/* lasts: which errors of a start another start would meet again.
 *
 * Threads: any; asks for the calling thread's last detail
 */
#ifndef WEIR_APP_LASTS_H
#define WEIR_APP_LASTS_H

#include "base/err.h"

#include <stdbool.h>

/* True of configuration, data, an address that is not there or taken, a limit, or what this user
 * may not do. Not so of what a device or the machine lacks for the moment. */
bool weir_error_lasts(enum weir_err err);

#endif
