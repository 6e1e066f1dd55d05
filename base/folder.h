/* folder: makes a folder and the folders above it.
 *
 * Threads: any
 * Memory:  none
 * Errors:  as weir_err_of_errno; WEIR_INVALID the path is too long; WEIR_IO a file has the name
 */
#ifndef WEIR_BASE_FOLDER_H
#define WEIR_BASE_FOLDER_H

#include "base/err.h"

#include <stdbool.h>

/* A folder that exists stays as it is; others get mode 0750. durable: each name that was made is
 * synced. */
enum weir_err weir_folder_make(const char *path, bool durable) WEIR_MUST_USE;

#endif
