#include "base/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static weir_replace_fault_fn *fault_call;
static void *fault_context;

void
weir_replace_set_fault(weir_replace_fault_fn *fault, void *context)
{
    fault_call = fault;
    fault_context = context;
}

/* True where the tests' hook answers the step; errno is then set. */
static bool
faulted(const char *step)
{
    int errnum = fault_call == NULL ? 0 : fault_call(fault_context, step);
    if (errnum != 0)
        errno = errnum;
    return errnum != 0;
}

static enum weir_err
fail(const char *what, const char *path)
{
    int errnum = errno;
    return weir_fail(weir_err_of_errno(errnum), errnum, "%s %s", what, path);
}

enum weir_err
weir_open_regular(const char *path, int flags, mode_t mode, int *fd)
{
    struct stat status;
    int opened = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, mode);
    /* a FIFO that nobody reads, or a socket; a folder; a link to itself */
    if (opened < 0 && (errno == ENXIO || errno == EISDIR || errno == ELOOP))
        return weir_fail(WEIR_INVALID, errno, "%s is no regular file", path);
    if (opened < 0)
        return fail("open", path);
    if (fstat(opened, &status) == 0 && S_ISREG(status.st_mode)) {
        /* O_NONBLOCK was for the open alone. If it stays and the device cannot write without
         * waiting (dm-crypt, FUSE), io_uring of some kernels completes each write with EAGAIN. */
        (void)fcntl(opened, F_SETFL, fcntl(opened, F_GETFL) & ~O_NONBLOCK);
        *fd = opened;
        return WEIR_OK;
    }
    close(opened);
    return weir_fail(WEIR_INVALID, 0, "%s is no regular file", path);
}

enum weir_err
weir_replace_sync_folder(const char *path)
{
    char folder[PATH_MAX];
    if ((size_t)snprintf(folder, sizeof folder, "%s", path) >= sizeof folder)
        return weir_fail(WEIR_INVALID, ENAMETOOLONG, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        strcpy(folder, ".");
    else
        slash[slash == folder] = '\0';
    if (faulted("folder"))
        return fail("sync directory", folder);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail("open directory", folder);
    enum weir_err err = fsync(fd) == 0 ? WEIR_OK : fail("sync directory", folder);
    close(fd);
    return err;
}

static bool
write_all(int fd, const void *data, size_t size)
{
    const uint8_t *at = data;
    off_t offset = 0;
    while (size != 0) {
        ssize_t put = pwrite(fd, at, size, offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put == 0)
            errno = EIO;
        if (put <= 0)
            return false;
        at += put;
        offset += put;
        size -= (size_t)put;
    }
    return true;
}

/* A new file at aside; a file that is there was left by a crash. */
static enum weir_err
open_aside(const char *aside, mode_t mode, int *fd)
{
    if (faulted("open"))
        return fail("open", aside);
    if (unlink(aside) != 0 && errno != ENOENT)
        return fail("remove", aside);
    *fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (*fd < 0)
        return fail("open", aside);
    return fchmod(*fd, mode) == 0 ? WEIR_OK : fail("set the mode of", aside);
}

static enum weir_err
fill(int fd, const char *aside, const void *data, size_t size, unsigned flags)
{
    if (faulted("write") || !write_all(fd, data, size))
        return fail("write", aside);
    if ((flags & WEIR_REPLACE_UNSYNCED) == 0 && (faulted("sync") || fdatasync(fd) != 0))
        return fail("sync", aside);
    return WEIR_OK;
}

static enum weir_err
replace_aside(const char *path, const char *aside, const void *data, size_t size, mode_t mode,
    unsigned flags)
{
    int fd = -1;
    enum weir_err err = open_aside(aside, mode, &fd);
    if (err == WEIR_OK)
        err = fill(fd, aside, data, size, flags);
    if (fd >= 0)
        close(fd);
    if (err == WEIR_OK && (faulted("rename") || rename(aside, path) != 0))
        err = fail("rename to", path);
    if (err != WEIR_OK)
        (void)unlink(aside);
    return err;
}

enum weir_err
weir_replace(const char *path, const void *data, size_t size, mode_t mode, unsigned flags)
{
    char aside[PATH_MAX];
    if ((size_t)snprintf(aside, sizeof aside, "%s.new", path) >= sizeof aside)
        return weir_fail(WEIR_INVALID, ENAMETOOLONG, "%s", path);
    enum weir_err err = replace_aside(path, aside, data, size, mode, flags);
    if (err != WEIR_OK)
        return err;
    return (flags & WEIR_REPLACE_UNSYNCED) != 0 ? WEIR_OK : weir_replace_sync_folder(path);
}
