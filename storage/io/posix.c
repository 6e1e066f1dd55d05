#include "storage/io/posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int
result_of(int returned)
{
    return returned == 0 ? 0 : -errno;
}

/* Only a regular file, and without waiting for a FIFO's other end. */
static int
open_regular(const char *path, int mode, unsigned flags, weir_io_file *out)
{
    struct stat status;
    mode |= O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int fd = open(path, mode, flags & WEIR_IO_PRIVATE ? 0600 : 0640);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return -ENXIO;
    }
    if ((flags & WEIR_IO_PRIVATE) != 0 && fchmod(fd, 0600) != 0) {
        int errnum = errno;
        close(fd);
        return -errnum;
    }
    /* O_NONBLOCK was for the open alone. If it stays and the device cannot write without
     * waiting (dm-crypt, FUSE), io_uring of some kernels completes each write with EAGAIN. */
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    *out = fd;
    return 0;
}

int
weir_io_posix_open(struct weir_io *io, const char *path, unsigned flags, weir_io_file *out)
{
    (void)io;
    int mode = flags & WEIR_IO_WRITE ? flags & WEIR_IO_READ ? O_RDWR : O_WRONLY : O_RDONLY;
    mode |= flags & WEIR_IO_CREATE ? O_CREAT : 0;
    mode |= flags & WEIR_IO_NEW ? O_EXCL : 0;
    mode |= flags & WEIR_IO_PRIVATE ? O_NOFOLLOW : 0;
    if (flags & WEIR_IO_DIRECT) {
        int result = open_regular(path, mode | O_DIRECT, flags, out);
        if (result != -EINVAL) /* tmpfs has no O_DIRECT */
            return result;
    }
    return open_regular(path, mode, flags, out);
}

void
weir_io_posix_close(struct weir_io *io, weir_io_file file)
{
    (void)io;
    close(file);
}

int64_t
weir_io_posix_pread(struct weir_io *io, weir_io_file file, void *data, size_t size,
    uint64_t offset)
{
    (void)io;
    ssize_t got;
    do
        got = pread(file, data, size, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

int64_t
weir_io_posix_pwrite(struct weir_io *io, weir_io_file file, const void *data, size_t size,
    uint64_t offset)
{
    (void)io;
    ssize_t put;
    do
        put = pwrite(file, data, size, (off_t)offset);
    while (put < 0 && errno == EINTR);
    return put < 0 ? -errno : put;
}

int
weir_io_posix_fsync(struct weir_io *io, weir_io_file file)
{
    (void)io;
    return result_of(fsync(file));
}

int
weir_io_posix_fdatasync(struct weir_io *io, weir_io_file file)
{
    (void)io;
    return result_of(fdatasync(file));
}

int
weir_io_posix_fsync_directory(struct weir_io *io, const char *path)
{
    (void)io;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int result = result_of(fsync(fd));
    close(fd);
    return result;
}

int
weir_io_posix_rename(struct weir_io *io, const char *from, const char *to)
{
    (void)io;
    return result_of(rename(from, to));
}

int
weir_io_posix_exchange(struct weir_io *io, const char *one, const char *other)
{
    (void)io;
    return result_of(renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE));
}

int
weir_io_posix_link(struct weir_io *io, const char *from, const char *to)
{
    (void)io;
    return result_of(link(from, to));
}

int
weir_io_posix_unlink(struct weir_io *io, const char *path)
{
    (void)io;
    return result_of(unlink(path));
}

int
weir_io_posix_mkdir(struct weir_io *io, const char *path)
{
    (void)io;
    struct stat status;
    int result = result_of(mkdir(path, 0750));
    if (result == -EEXIST && (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)))
        return -ENOTDIR;
    return result;
}

int
weir_io_posix_truncate(struct weir_io *io, weir_io_file file, uint64_t size)
{
    (void)io;
    return result_of(ftruncate(file, (off_t)size));
}

int
weir_io_posix_allocate(struct weir_io *io, weir_io_file file, uint64_t size, bool keep_size)
{
    (void)io;
    return result_of(fallocate(file, keep_size ? FALLOC_FL_KEEP_SIZE : 0, 0, (off_t)size));
}

int
weir_io_posix_size(struct weir_io *io, weir_io_file file, uint64_t *bytes)
{
    (void)io;
    struct stat status;
    if (fstat(file, &status) != 0)
        return -errno;
    *bytes = (uint64_t)status.st_size;
    return 0;
}

static int
list_append(char ***names, size_t *count, const char *name)
{
    if ((*count & (*count - 1)) == 0) { /* 0 or a power of two: double */
        char **more = realloc(*names, (*count == 0 ? 1 : *count * 2) * sizeof *more);
        if (more == NULL)
            return -ENOMEM;
        *names = more;
    }
    char *copy = strdup(name);
    if (copy == NULL)
        return -ENOMEM;
    (*names)[(*count)++] = copy;
    return 0;
}

int
weir_io_posix_list(struct weir_io *io, const char *path, char ***names, size_t *count)
{
    (void)io;
    *names = NULL;
    *count = 0;
    DIR *directory = opendir(path);
    if (directory == NULL)
        return -errno;
    int result = 0;
    struct dirent *entry;
    errno = 0;
    while (result == 0 && (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = list_append(names, count, entry->d_name);
        errno = 0;
    }
    if (result == 0)
        result = -errno;
    closedir(directory);
    if (result != 0) {
        weir_io_list_free(*names, *count);
        *names = NULL;
        *count = 0;
    }
    return result;
}

int
weir_io_posix_statvfs(struct weir_io *io, const char *path, struct weir_io_space *out)
{
    (void)io;
    struct statvfs status;
    if (statvfs(path, &status) != 0)
        return -errno;
    *out = (struct weir_io_space){.bytes = (uint64_t)status.f_blocks * status.f_frsize,
        .available = (uint64_t)status.f_bavail * status.f_frsize};
    return 0;
}
