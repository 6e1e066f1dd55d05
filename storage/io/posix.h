/* posix: the primitives of back ends that keep real files, a system call or two each.
 *
 * Threads: any; no state
 * Errors:  as storage/io/backend.h
 */
#ifndef WEIR_STORAGE_IO_POSIX_H
#define WEIR_STORAGE_IO_POSIX_H

#include "storage/io/backend.h"

int weir_io_posix_open(struct weir_io *io, const char *path, unsigned flags, weir_io_file *out);
void weir_io_posix_close(struct weir_io *io, weir_io_file file);
int64_t weir_io_posix_pread(struct weir_io *io, weir_io_file file, void *data, size_t size,
    uint64_t offset);
int64_t weir_io_posix_pwrite(struct weir_io *io, weir_io_file file, const void *data, size_t size,
    uint64_t offset);
int weir_io_posix_fsync(struct weir_io *io, weir_io_file file);
int weir_io_posix_fdatasync(struct weir_io *io, weir_io_file file);
int weir_io_posix_fsync_directory(struct weir_io *io, const char *path);
int weir_io_posix_rename(struct weir_io *io, const char *from, const char *to);
int weir_io_posix_exchange(struct weir_io *io, const char *one, const char *other);
int weir_io_posix_link(struct weir_io *io, const char *from, const char *to);
int weir_io_posix_unlink(struct weir_io *io, const char *path);
int weir_io_posix_mkdir(struct weir_io *io, const char *path);
int weir_io_posix_truncate(struct weir_io *io, weir_io_file file, uint64_t size);
int weir_io_posix_allocate(struct weir_io *io, weir_io_file file, uint64_t size, bool keep_size);
int weir_io_posix_size(struct weir_io *io, weir_io_file file, uint64_t *bytes);
int weir_io_posix_list(struct weir_io *io, const char *path, char ***names, size_t *count);
int weir_io_posix_statvfs(struct weir_io *io, const char *path, struct weir_io_space *out);

#define WEIR_IO_POSIX_PRIMITIVES \
    .open = weir_io_posix_open, .close = weir_io_posix_close, .pread = weir_io_posix_pread, \
    .pwrite = weir_io_posix_pwrite, .fsync = weir_io_posix_fsync, \
    .fdatasync = weir_io_posix_fdatasync, .fsync_directory = weir_io_posix_fsync_directory, \
    .rename = weir_io_posix_rename, .exchange = weir_io_posix_exchange, \
    .link = weir_io_posix_link, .unlink = weir_io_posix_unlink, .mkdir = weir_io_posix_mkdir, \
    .truncate = weir_io_posix_truncate, .allocate = weir_io_posix_allocate, \
    .size = weir_io_posix_size, .list = weir_io_posix_list, .statvfs = weir_io_posix_statvfs

#endif
