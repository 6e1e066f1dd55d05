/* The synchronous half of storage/io/io.h: what is made of primitives, once for all back ends.
 *
 * A name is durable when its directory was synced after it was given, and a file's content when
 * the file was synced after it was written. Each function below says in which order it does that.
 */
#include "storage/io/primitive.h"

#include "base/mutant.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ZERO_SLICE (1u << 20)
/* A spare has room for a content that is larger by up to this than the one before. */
#define SPARE_ROOM 4096

enum weir_err
weir_io_err(int errnum)
{
    return weir_err_of_errno(errnum);
}

/* The error of a primitive's result; WEIR_OK for 0. */
static enum weir_err
check(int result, const char *what, const char *path)
{
    return result == 0 ? WEIR_OK
                       : weir_fail(weir_io_err(-result), -result, "%s %s", what, path);
}

enum weir_err
weir_io_open(struct weir_io *io, const char *path, unsigned flags, weir_io_file *out)
{
    int result = weir_io_do_open(io, path, flags, out);
    /* a FIFO, a device or a socket; a folder; a link to itself */
    if (result == -ENXIO || result == -EISDIR || result == -ELOOP)
        return weir_fail(WEIR_INVALID, 0, "%s is no regular file", path);
    return check(result, "open", path);
}

void
weir_io_close(struct weir_io *io, weir_io_file file)
{
    weir_io_do_close(io, file);
}

enum weir_err
weir_io_size(struct weir_io *io, weir_io_file file, uint64_t *bytes)
{
    int result = weir_io_do_size(io, file, bytes);
    return result == 0 ? WEIR_OK : weir_fail(weir_io_err(-result), -result, "fstat");
}

enum weir_err
weir_io_read(struct weir_io *io, weir_io_file file, void *data, size_t size, uint64_t offset)
{
    uint8_t *at = data;
    while (size != 0) {
        int64_t got = weir_io_do_pread(io, file, at, size, offset);
        if (got < 0)
            return weir_fail(weir_io_err((int)-got), (int)-got, "read at %llu",
                (unsigned long long)offset);
        if (got == 0)
            return weir_fail(WEIR_END, 0, "file ends at %llu", (unsigned long long)offset);
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return WEIR_OK;
}

/* Whatever the reason, a sync that failed is not tried again: WEIR_IO. */
enum weir_err
weir_io_flush(struct weir_io *io, weir_io_file file)
{
    int result = weir_mutant(flush_without_sync) ? 0 : weir_io_do_fdatasync(io, file);
    return result == 0 ? WEIR_OK : weir_fail(WEIR_IO, -result, "fdatasync");
}

static int
write_all(struct weir_io *io, weir_io_file file, const void *data, size_t size, uint64_t offset)
{
    const uint8_t *at = data;
    while (size != 0) {
        int64_t put = weir_io_do_pwrite(io, file, at, size, offset);
        if (put <= 0)
            return put == 0 ? -EIO : (int)put;
        at += put;
        offset += (uint64_t)put;
        size -= (size_t)put;
    }
    return 0;
}

enum weir_err
weir_io_put(struct weir_io *io, weir_io_file file, const void *data, size_t size, uint64_t offset)
{
    int result = write_all(io, file, data, size, offset);
    return result == 0 ? WEIR_OK
                       : weir_fail(weir_io_err(-result), -result, "write at %llu",
                             (unsigned long long)offset);
}

/* Makes names in the directory of a path durable. */
static enum weir_err
sync_directory_of(struct weir_io *io, const char *path)
{
    char directory[PATH_MAX];
    if ((size_t)snprintf(directory, sizeof directory, "%s", path) >= sizeof directory)
        return weir_fail(WEIR_INVALID, ENAMETOOLONG, "%s", path);
    char *slash = strrchr(directory, '/');
    if (slash == NULL)
        strcpy(directory, ".");
    else
        slash[slash == directory] = '\0';
    return check(weir_io_do_fsync_directory(io, directory), "sync directory", directory);
}

/* ---- replace ---- */

/* A new file at `aside`; a file that is there was left by a crash. */
static enum weir_err
open_aside(struct weir_io *io, const char *aside, weir_io_file *file)
{
    int result = weir_io_do_unlink(io, aside);
    if (result != 0 && result != -ENOENT)
        return check(result, "remove", aside);
    return check(weir_io_do_open(io, aside,
                     WEIR_IO_WRITE | WEIR_IO_CREATE | WEIR_IO_NEW | WEIR_IO_PRIVATE, file),
        "open", aside);
}

/* The content and nothing after it, made durable. */
static enum weir_err
fill(struct weir_io *io, weir_io_file file, const char *path, const void *data, size_t size)
{
    uint64_t there;
    enum weir_err err = check(write_all(io, file, data, size, 0), "write", path);
    if (err == WEIR_OK)
        err = check(weir_io_do_size(io, file, &there), "fstat", path);
    if (err == WEIR_OK && there != size)
        err = check(weir_io_do_truncate(io, file, size), "truncate", path);
    if (err != WEIR_OK || weir_mutant(replace_without_sync))
        return err;
    return check(weir_io_do_fdatasync(io, file), "sync", path);
}

static enum weir_err
replace_aside(struct weir_io *io, const char *path, const char *aside, const void *data,
    size_t size)
{
    weir_io_file file;
    enum weir_err err = open_aside(io, aside, &file);
    if (err != WEIR_OK)
        return err;
    bool renamed = weir_mutant(replace_renames_first) && weir_io_do_rename(io, aside, path) == 0;
    err = fill(io, file, aside, data, size);
    weir_io_do_close(io, file);
    if (err == WEIR_OK && !renamed)
        err = check(weir_io_do_rename(io, aside, path), "rename to", path);
    if (err != WEIR_OK)
        (void)weir_io_do_unlink(io, aside);
    return err;
}

static bool
path_with(char out[PATH_MAX], const char *path, const char *suffix)
{
    return (size_t)snprintf(out, PATH_MAX, "%s%s", path, suffix) < PATH_MAX;
}

enum weir_err
weir_io_replace(struct weir_io *io, const char *path, const void *data, size_t size)
{
    char aside[PATH_MAX];
    if (!path_with(aside, path, ".new"))
        return weir_fail(WEIR_INVALID, ENAMETOOLONG, "%s", path);
    enum weir_err err = replace_aside(io, path, aside, data, size);
    if (err != WEIR_OK || weir_mutant(replace_without_directory_sync))
        return err;
    return sync_directory_of(io, path);
}

static uint64_t
spare_room(size_t size)
{
    return (size / SPARE_ROOM + 2) * SPARE_ROOM;
}

/* Makes a spare of the size there is to hold, or takes it back where the device has no room. */
static void
make_spare(struct weir_io *io, const char *spare, size_t size)
{
    weir_io_file file;
    if (open_aside(io, spare, &file) != WEIR_OK)
        return;
    if (weir_io_do_allocate(io, file, spare_room(size), true) != 0 ||
        weir_io_do_fsync(io, file) != 0)
        (void)weir_io_do_unlink(io, spare);
    weir_io_do_close(io, file);
}

/* Writes over the spare and changes names. *left: there is a spare afterwards. WEIR_NOT_FOUND where
 * there is no spare that could. */
static enum weir_err
replace_by_spare(struct weir_io *io, const char *path, const char *spare, const void *data,
    size_t size, bool *left)
{
    weir_io_file file;
    *left = false;
    if (weir_io_do_open(io, spare, WEIR_IO_WRITE | WEIR_IO_PRIVATE, &file) != 0)
        return WEIR_NOT_FOUND;
    *left = true;
    bool exchanged =
        weir_mutant(spare_exchanges_first) && weir_io_do_exchange(io, spare, path) == 0;
    enum weir_err err = fill(io, file, spare, data, size);
    /* room after the end goes with a shorter content; it is asked for again while there is some */
    if (err == WEIR_OK)
        (void)weir_io_do_allocate(io, file, spare_room(size), true);
    weir_io_do_close(io, file);
    if (err != WEIR_OK || exchanged || weir_io_do_exchange(io, spare, path) == 0)
        return err;
    /* no file yet, or a file system that cannot exchange: the spare is used up */
    *left = false;
    return check(weir_io_do_rename(io, spare, path), "rename to", path);
}

enum weir_err
weir_io_replace_spare(struct weir_io *io, const char *path, const void *data, size_t size)
{
    char aside[PATH_MAX], spare[PATH_MAX];
    bool left;
    if (!path_with(aside, path, ".new") || !path_with(spare, path, ".spare"))
        return weir_fail(WEIR_INVALID, ENAMETOOLONG, "%s", path);
    enum weir_err err = replace_by_spare(io, path, spare, data, size, &left);
    if (err == WEIR_NOT_FOUND || err == WEIR_FULL)
        err = replace_aside(io, path, aside, data, size);
    if (err != WEIR_OK)
        return err;
    if (!left)
        make_spare(io, spare, size);
    return weir_mutant(spare_without_directory_sync) ? WEIR_OK : sync_directory_of(io, path);
}

/* ---- files and directories ---- */

/* For file systems without fallocate. */
static int
write_zeros(struct weir_io *io, weir_io_file file, uint64_t size)
{
    void *zeros;
    if (posix_memalign(&zeros, WEIR_IO_ALIGN, ZERO_SLICE) != 0)
        return -ENOMEM;
    memset(zeros, 0, ZERO_SLICE);
    int result = 0;
    for (uint64_t at = 0; at < size && result == 0; at += ZERO_SLICE)
        result = write_all(io, file, zeros, size - at < ZERO_SLICE ? size - at : ZERO_SLICE, at);
    free(zeros);
    return result;
}

enum weir_err
weir_io_allocate(struct weir_io *io, const char *path, weir_io_file file, uint64_t size)
{
    int result = weir_io_do_allocate(io, file, size, false);
    if (result == -EOPNOTSUPP)
        result = write_zeros(io, file, size);
    enum weir_err err = check(result, "allocate", path);
    if (err == WEIR_OK)
        err = check(weir_io_do_fsync(io, file), "sync", path);
    if (err != WEIR_OK || weir_mutant(allocate_without_directory_sync))
        return err;
    return sync_directory_of(io, path);
}

/* How many names follow the one that ends at `at`. */
static unsigned
names_after(const char *at)
{
    unsigned count = 0;
    for (; *at != '\0'; at++)
        count += *at == '/';
    return count;
}

/* Each name that was made is synced before the next one below it is made. The last two are synced
 * where they were there already, too: who made them may have died before the sync. */
enum weir_err
weir_io_mkdir(struct weir_io *io, const char *path)
{
    char made[PATH_MAX];
    if ((size_t)snprintf(made, sizeof made, "%s", path) >= sizeof made)
        return weir_fail(WEIR_INVALID, ENAMETOOLONG, "%s", path);
    for (char *at = made + 1;; at++) {
        char was = *at;
        if (was != '/' && was != '\0')
            continue;
        *at = '\0';
        int result = weir_io_do_mkdir(io, made);
        enum weir_err err = WEIR_OK;
        if (result == 0 || (result == -EEXIST && names_after(path + (at - made)) < 2))
            err = weir_mutant(mkdir_without_sync) ? WEIR_OK : sync_directory_of(io, made);
        else if (result != -EEXIST)
            err = check(result, "make directory", made);
        if (err != WEIR_OK || was == '\0')
            return err;
        *at = was;
    }
}

enum weir_err
weir_io_rename(struct weir_io *io, const char *from, const char *to)
{
    enum weir_err err = check(weir_io_do_rename(io, from, to), "rename", from);
    if (err != WEIR_OK || weir_mutant(rename_without_sync))
        return err;
    return sync_directory_of(io, to);
}

enum weir_err
weir_io_link(struct weir_io *io, const char *from, const char *to)
{
    enum weir_err err = check(weir_io_do_link(io, from, to), "link", from);
    return err == WEIR_OK ? sync_directory_of(io, to) : err;
}

enum weir_err
weir_io_unlink(struct weir_io *io, const char *path)
{
    enum weir_err err = check(weir_io_do_unlink(io, path), "remove", path);
    return err == WEIR_OK ? sync_directory_of(io, path) : err;
}

enum weir_err
weir_io_space(struct weir_io *io, const char *path, struct weir_io_space *out)
{
    return check(weir_io_do_statvfs(io, path, out), "statvfs", path);
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum weir_err
weir_io_list(struct weir_io *io, const char *path, char ***names, size_t *count)
{
    *names = NULL;
    *count = 0;
    enum weir_err err = check(weir_io_do_list(io, path, names, count), "list", path);
    if (err == WEIR_OK && *count != 0)
        qsort(*names, *count, sizeof **names, by_name);
    return err;
}

void
weir_io_list_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}
