#include "storage/io/file.h"

#include "base/folder.h"
#include "base/replace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZERO_SLICE (1u << 20)

enum weir_err
weir_io_err(int errnum)
{
    return weir_err_of_errno(errnum);
}

static enum weir_err
fail(const char *what, const char *path)
{
    int errnum = errno;
    return weir_fail(weir_io_err(errnum), errnum, "%s %s", what, path);
}

enum weir_err
weir_io_file_open(const char *path, unsigned flags, weir_io_file *out)
{
    int mode = flags & WEIR_IO_WRITE ? flags & WEIR_IO_READ ? O_RDWR : O_WRONLY : O_RDONLY;
    mode |= flags & WEIR_IO_CREATE ? O_CREAT : 0;
    if (flags & WEIR_IO_DIRECT) {
        enum weir_err err = weir_open_regular(path, mode | O_DIRECT, 0640, out);
        if (err == WEIR_OK || weir_err_errno() != EINVAL) /* tmpfs has no O_DIRECT */
            return err;
    }
    return weir_open_regular(path, mode, 0640, out);
}

void
weir_io_file_close(weir_io_file file)
{
    close(file);
}

enum weir_err
weir_io_file_size(weir_io_file file, uint64_t *bytes)
{
    struct stat status;
    if (fstat(file, &status) != 0)
        return weir_fail(weir_io_err(errno), errno, "fstat");
    *bytes = (uint64_t)status.st_size;
    return WEIR_OK;
}

enum weir_err
weir_io_file_read(weir_io_file file, void *data, size_t size, uint64_t offset)
{
    uint8_t *at = data;
    while (size != 0) {
        ssize_t got = pread(file, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return weir_fail(WEIR_IO, errno, "read at %llu", (unsigned long long)offset);
        if (got == 0)
            return weir_fail(WEIR_END, 0, "file ends at %llu", (unsigned long long)offset);
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return WEIR_OK;
}

enum weir_err
weir_io_file_flush(weir_io_file file)
{
    return fdatasync(file) == 0 ? WEIR_OK : weir_fail(WEIR_IO, errno, "fdatasync");
}

static enum weir_err
write_all(int fd, const char *path, const void *data, size_t size, uint64_t offset)
{
    const uint8_t *at = data;
    while (size != 0) {
        ssize_t put = pwrite(fd, at, size, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            errno = put == 0 ? EIO : errno;
            return fail("write", path);
        }
        at += put;
        offset += (uint64_t)put;
        size -= (size_t)put;
    }
    return WEIR_OK;
}

enum weir_err
weir_io_file_replace(const char *path, const void *data, size_t size)
{
    return weir_replace(path, data, size, 0600, 0);
}

enum weir_err
weir_io_file_replace_spare(const char *path, const void *data, size_t size)
{
    return weir_replace(path, data, size, 0600, WEIR_REPLACE_SPARE);
}

/* For file systems without fallocate. */
static enum weir_err
write_zeros(int fd, const char *path, uint64_t size)
{
    void *zeros;
    if (posix_memalign(&zeros, WEIR_IO_ALIGN, ZERO_SLICE) != 0)
        return weir_fail(WEIR_NOMEM, 0, "zeros for %s", path);
    memset(zeros, 0, ZERO_SLICE);
    enum weir_err err = WEIR_OK;
    for (uint64_t at = 0; at < size && err == WEIR_OK; at += ZERO_SLICE) {
        uint64_t slice = size - at < ZERO_SLICE ? size - at : ZERO_SLICE;
        err = write_all(fd, path, zeros, slice, at);
    }
    free(zeros);
    return err;
}

enum weir_err
weir_io_file_allocate(const char *path, weir_io_file file, uint64_t size)
{
    enum weir_err err = WEIR_OK;
    if (fallocate(file, 0, 0, (off_t)size) != 0)
        err = errno == EOPNOTSUPP ? write_zeros(file, path, size) : fail("allocate", path);
    if (err == WEIR_OK && fsync(file) != 0)
        err = fail("sync", path);
    return err == WEIR_OK ? weir_replace_sync_folder(path) : err;
}

enum weir_err
weir_io_file_mkdir(const char *path)
{
    return weir_folder_make(path, true);
}

enum weir_err
weir_io_file_rename(const char *from, const char *to)
{
    if (rename(from, to) != 0)
        return fail("rename", from);
    return weir_replace_sync_folder(to);
}

enum weir_err
weir_io_file_unlink(const char *path)
{
    if (unlink(path) != 0)
        return fail("remove", path);
    return weir_replace_sync_folder(path);
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum weir_err
list_append(char ***names, size_t *count, const char *name)
{
    if ((*count & (*count - 1)) == 0) { /* 0 or a power of two: double */
        char **more = realloc(*names, (*count == 0 ? 1 : *count * 2) * sizeof *more);
        if (more == NULL)
            return weir_fail(WEIR_NOMEM, 0, "directory list");
        *names = more;
    }
    char *copy = strdup(name);
    if (copy == NULL)
        return weir_fail(WEIR_NOMEM, 0, "directory list");
    (*names)[(*count)++] = copy;
    return WEIR_OK;
}

void
weir_io_list_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

enum weir_err
weir_io_file_list(const char *path, char ***names, size_t *count)
{
    *names = NULL;
    *count = 0;
    DIR *directory = opendir(path);
    if (directory == NULL)
        return fail("list", path);
    enum weir_err err = WEIR_OK;
    struct dirent *entry;
    errno = 0;
    while (err == WEIR_OK && (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            err = list_append(names, count, entry->d_name);
        errno = 0;
    }
    if (err == WEIR_OK && errno != 0)
        err = fail("list", path);
    closedir(directory);
    if (err != WEIR_OK) {
        weir_io_list_free(*names, *count);
        *names = NULL;
        *count = 0;
    } else if (*count != 0) {
        qsort(*names, *count, sizeof **names, by_name);
    }
    return err;
}
