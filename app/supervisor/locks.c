#include "app/supervisor/locks.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/folder.h"
#include "base/replace.h"
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A dataplane whose supervisor died flushes within a second; the rest is for a slow disk. */
#define FLUSH_WAIT_NS INT64_C(6000000000)
#define PATH_SIZE (WEIR_CONFIG_PATH_MAX + 64)
#define FILE_NAME "lock"
#define DATAPLANE_NAME "run/dataplane.lock"

static void
close_lock(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Locks *fd, or closes it. until_ns: how long to wait for a holder. */
static enum weir_err
lock(int *fd, const char *path, int64_t until_ns)
{
    while (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        int errnum = errno;
        if (errnum == EWOULDBLOCK && weir_mono_ns() < until_ns) {
            usleep(2000);
            continue;
        }
        close_lock(fd);
        if (errnum != EWOULDBLOCK)
            return weir_fail(WEIR_IO, errnum, "lock %s", path);
        return weir_fail(WEIR_BUSY, 0, "%s", path);
    }
    return WEIR_OK;
}

static enum weir_err
lock_folder(const char *path, int64_t until_ns, int *fd)
{
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0)
        return weir_fail(WEIR_IO, errno, "open %s", path);
    enum weir_err err = lock(fd, path, until_ns);
    return err == WEIR_IO ? WEIR_OK : err;
}

enum weir_err
weir_locks_folder(const char *path, int *fd)
{
    return lock_folder(path, 0, fd);
}

static enum weir_err
lock_file(const struct weir_locks *locks, const char *name, int64_t until_ns, int *fd)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", locks->data, name);
    enum weir_err err = weir_open_regular(path, O_RDWR | O_CREAT, 0640, fd);
    return err == WEIR_OK ? lock(fd, path, until_ns) : err;
}

static enum weir_err
lock_data(struct weir_locks *locks)
{
    enum weir_err err = lock_folder(locks->data, 0, &locks->data_fd);
    if (err == WEIR_OK)
        err = lock_file(locks, FILE_NAME, 0, &locks->file_fd);
    if (err == WEIR_BUSY)
        return weir_fail(WEIR_BUSY, 0,
            "data: another instance runs on %s (its pid is in %s/run/supervisor.pid); give this "
            "one a --data of its own", locks->data, locks->data);
    return err;
}

static enum weir_err
lock_log(struct weir_locks *locks)
{
    char path[PATH_SIZE];
    int64_t until_ns = weir_mono_ns() + FLUSH_WAIT_NS;
    snprintf(path, sizeof path, "%s/log", locks->data);
    if (weir_folder_make(path, false) != WEIR_OK)
        return weir_err_prefix(WEIR_IO, "data");
    enum weir_err err = lock_folder(path, until_ns, &locks->log_fd);
    if (err == WEIR_OK)
        err = lock_file(locks, DATAPLANE_NAME, until_ns, &locks->dataplane_fd);
    if (err == WEIR_BUSY)
        return weir_fail(WEIR_BUSY, 0, "data: a dataplane of an earlier instance still writes to "
            "%s", locks->data);
    return err;
}

enum weir_err
weir_locks_acquire(struct weir_locks *locks, const char *data)
{
    *locks = (struct weir_locks){
        .data = data, .data_fd = -1, .file_fd = -1, .log_fd = -1, .dataplane_fd = -1};
    enum weir_err err = lock_data(locks);
    if (err == WEIR_OK)
        err = lock_log(locks);
    if (err != WEIR_OK)
        weir_locks_release(locks);
    return err;
}

void
weir_locks_release(struct weir_locks *locks)
{
    close_lock(&locks->dataplane_fd);
    close_lock(&locks->log_fd);
    close_lock(&locks->file_fd);
    close_lock(&locks->data_fd);
}

void
weir_locks_inherit(const struct weir_locks *locks)
{
    fcntl(locks->dataplane_fd, F_SETFD, 0);
    if (locks->log_fd >= 0)
        fcntl(locks->log_fd, F_SETFD, 0);
}

/* Is the path's file still the open one? True if that cannot be found out. */
static bool
still_there(const char *path, int fd)
{
    struct stat open_one, named;
    if (fd < 0 || fstat(fd, &open_one) != 0)
        return true;
    if (stat(path, &named) != 0)
        return errno != ENOENT && errno != ENOTDIR;
    return named.st_dev == open_one.st_dev && named.st_ino == open_one.st_ino;
}

static enum weir_err
watch_file(struct weir_locks *locks, const char *name, int *fd)
{
    char path[PATH_SIZE];
    int made = -1;
    snprintf(path, sizeof path, "%s/%s", locks->data, name);
    if (still_there(path, *fd))
        return WEIR_OK;
    enum weir_err err = lock_file(locks, name, 0, &made);
    if (err == WEIR_OK) {
        close_lock(fd);
        *fd = made;
        weir_event(WEIR_LEVEL_WARN, "lock_removed", "file=\"%s\" effect=\"made anew\"", path);
        return WEIR_OK;
    }
    if (err == WEIR_BUSY)
        return weir_fail(WEIR_BUSY, 0, "%s was removed, and another instance has it", path);
    return WEIR_OK; /* no room, or its folder is gone: the next look tries again */
}

enum weir_err
weir_locks_watch(struct weir_locks *locks)
{
    if (!still_there(locks->data, locks->data_fd))
        return weir_fail(WEIR_BUSY, 0, "data: %s was moved, or removed, while it was in use",
            locks->data);
    enum weir_err err = watch_file(locks, FILE_NAME, &locks->file_fd);
    return err == WEIR_OK ? watch_file(locks, DATAPLANE_NAME, &locks->dataplane_fd) : err;
}
