/* locks: one instance a DATA, whatever becomes of the files in it.
 *
 *   DATA, DATA/lock                    held by the supervisor while it runs
 *   DATA/log, DATA/run/dataplane.lock  held by the dataplane: a new supervisor waits for
 *                                      the flush of one whose supervisor was killed
 *
 * The locks proper are on the folders: nobody can remove those while a log is in them. The files
 * are for file systems that lock no folders (NFS), and for programs from before there was a lock on
 * the folder; one that was removed is made anew within a second.
 *
 * Threads: the supervisor's
 * Errors:  WEIR_BUSY another instance runs on DATA; WEIR_IO
 */
#ifndef WEIR_APP_SUPERVISOR_LOCKS_H
#define WEIR_APP_SUPERVISOR_LOCKS_H

#include "base/err.h"

struct weir_locks {
    const char *data; /* borrowed */
    /* -1: not held. All close on exec; the dataplane's child keeps its two. */
    int data_fd;
    int file_fd;
    int log_fd;
    int dataplane_fd;
};

/* Takes all of them. DATA and DATA/run are there; DATA/log is made. */
enum weir_err weir_locks_acquire(struct weir_locks *locks, const char *data) WEIR_MUST_USE;
void weir_locks_release(struct weir_locks *locks);
/* In the dataplane's child: it keeps its locks over exec. */
void weir_locks_inherit(const struct weir_locks *locks);
/* Once a second: makes a lock file anew that was removed, and reports it. WEIR_BUSY if another
 * process has it by then, or if DATA is another folder by now: files opened by name would go
 * there. */
enum weir_err weir_locks_watch(struct weir_locks *locks) WEIR_MUST_USE;

/* Locks a folder. WEIR_BUSY where another process has it; *fd is -1 where the file system locks no
 * folders. */
enum weir_err weir_locks_folder(const char *path, int *fd) WEIR_MUST_USE;

#endif
