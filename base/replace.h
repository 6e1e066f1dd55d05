/* replace: a small file gets new content as a whole or not at all.
 *
 *   open PATH.new -> write -> sync -> rename to PATH -> sync the folder
 *
 * An error before the rename removes PATH.new and leaves PATH as it was. An error of the last step
 * leaves PATH with its new content, which a loss of power may then still take back.
 *
 * Files of storage go through storage/io, which does the same with primitives that the simulator
 * sees.
 *
 * Threads: any, one at a time for a path
 * Memory:  none
 * Errors:  WEIR_FULL no room on the device; WEIR_NOT_FOUND no folder; WEIR_INVALID the path is too
 *          long; WEIR_IO
 */
#ifndef WEIR_BASE_REPLACE_H
#define WEIR_BASE_REPLACE_H

#include "base/err.h"

#include <sys/types.h>

enum weir_replace_flag {
    WEIR_REPLACE_UNSYNCED = 1, /* for a file that nobody needs after a loss of power */
};

/* mode: of the file, whatever the umask. flags: of enum weir_replace_flag. */
enum weir_err weir_replace(const char *path, const void *data, size_t size, mode_t mode,
    unsigned flags) WEIR_MUST_USE;

/* Makes names in the folder of a path durable. */
enum weir_err weir_replace_sync_folder(const char *path) WEIR_MUST_USE;

/* Opens a file of ours, flags and mode as of open(2): a regular file, or WEIR_INVALID. Never waits,
 * as an open of a FIFO would. WEIR_NOT_FOUND where there is none. */
enum weir_err weir_open_regular(const char *path, int flags, mode_t mode, int *fd) WEIR_MUST_USE;

/* Fault injection of the tests: called before each step ("open", "write", "sync", "rename",
 * "folder") with its name; a return other than 0 is an errno value and the step's result. NULL
 * takes it out. */
typedef int weir_replace_fault_fn(void *context, const char *step);
void weir_replace_set_fault(weir_replace_fault_fn *fault, void *context);

#endif
