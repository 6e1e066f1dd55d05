/* lasts: which errors of a start another start would meet again.
 *
 * Threads: any; asks for the calling thread's last detail
 */
#ifndef WEIR_APP_LASTS_H
#define WEIR_APP_LASTS_H

#include "base/err.h"

#include <stdbool.h>

/* True for errors of the configuration or the data, for an address that is missing or in use, for a
 * limit, and for missing rights. False for a shortage of the device or the machine that may
 * pass. */
bool weir_error_lasts(enum weir_err err);

#endif
